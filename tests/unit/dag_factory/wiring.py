"""What a task of ours was told, to be compared as a whole: a missing or crossed argument shows."""

from __future__ import annotations

import inspect
from typing import Any

AIRFLOWS = (
    "execution_timeout", "map_index_template", "max_retry_delay", "owner", "priority_weight", "retries",
    "retry_delay", "retry_exponential_backoff", "timeout", "trigger_rule", "weight_rule",
)  # fmt: skip


def told(task: Any) -> dict[str, Any]:
    """What a task knows through the constructors of our own classes."""
    return {name: getattr(task, name) for name in sorted(_ours(task))}


def told_airflow(task: Any) -> dict[str, Any]:
    """What Airflow knows about how to run a task, beside its defaults."""
    known = {name: getattr(task, name) for name in AIRFLOWS if hasattr(task, name)}
    return {name: getattr(value, "value", value) for name, value in known.items()}


def events(task: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The assets that a task reads, and those of which it may emit events."""
    return frozenset(one.name for one in task.inlets), frozenset(one.name for one in task.outlets)


def edges(dag: Any) -> set[tuple[str, str]]:
    """Which task runs right before which."""
    return {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}


def _ours(task: Any) -> set[str]:
    classes = [one for one in type(task).__mro__ if one.__module__.startswith("featurebase_provider.")]
    parameters = [name for one in classes for name in inspect.signature(one.__init__).parameters]
    return {name for name in parameters if name not in ("self", "kwargs") and hasattr(task, name)}
