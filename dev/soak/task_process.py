"""Runs one try of a task in a process of its own, as Airflow does, so that it can be killed at any step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import time_machine

from featurebase_provider.rotation.store import ArmedStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from featurebase_provider.rotation.store import SecretPair, Store, StoredValue, StoreMark, Writability

KILLED, CRASHED, MEANWHILE = "killed", "crashed", "meanwhile"


@dataclass(frozen=True)
class Meanwhile:
    """What somebody else does while a task is at one of its steps."""

    step: int
    act: Callable[[], object]


class Steps:
    """Counts the steps of this process (before and after each call), and dies at the chosen one.

    :param out: where to tell what happens, one JSON text a line: a line survives the process that wrote it.
    :param meanwhile: what somebody else does when the process is at some step, if anything.
    """

    def __init__(self, out: int, fatal: int | None, meanwhile: Meanwhile | None = None) -> None:
        self._out, self._fatal, self._count = out, fatal, 0
        self._meanwhile = meanwhile

    def tell(self, kind: str, **facts: Any) -> None:
        """Write a line, with the time in Unix milliseconds."""
        line = json.dumps({"kind": kind, "at": int(time.time() * 1000), **facts})
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(self._out, data) :]

    def step(self, where: str) -> None:
        """Be at a step; the process may end here, without cleaning up."""
        if self._meanwhile is not None and self._count == self._meanwhile.step:
            self._do_meanwhile(self._meanwhile, where)
        if self._count == self._fatal:
            self.tell(KILLED, where=where)
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def _do_meanwhile(self, meanwhile: Meanwhile, where: str) -> None:
        """Its calls are no steps of the task."""
        global _steps
        self._meanwhile, _steps = None, None
        try:
            meanwhile.act()
        finally:
            _steps = self
        self.tell(MEANWHILE, where=where)


_steps: Steps | None = None


def step(where: str) -> None:
    """Be at a step of the task that this process runs, if it runs one."""
    if _steps is not None:
        _steps.step(where)


def watch_http() -> None:
    """Make each HTTP call of this process and of those forked from it two steps.

    They share one TLS context: making one for each client takes as long as all else in a task, and nothing here
    speaks TLS.
    """
    context = ssl.create_default_context()
    ssl.create_default_context = lambda *_, **__: context
    send = httpx.HTTPTransport.handle_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path}"
        step(f"before {call}")
        if _steps is not None and request.method == "POST" and request.url.path.endswith("/secret"):
            _steps.tell("sent")
        response = send(self, request)
        step(f"after {call}")
        return response

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign]


class WatchedStore:
    """A store each of whose calls is two steps, and whose writes are told."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def arm(self) -> ArmedStore:
        """Arm it."""
        step("before arm")
        return _WatchedArmed(self._store.arm())


class _WatchedArmed(ArmedStore):
    def __init__(self, armed: ArmedStore) -> None:
        super().__init__(armed.name)
        self._armed = armed

    def connect(self) -> None:
        self._armed.connect()

    def prove_writable(self) -> Writability:
        step("before the proof")
        return self._armed.prove_writable()

    def read(self) -> StoredValue:
        step("before a read of the store")
        return self._armed.read()

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        step("before the write")
        began = int(time.time() * 1000)
        self._armed.write(pair, held=held, mark=mark)
        if _steps is not None:
            previous = pair.previous.fingerprint if pair.previous is not None else None
            _steps.tell("wrote", began=began, fingerprint=pair.current.fingerprint, previous=previous)
        step("after the write")

    def close(self) -> None:
        self._armed.close()


async def run_in_process(
    work: Callable[[], dict[str, Any]],
    *,
    fatal: int | None,
    log: Path,
    seconds: float,
    ahead: float = 0.0,
    meanwhile: Meanwhile | None = None,
) -> list[dict[str, Any]]:
    """Fork, do the work there, and return the lines that the process told; the last one is its result, if it lived.

    Call it in a process without further threads.

    :param fatal: the step at which it dies.
    :param log: takes its output.
    :param seconds: when it is killed, as a task that runs into its execution timeout.
    :param ahead: by how many seconds its clock is ahead of the real one.
    :param meanwhile: what somebody else does when it is at some step.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_the_task(work, Steps(writing, fatal, meanwhile), log, ahead)
    os.close(writing)
    told = bytearray()
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def more() -> None:
        chunk = os.read(reading, 65536)
        told.extend(chunk)
        if not chunk and not ended.done():
            ended.set_result(None)

    loop.add_reader(reading, more)
    try:
        await asyncio.wait_for(ended, seconds)
    except asyncio.TimeoutError:
        told.extend(b'{"kind": "timeout"}\n')
    finally:
        loop.remove_reader(reading)
        os.close(reading)
        os.kill(pid, signal.SIGKILL)  # it has ended, or has to
        os.waitpid(pid, 0)  # noqa: ASYNC222 - it is dead, so this does not wait
    return [json.loads(line) for line in told.decode().splitlines()]


def _be_the_task(work: Callable[[], dict[str, Any]], steps: Steps, log: Path, ahead: float) -> NoReturn:
    global _steps
    status = 1
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        _steps = steps
        if ahead:
            time_machine.travel(datetime.now(tz=timezone.utc) + timedelta(seconds=ahead)).start()
        result = work()
        steps.tell("result", **result)
        status = 0
    except BaseException as exc:  # noqa: BLE001 - this process ends here, and its log says why
        traceback.print_exc()
        steps.tell(CRASHED, error=f"{type(exc).__name__}, read {log}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
