"""Differences between the supported Airflow versions, detected by feature, not by version number.

What only running tasks need is imported on first use: take it as an attribute (``airflow_compat.task_rows``).
"""

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

try:
    from airflow.sdk.exceptions import TaskAwaitingInput
except ImportError:  # before 3.3, where a task that waits for a person defers
    TaskAwaitingInput = TaskDeferred  # type: ignore[misc,assignment]

from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]  # 3.1 has it nowhere else

from featurebase_provider.late import names_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from pydantic import JsonValue

    from featurebase_provider.airflow_compat.runs import (
        asset_event_extras,
        branch_of,
        has_queued_run,
        is_paused,
        task_rows,
    )
    from featurebase_provider.airflow_compat.stats import count, gauge, time_milliseconds

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


if not TYPE_CHECKING:  # or type checkers would accept any name
    _RUNS, _STATS = f"{__name__}.runs", f"{__name__}.stats"
    __getattr__ = names_of(
        __name__,
        {
            **dict.fromkeys(("asset_event_extras", "branch_of", "has_queued_run", "is_paused", "task_rows"), _RUNS),
            **dict.fromkeys(("count", "gauge", "time_milliseconds"), _STATS),
        },
    )
