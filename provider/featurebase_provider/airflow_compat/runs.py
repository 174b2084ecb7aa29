"""The running Dag run's tasks, other Dags' runs, and assets' events, as far as each Airflow version can tell."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
from airflow.sdk.exceptions import AirflowRuntimeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Asset, Context

log = logging.getLogger(__name__)


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
