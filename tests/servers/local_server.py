"""Real servers that the tests start on free loopback ports, and stop at the end of the session."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

START_SECONDS = 60


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def program(name: str, how_to_get_it: str) -> str:
    """Find a program beside this Python or on the PATH; skip the test if it is missing, fail in CI."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or _missing(f"{name} is not installed: {how_to_get_it}")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def start(command: list[str], is_ready: Callable[[], bool], *, folder_option: str | None = None) -> None:
    """Start a server and wait until it answers; it ends with this process.

    :param is_ready: asks the server; may raise OSError while nobody listens.
    :param folder_option: the option that takes the server's data folder, which is removed at the end.
    """
    folder = tempfile.mkdtemp(prefix=f"{Path(command[0]).name}-")
    log = Path(folder, "server.log")
    options = [folder_option, f"{folder}/data"] if folder_option else []
    environment = {"HOME": folder, "PATH": os.environ["PATH"]}
    with log.open("wb") as output:
        server = subprocess.Popen([*command, *options], stdout=output, stderr=output, cwd=folder, env=environment)

    def stop() -> None:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if is_ready():
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
