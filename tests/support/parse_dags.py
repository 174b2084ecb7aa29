"""Parses a Dags folder in a process of its own, as Airflow's Dag processor does, and prints what it found as JSON.

Usage: parse_dags.py DAGS_FOLDER. Knows no pytest and no test, so that any supported Airflow can run it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

TASK_REFERENCES = (
    "plan_task_id", "preflight_task_id", "rotate_task_id", "push_task_ids", "probe_task_id", "verify_task_id",
)  # fmt: skip
SOCKET_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind")


def main(folder: str) -> dict[str, Any]:
    """Parse, and describe every Dag."""
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(event) if event in SOCKET_EVENTS else None)
    bag_class = _bag_class()
    before = set(sys.modules)
    opened.clear()
    bag = bag_class(folder, include_examples=False) if _takes_examples(bag_class) else bag_class(folder)
    return {
        "import_errors": dict(bag.import_errors),
        "dags": {dag_id: _dag(dag) for dag_id, dag in bag.dags.items()},
        "imported": sorted(set(sys.modules) - before),
        "loaded": sorted(sys.modules),
        "sockets": opened,
    }


def _bag_class() -> Any:
    # The plain import of the SDK comes first: what it loads is Airflow's own doing.
    import airflow.sdk
    import airflow.sdk.bases.operator  # noqa: F401

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before 3.2
        from airflow.models.dagbag import DagBag
    return DagBag


def _takes_examples(bag_class: Any) -> bool:
    import inspect

    return "include_examples" in inspect.signature(bag_class).parameters


def _dag(dag: Any) -> dict[str, Any]:
    return {
        "tags": sorted(dag.tags),
        "owner": dag.owner,
        "doc_md": dag.doc_md,
        "description": dag.description,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "paused_at_first": dag.is_paused_upon_creation,
        "timezone": str(dag.timezone),
        "params": {name: {"default": param.value, **param.schema} for name, param in _params(dag)},
        "tasks": {task.task_id: _task(task) for task in dag.tasks},
        "edges": sorted([task.task_id, below] for task in dag.tasks for below in task.downstream_task_ids),
        "serialized": json.dumps(_serialized(dag), default=str),
    }


def _params(dag: Any) -> Iterable[tuple[str, Any]]:
    return ((name, dag.params.get_param(name)) for name in dag.params)


def _task(task: Any) -> dict[str, Any]:
    return {
        "type": task.task_type,
        "owner": task.owner,
        "retries": task.retries,
        "map_index_template": task.map_index_template,
        "retry_delay": task.retry_delay.total_seconds(),
        "backoff": bool(task.retry_exponential_backoff),
        "execution_timeout": task.execution_timeout.total_seconds() if task.execution_timeout else None,
        "teardown": task.is_teardown,
        "trigger_rule": getattr(task.trigger_rule, "value", task.trigger_rule),
        "outlets": sorted(getattr(asset, "uri", asset.name) for asset in task.outlets),
        "inlets": sorted(asset.uri for asset in task.inlets),
        "refers_to": {name: _ids(value) for name in TASK_REFERENCES if (value := getattr(task, name, None))},
    }


def _ids(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


def _serialized(dag: Any) -> Any:
    from airflow.serialization import serialized_objects

    serializer = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    return serializer.to_dict(dag)


if __name__ == "__main__":
    # Airflow logs to stdout; the last line is the answer.
    print("\n" + json.dumps(main(sys.argv[1])))
