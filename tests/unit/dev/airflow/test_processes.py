"""Ending programs with everything that they started."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil

from dev.airflow.processes import Process, kill_sessions, wait_for

if TYPE_CHECKING:
    from pathlib import Path

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(os.getcwd(), child.pid, flush=True)
time.sleep(600)
"""


def test_a_session_is_killed_with_process_groups_of_its_own(tmp_path: Path) -> None:
    """As Airflow's task processes have. It was begun in the folder that was named."""
    parent = PARENT if sys.version_info >= (3, 11) else PARENT.replace("process_group=0", "preexec_fn=os.setpgrp")
    log = tmp_path / "output"
    process = Process("parent", [sys.executable, "-c", parent], log=log, env={}, folder=tmp_path).start()
    try:
        wait_for("the child", lambda: log.exists() and log.read_text().endswith("\n"), seconds=30)
        folder, child = log.read_text().rsplit(maxsplit=1)
        assert folder == str(tmp_path)
        leaders = [process.pid]
        kill_sessions(leaders)
        deadline = time.monotonic() + 30
        while psutil.pid_exists(int(child)) and psutil.Process(int(child)).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.05)
    finally:
        process.kill()
