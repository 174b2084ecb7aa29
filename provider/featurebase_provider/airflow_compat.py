"""Differences between the supported Airflow versions, detected by feature, not by version number."""

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

try:
    from airflow.sdk.exceptions import TaskAwaitingInput
except ImportError:  # before 3.3, where a task that waits for a person defers
    TaskAwaitingInput = TaskDeferred  # type: ignore[misc,assignment]

import httpx
from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]  # 3.1 has it nowhere else
from airflow.sdk.exceptions import AirflowRuntimeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from airflow.sdk import Asset, Context
    from pydantic import JsonValue

log = logging.getLogger(__name__)

__all__ = [
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "TaskAwaitingInput",
    "TaskDeferred",
    "airflow_conf",
    "approval_limits",
    "async_masker",
    "branch_of",
    "asset_event_extras",
    "count",
    "gauge",
    "has_queued_run",
    "is_paused",
    "plugin_base",
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


def approval_limits(answer: timedelta, *, own: timedelta | None) -> dict[str, timedelta | None]:
    """The arguments that limit how long a human-in-the-loop operator waits.

    Older versions of the standard provider take the task's own time limit for that.

    :param answer: how long to wait for the answer.
    :param own: the task's time limit beside that.
    """
    import inspect

    from airflow.providers.standard.operators.hitl import HITLOperator

    if "response_timeout" in inspect.signature(HITLOperator.__init__).parameters:
        return {"response_timeout": answer, "execution_timeout": own}
    return {"execution_timeout": answer}


def plugin_base() -> Any:
    """The base class of plugins. A function, so that Dag files, which need none, don't load it when they are parsed."""
    try:
        from airflow.sdk.plugins_manager import AirflowPlugin
    except ImportError:  # before 3.2
        from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]
    return AirflowPlugin


def async_masker() -> Callable[[JsonValue], Any] | None:
    """Airflow's ``amask_secret`` (3.3), or None.

    Older versions have only the sync call, which mixes up messages inside a trigger's event loop. There a trigger masks
    nothing, and must never log a response.
    """
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:
        return None
    return amask_secret


def asset_event_extras(asset: Asset, *, newest: int | None = None) -> list[Mapping[str, Any]] | None:
    """The ``extra`` of an asset's events, oldest first; None if Airflow can't return them.

    Airflow (3.1 to 3.3) returns no event at all while any Dag run that consumed one of them has no start date. The
    asset is not an inlet of the task: Airflow does not start a task with an inlet whose URI another asset has too.

    :param newest: read at most this many events, the newest; Airflow 3.1 can only read all of them.
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
    """The map index of the running task's branch of a mapped task group; None outside of one."""
    index = getattr(context["ti"], "map_index", None)
    return index if index is not None and index >= 0 else None


def task_rows(context: Context) -> list[tuple[str, str | None, float | None]]:
    """Id, state and duration in seconds of every task of the running Dag run, or of the task's own branch.

    Airflow 3.1 provides states but no durations; newer versions provide durations of finished tasks. A missing duration
    is None.
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
        log.warning("Airflow does not report how long the tasks took; nothing else is affected")
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
    """Whether a run of the Dag is queued."""
    return bool(context["ti"].get_dr_count(dag_id=dag_id, states=["queued"]))


def is_paused(context: Context, dag_id: str) -> bool | None:
    """Whether the Dag is paused; None if Airflow does not report it (3.1) or does not know the Dag."""
    ti: Any = context["ti"]
    if not hasattr(ti, "get_dag"):
        return None
    try:
        return bool(ti.get_dag(dag_id).is_paused)
    except AirflowRuntimeError:
        return None


def count(name: str, tags: Mapping[str, str], *, by: int = 1) -> None:
    """Increment a counter in Airflow's stats. A failure is logged and never fails the task."""
    _report("incr", name, by, tags=tags)


def gauge(name: str, value: float, tags: Mapping[str, str]) -> None:
    """Report a value that goes up and down to Airflow's stats. A failure is logged and never fails the task."""
    _report("gauge", name, value, tags=tags)


def time_milliseconds(name: str, milliseconds: float, tags: Mapping[str, str]) -> None:
    """Report a duration to Airflow's stats. A failure is logged and never fails the task."""
    _report("timing", name, milliseconds, tags=tags)


def _report(call: str, name: str, *figures: float, tags: Mapping[str, str]) -> None:
    try:
        getattr(_stats(), call)(name, *figures, tags=_stat_tags(tags))
    except Exception as error:  # noqa: BLE001  a failing stats client of any kind must not fail a task that succeeded
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
    """Log once per process that stats are missing, without the client's own text, which may hold its credentials."""
    log.warning("Airflow's stats client failed (%s): stats of this task are missing. Nothing else is affected", error)


def _stat_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without characters that end a line or a field in StatsD's format; a name may come from the trigger form."""
    # A Dag author may give an operator a name that is not text.
    return {name: re.sub(r"[^A-Za-z0-9_.-]", "_", str(value))[:100] for name, value in tags.items()}
