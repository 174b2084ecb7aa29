"""An Airflow plugin for benchmarks: each task process writes when it began what, and what it loaded, into a file.

:mod:`dev.bench.dag_run` copies it into the plugins folder of an Airflow of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

FILE = "FEATUREBASE_BENCH_TASK_CLOCK"
"""The environment variable that names the file."""


class Clock:
    """Writes one line for each task process."""

    def __init__(self) -> None:
        self._begun: dict[str, Any] = {}

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Directly before the task's own code begins."""
        self._begun = {
            "task": task_instance.task_id,
            "dag": task_instance.dag_id,
            "run": task_instance.run_id,
            "forked": _forked(),
            "running": time.time(),
            "modules_at_running": _loaded(),
        }

    @hookimpl
    def before_stopping(self, component: Any) -> None:
        """When the task is over, or deferred."""
        if self._begun:
            over = {"over": time.time(), "cpu": time.process_time(), "modules": _loaded()}
            with open(os.environ[FILE], "a") as file:
                file.write(json.dumps({**self._begun, **over}) + "\n")
            self._begun = {}


def _forked() -> float:
    """When this process was forked (Unix seconds). psutil rounds the time of the boot, so its answer may be 1 s off."""
    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def _loaded() -> int:
    """How many modules of this provider are loaded."""
    return sum(name.startswith("featurebase_provider") for name in sys.modules)


class TaskClockPlugin(AirflowPlugin):
    """Registers the clock."""

    name = "featurebase_bench_task_clock"
    listeners = [Clock()]
