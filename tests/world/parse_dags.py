"""Parses a Dags folder as Airflow's Dag processor does: in a fork of a process that has imported Airflow and no more.

Runs with any supported Airflow.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TASK_REFERENCES = (
    "plan_task_id", "preflight_task_id", "rotate_task_id", "push_task_ids", "distributed_task_id", "probe_task_id",
    "cut_over_task_id", "verify_task_id", "report_task_id", "task_ids",
)  # fmt: skip
SOCKET_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind")

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.world.dag_bag"])
SECONDS = 120


def parse(folder: Path, **environment: str) -> dict[str, Any]:
    """Parse, and describe every Dag.

    :param environment: further environment variables.
    """
    with FORKS.Pool(1) as one_child:
        return dict(one_child.apply_async(_parse, (str(folder), environment)).get(SECONDS))


def _parse(folder: str, environment: dict[str, str]) -> dict[str, Any]:
    from tests.world.dag_bag import DagBag

    os.environ.update(environment)
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(event) if event in SOCKET_EVENTS else None)
    before = set(sys.modules)
    bag = DagBag(folder)
    return {
        "import_errors": dict(bag.import_errors),
        "dags": {dag_id: _dag(dag) for dag_id, dag in bag.dags.items()},
        "imported": sorted(set(sys.modules) - before),
        "sockets": opened,
    }


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
