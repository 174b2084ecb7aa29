"""The one place that knows what a supported Airflow minor has and another lacks, found out by feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
except ImportError:  # before 3.2
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowSkipException,
        TaskDeferred,
    )

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow.sdk import Asset, Context
    from pydantic import JsonValue

__all__ = [
    "AirflowFailException",
    "AirflowSkipException",
    "TaskDeferred",
    "async_masker",
    "asset_event_extras",
    "count",
    "remember",
    "remembered",
    "task_rows",
    "time_milliseconds",
]


def async_masker() -> Callable[[JsonValue], Any] | None:
    """Airflow's ``amask_secret`` (3.3), or None.

    The older minors have only the sync call, which crosses messages inside a trigger's event loop; there a
    trigger masks nothing, and relies on never logging an answer.
    """
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:
        return None
    return amask_secret


def asset_event_extras(context: Context, asset: Asset) -> list[Mapping[str, Any]]:
    """The ``extra`` of every event of an inlet asset, oldest first.

    :param asset: one of the running task's ``inlets``.
    """
    events = context["inlet_events"][asset]
    return [event.extra or {} for event in sorted(events, key=lambda event: event.timestamp)]


def _store(context: Context) -> Any:
    return dict(context).get("task_state_store")


def remember(context: Context, key: str, value: str) -> bool:
    """Keep a text for later tries of the same task (3.3's task state store); False where there is none."""
    store = _store(context)
    if store is None:
        return False
    store.set(key, value)
    return True


def remembered(context: Context, key: str) -> str | None:
    """What :func:`remember` kept, or None."""
    store = _store(context)
    value = store.get(key) if store is not None else None
    return value if isinstance(value, str) else None


def task_rows(context: Context) -> list[tuple[str, str | None, float | None]]:
    """Id, state and duration in seconds of every task of the running Dag run.

    3.1 tells states but no durations; the newer minors tell durations of finished tasks.
    """
    ti: Any = context["ti"]
    states = dict(ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {}))
    durations: dict[str, float | None] = {}
    if hasattr(ti, "get_task_breadcrumbs"):
        crumbs: Iterable[Mapping[str, Any]] = ti.get_task_breadcrumbs(dag_id=ti.dag_id, run_id=ti.run_id)
        durations = {str(crumb["task_id"]): crumb.get("duration") for crumb in crumbs}
    return [
        (task_id, str(getattr(state, "value", state)) if state is not None else None, durations.get(task_id))
        for task_id, state in states.items()
    ]


def _stats() -> Any:
    try:
        from airflow.sdk.observability import stats
    except ImportError:  # before 3.2
        from airflow.stats import Stats as stats  # type: ignore[no-redef]
    return stats


def count(name: str, tags: Mapping[str, str]) -> None:
    """Count one in Airflow's stats."""
    _stats().incr(name, tags=dict(tags))


def time_milliseconds(name: str, milliseconds: float, tags: Mapping[str, str]) -> None:
    """Report a duration to Airflow's stats."""
    _stats().timing(name, milliseconds, tags=dict(tags))
