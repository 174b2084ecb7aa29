"""The processes of a task in Airflow's LocalExecutor, and their end without warning."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from dev.airflow.processes import DemoError, wait_for

if TYPE_CHECKING:
    from typing import Any

    from dev.airflow.local_airflow import LocalAirflow
    from tests.crash.points import Way


@dataclass(frozen=True)
class TaskProcesses:
    """A task's own process, and the one that forked and supervises it."""

    task: psutil.Process
    supervisor: psutil.Process

    def kill(self, way: Way) -> None:
        """SIGKILL, and wait until they are gone."""
        victims = {"task": [self.task], "supervisor": [self.supervisor]}.get(way, [self.supervisor, self.task])
        for process in victims:
            with suppress(psutil.NoSuchProcess):  # gone with the scheduler
                process.kill()
        wait_for("the end of what was killed", lambda: all(map(has_ended, victims)), seconds=30, every=0.02)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone, if perhaps not yet waited for."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_of(airflow: LocalAirflow, row: dict[str, Any], *, run_id: str) -> TaskProcesses:
    """Find the processes of a running task instance.

    :param row: the task instance as Airflow's REST API shows it.
    :raises DemoError: they are not what they should be, so nothing must be killed.
    """
    task = psutil.Process(int(row["pid"]))
    supervisor = task.parent()
    scheduler = airflow.processes["scheduler"].pid
    if supervisor is None or supervisor.ppid() != scheduler:
        raise DemoError(f"process {task.pid} is no task of the scheduler {scheduler}")
    others = [child.pid for child in supervisor.children() if child.pid != task.pid]
    if others or row["id"] not in task.name() + " ".join(task.cmdline()):
        raise DemoError(f"the supervisor {supervisor.pid} does not run {row['task_id']} of {run_id}")
    return TaskProcesses(task, supervisor)


def wait_until_ended(process: psutil.Process, *, seconds: float) -> float:
    """Wait for a process to end by itself; seconds that it took."""
    start = time.monotonic()
    wait_for(f"the end of the orphan {process.pid}", lambda: has_ended(process), seconds=seconds, every=0.1)
    return time.monotonic() - start
