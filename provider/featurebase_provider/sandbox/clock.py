"""The sandbox's clocks: the server's time, which can be advanced, and the retries' time, which can also run faster."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone

TimeText = Callable[[int], str]
"""Writes milliseconds since 1970."""

MAX_SPEED = 1_000_000.0


def iso_ms(unix_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC with three decimals: ``2026-01-15T10:30:00.000Z``."""
    return f"{iso_seconds(unix_ms)[:-1]}.{unix_ms % 1000:03d}Z"


def iso_seconds(unix_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC, cut to whole seconds: ``2026-01-15T10:30:00Z``."""
    moment = datetime.fromtimestamp(unix_ms // 1000, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class SandboxClock:
    """Gives the server's time, and runs jobs later.

    There are two rates: the server's time passes as fast as the wall clock's, but the seconds that a job waits pass
    ``speed`` times as fast. Both jump when the clock is advanced.

    :param wall: Unix seconds.
    :param monotonic: seconds that never run backwards.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead, self._speed = 0.0, 1.0
        self._real_then, self._scaled_then = monotonic(), 0.0
        self._jobs: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._turn, self._stands = asyncio.Lock(), asyncio.Event()
        self._stands.set()
        self._closed = False

    def unix(self) -> float:
        """The server's time in Unix seconds."""
        return self._wall() + self._ahead

    def unix_ms(self) -> int:
        """The server's time in milliseconds since 1970."""
        return int(self.unix() * 1000)

    @property
    def ahead(self) -> float:
        """The number of seconds by which the server's time was advanced."""
        return self._ahead

    @property
    def speed(self) -> float:
        """How many of a job's seconds pass in a real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        if not 0 < speed <= MAX_SPEED:
            raise ValueError(f"speed must be above 0 and at most {MAX_SPEED:.0f}, not {speed}")
        real = self._monotonic()
        self._scaled_then += (real - self._real_then) * self._speed
        self._real_then, self._speed = real, speed
        self._set_timer()

    def call_later(self, seconds: float, job: Callable[[], object]) -> None:
        """Call ``job`` after this many seconds; never after the clock was closed.

        Changes of speed and jumps also apply to jobs that are already waiting.
        """
        if not self._closed:
            heapq.heappush(self._jobs, (self._now() + seconds, next(self._numbers), job))
            self._set_timer()

    async def stands(self) -> None:
        """Wait until the time is not being advanced: work that begins meanwhile could end in another hour."""
        await self._stands.wait()

    async def advance(self, seconds: float, settle: Callable[[], Awaitable[None]]) -> None:
        """Advance the time as if it had passed, stopping at each job that is due, in their order.

        :param settle: waits until the work that a job started is done, so that its follow-up jobs run in order too.
        """
        async with self._turn:
            self._stands.clear()
            self._set_timer()
            try:
                target = self._ahead + seconds
                await settle()
                while self._jobs and self._jobs[0][0] - self._now() <= target - self._ahead:
                    due, _, job = heapq.heappop(self._jobs)
                    self._ahead += max(0.0, due - self._now())
                    job()
                    await settle()
                self._ahead = target
            finally:
                self._stands.set()
                self._set_timer()

    def close(self) -> None:
        """Drop all jobs, and accept no more."""
        self._closed = True
        self._jobs.clear()
        self._set_timer()

    def _now(self) -> float:
        """Seconds since the clock was made, as jobs count them."""
        return self._scaled_then + (self._monotonic() - self._real_then) * self._speed + self._ahead

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._jobs and self._stands.is_set():
            left = max(0.0, self._jobs[0][0] - self._now())
            self._timer = asyncio.get_running_loop().call_later(left / self._speed, self._ring)

    def _ring(self) -> None:
        while self._jobs and self._jobs[0][0] <= self._now():
            heapq.heappop(self._jobs)[2]()
        self._set_timer()
