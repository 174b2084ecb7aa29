"""An Airflow plugin for benchmarks: each task process writes when it began what, and what it loaded, into a file.

:mod:`dev.bench.dag_run` copies it into the plugins folder of an Airflow of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

import psutil
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

FILE = "FEATUREBASE_BENCH_TASK_CLOCK"
"""The environment variable that names the file."""
HAPPENED: dict[str, Any] = {}


def _ours() -> int:
    return sum(name.startswith("featurebase_provider") for name in sys.modules)


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    """Directly before the task's own code begins."""
    HAPPENED.update(
        task=task_instance.task_id,
        dag=task_instance.dag_id,
        run=task_instance.run_id,
        forked=psutil.Process().create_time(),
        running=time.time(),
        cpu_at_running=time.process_time(),
        modules_at_running=_ours(),
    )


@hookimpl
def before_stopping(component: Any) -> None:
    """When the task is over, or deferred."""
    if HAPPENED:
        over = {"over": time.time(), "cpu": time.process_time(), "modules": _ours()}
        with open(os.environ[FILE], "a") as file:
            file.write(json.dumps({**HAPPENED, **over}) + "\n")
        HAPPENED.clear()


class TaskClock(AirflowPlugin):
    """Registers the two functions above."""

    name = "featurebase_bench_task_clock"
    listeners = [SimpleNamespace(on_task_instance_running=on_task_instance_running, before_stopping=before_stopping)]
