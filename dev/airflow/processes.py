"""Start programs, wait until they answer, and stop them with everything that they started."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000


class DemoError(Exception):
    """Something that the demo needs did not happen; the message says which log to read."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment.

    It lies below those that systems give to outgoing connections (32768 and up on Linux): on a busy machine one of
    these would take it before the program that it is meant for listens.
    """
    while True:
        port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A program in a session of its own, its output in a file.

    :param name: names it in messages.
    :param command: the program and its arguments.
    :param log: where its output goes.
    :param env: its whole environment.
    :param folder: its working directory; default: this process's.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], folder: Path | None = None
    ) -> None:
        self.name, self.command, self.log, self.env, self.folder = name, list(command), log, dict(env), folder
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        if self._popen is None:
            raise DemoError(f"{self.name} was not started")
        return self._popen.pid

    def start(self) -> Process:
        """Start it; its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.folder,
                start_new_session=True,
            )
        return self

    def check_alive(self) -> None:
        """Raise if it has ended by itself."""
        if self._popen is not None and self._popen.poll() is not None:
            raise DemoError(f"{self.name} ended with status {self._popen.returncode}; read {self.log}")

    def stop(self, *, grace: float = 10.0) -> None:
        """Ask the whole session to end, and kill what is left after ``grace`` seconds."""
        if self._popen is None:
            return
        _signal_group(self._popen.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(grace)
        _signal_group(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._popen = None

    def kill(self) -> None:
        """Kill the whole session at once, with no chance to clean up."""
        self.stop(grace=0.0)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def kill_sessions(leaders: Collection[int]) -> None:
    """Kill every process of these sessions at once.

    Airflow's task processes have process groups of their own, which a signal to their component's group does not reach.

    :param leaders: process ids of those that began the sessions; they may have ended.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) in leaders:
                process.kill()


def wait_for(
    what: str, ready: Callable[[], bool], *, seconds: float, watched: Sequence[Process] = (), every: float = 0.25
) -> None:
    """Wait until ``ready`` answers True.

    :raises DemoError: it did not within ``seconds``, or a watched process ended.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        for process in watched:
            process.check_alive()
        if time.monotonic() > deadline:
            logs = ", ".join(str(process.log) for process in watched)
            raise DemoError(f"{what} did not happen within {seconds:.0f} s; read {logs or 'the logs'}")
        time.sleep(every)
