"""A receiver with several replicas behind a load balancer that picks one at random for each connection."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from typing import TYPE_CHECKING

from featurebase_provider.sandbox.server import LOOPBACK, ReceiverServer
from tests.world.featurebase import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Self

DRAIN_SECONDS = 2.0
"""How long a replaced replica still answers what it has begun."""


class Replicas:
    """A context manager. Each replica reads its secrets when it starts, and again every ``reload_seconds``.

    :param secret_file: the file of the secrets; it holds the first one.
    :param count: how many replicas.
    :param reload_seconds: infinity: a replica reads the file only when it starts.
    :param previous_key: the key of the second secret that they accept, or None if they accept one only.
    :param seed: of the load balancer.
    """

    def __init__(
        self, secret_file: Path, *, count: int, reload_seconds: float, previous_key: str | None, seed: int
    ) -> None:
        self._secret_file, self._reload_seconds, self._previous_key = secret_file, reload_seconds, previous_key
        self._replicas: list[ReceiverServer] = []
        self._count = count
        self._balancer = _Balancer(self._replicas, random.Random(seed))
        self._rollout: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The load balancer's URL."""
        return self._balancer.url

    def __enter__(self) -> Self:
        self._replicas += [self._start() for _ in range(self._count)]
        self._balancer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._rollout is not None:
            self._rollout.join()
        self._balancer.stop()
        for replica in self._replicas:
            replica.__exit__()

    def restart(self, after: Sequence[float]) -> None:
        """Replace the replicas one after the other, each by a new one that is ready before the old one ends.

        :param after: seconds from now until each one is replaced, in ascending order.
        """
        self._rollout = threading.Thread(target=self._roll, args=(after, time.monotonic()), daemon=True)
        self._rollout.start()

    def _roll(self, after: Sequence[float], began: float) -> None:
        for number, seconds in enumerate(after):
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            old, self._replicas[number] = self._replicas[number], self._start()
            time.sleep(DRAIN_SECONDS)
            old.__exit__()

    def _start(self) -> ReceiverServer:
        return ReceiverServer(
            self._secret_file, key=KEY, previous_key=self._previous_key, reload_seconds=self._reload_seconds
        ).__enter__()


class _Balancer:
    """Passes each TCP connection on to one of the replicas, as a Kubernetes Service does.

    :param replicas: those that are in service; entries may be replaced at any time.
    """

    def __init__(self, replicas: Sequence[ReceiverServer], dice: random.Random) -> None:
        self._replicas, self._dice = replicas, dice
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10), "the load balancer did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stopped.wait()
        server.close()  # connections that are still open are cancelled with the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(self._dice.choice(self._replicas).url.rpartition(":")[2])
        with contextlib.suppress(OSError, asyncio.CancelledError):
            back_reader, back_writer = await asyncio.open_connection(LOOPBACK, port)
            await asyncio.gather(_pass_on(reader, back_writer), _pass_on(back_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
