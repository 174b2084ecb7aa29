"""The clock behind the delivery retries, which can be made to run faster than the wall's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

MAX_SPEED = 1_000_000.0


class RetryClock:
    """Counts seconds that pass ``speed`` times as fast as real ones.

    A change of speed counts for waits that are already under way, too.

    :param monotonic: seconds that never run backwards.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._speed = 1.0
        self._real_then, self._scaled_then = monotonic(), 0.0
        self._speed_changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """How many of this clock's seconds pass in a real one."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        if not 0 < speed <= MAX_SPEED:
            raise ValueError(f"speed must be above 0 and at most {MAX_SPEED:.0f}, not {speed}")
        self._scaled_then, self._real_then = self.now(), self._monotonic()
        self._speed = speed
        # Each waiter sleeps on the event that was current when it fell asleep.
        changed, self._speed_changed = self._speed_changed, asyncio.Event()
        changed.set()

    def now(self) -> float:
        """Seconds of this clock since it was made."""
        return self._scaled_then + (self._monotonic() - self._real_then) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait until this many of the clock's seconds have passed."""
        deadline = self.now() + seconds
        while (left := deadline - self.now()) > 0:
            try:
                await asyncio.wait_for(self._speed_changed.wait(), timeout=left / self._speed)
            except asyncio.TimeoutError:
                continue
