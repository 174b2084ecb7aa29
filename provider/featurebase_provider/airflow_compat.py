"""The one place that knows what a supported Airflow minor has and another lacks, found out by feature."""

from __future__ import annotations

import functools
import logging
import re
from typing import TYPE_CHECKING, Any

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
except ImportError:  # before 3.2
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowSkipException,
        TaskDeferred,
    )

import httpx
from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]  # 3.1 has it nowhere else
from airflow.sdk.exceptions import AirflowRuntimeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.sdk import Asset, Context
    from pydantic import JsonValue

log = logging.getLogger(__name__)

__all__ = [
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "TaskDeferred",
    "airflow_conf",
    "async_masker",
    "branch_of",
    "asset_event_extras",
    "count",
    "has_queued_run",
    "is_paused",
    "task_rows",
    "time_milliseconds",
]


def airflow_conf() -> Any:
    """Airflow's configuration; 3.1 keeps it in its core."""
    try:
        from airflow.sdk.configuration import conf
    except ImportError:
        from airflow.configuration import conf
    return conf


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


def asset_event_extras(asset: Asset, *, newest: int | None = None) -> list[Mapping[str, Any]] | None:
    """The ``extra`` of the events of an asset, oldest first; None where Airflow can't give them.

    Airflow (3.1 to 3.3) can't while any Dag run that consumed one of them has no start date: none at all, for nobody.
    The asset is no inlet of the task: a task with an inlet whose URI another asset has too does not even start.

    :param newest: read no more than this many, the newest; 3.1 can only read them all.
    """
    from airflow.sdk.execution_time.context import InletEventsAccessors

    try:
        events: Any = InletEventsAccessors([asset])[asset]
        if newest is not None and hasattr(events, "limit"):
            events = events.ascending(False).limit(newest)
        return [event.extra or {} for event in sorted(events, key=lambda event: event.timestamp)]
    except (AirflowRuntimeError, httpx.HTTPError):  # the latter in `airflow dags test`, which has no supervisor
        return None


def branch_of(context: Context) -> int | None:
    """Which branch of a mapped task group the running task is in; None outside of one."""
    index = getattr(context["ti"], "map_index", None)
    return index if index is not None and index >= 0 else None


def task_rows(context: Context) -> list[tuple[str, str | None, float | None]]:
    """Id, state and duration in seconds of every task of the running Dag run, or of the task's own branch.

    3.1 tells states but no durations; the newer minors tell durations of finished tasks. One that can't be had holds
    nothing up.
    """
    ti: Any = context["ti"]
    branch = branch_of(context)
    suffix = "" if branch is None else f"_{branch}"
    found = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id], map_index=branch).get(ti.run_id, {})
    states = {task_id.removesuffix(suffix): state for task_id, state in found.items()}
    durations = _durations(ti, branch)
    return [
        (task_id, str(getattr(state, "value", state)) if state is not None else None, durations.get(task_id))
        for task_id, state in states.items()
    ]


def _durations(ti: Any, branch: int | None) -> dict[str, float | None]:
    if not hasattr(ti, "get_task_breadcrumbs"):
        return {}
    try:
        crumbs: list[Mapping[str, Any]] = list(ti.get_task_breadcrumbs(dag_id=ti.dag_id, run_id=ti.run_id))
    except AirflowRuntimeError:
        log.warning("Airflow does not tell how long the tasks took; nothing else is affected")
        return {}
    return {
        str(crumb["task_id"]): _duration(crumb.get("duration"))
        for crumb in crumbs
        if branch is None or crumb.get("map_index") == branch
    }


def _duration(seconds: float | None) -> float | None:
    # A deferred task that was cleared ends before it began, by 3.2's reckoning.
    return None if seconds is None or seconds < 0 else seconds


def has_queued_run(context: Context, dag_id: str) -> bool:
    """Whether a run of the Dag waits to begin."""
    return bool(context["ti"].get_dr_count(dag_id=dag_id, states=["queued"]))


def is_paused(context: Context, dag_id: str) -> bool | None:
    """Whether the Dag is paused; None where Airflow does not tell (3.1), or knows no such Dag."""
    ti: Any = context["ti"]
    if not hasattr(ti, "get_dag"):
        return None
    try:
        return bool(ti.get_dag(dag_id).is_paused)
    except AirflowRuntimeError:
        return None


def count(name: str, tags: Mapping[str, str]) -> None:
    """Count one in Airflow's stats; a failure there is said in the log, and never the task's."""
    _report("incr", name, tags=tags)


def time_milliseconds(name: str, milliseconds: float, tags: Mapping[str, str]) -> None:
    """Report a duration to Airflow's stats; a failure there is said in the log, and never the task's."""
    _report("timing", name, milliseconds, tags=tags)


def _report(call: str, name: str, *figures: float, tags: Mapping[str, str]) -> None:
    try:
        getattr(_stats(), call)(name, *figures, tags=_stat_tags(tags))
    except Exception as error:  # noqa: BLE001  anybody's client may sit there; a task that has done its work stays done
        _warn_of_stats(type(error).__name__)


def _stats() -> Any:
    try:
        from airflow.sdk.observability import stats
    except ImportError:  # before 3.2
        from airflow.stats import Stats

        return Stats
    return stats if hasattr(stats, "incr") else stats.Stats  # 3.2 has only the class


@functools.cache
def _warn_of_stats(error: str) -> None:
    """Say once in a process that figures are missing; a client's own text and traceback may hold its credentials."""
    log.warning("Airflow's stats fail (%s): figures of this task are missing there. Nothing else is affected", error)


def _stat_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags in which nothing ends a line or a field of StatsD's text: one may be a name out of the trigger form."""
    # Whoever makes an operator may give it a name that is no text.
    return {name: re.sub(r"[^A-Za-z0-9_.-]", "_", str(value))[:100] for name, value in tags.items()}
