"""Spreads the calls of many callers over time, so that together they stay within the API's rate limit."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.answers import seconds_to_reset, seconds_to_wait
from featurebase_provider.featurebase.retries import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from featurebase_provider.featurebase.answers import RawAnswer

WINDOW_SECONDS = 60.0
"""The API counts calls in windows of one minute."""
CALLS_PER_MINUTE = 1000
"""Half of the documented limit of an API key (2,000): the other half is left to tasks and to a second triggerer."""
RESERVE = 0.25
"""If less than this share of the limit is left in the window, calls become slower."""
SLOWER = 4.0
"""How many times slower."""


class Pace:
    """Gives out turns to call the API, first come first served, for one event loop.

    After a 429 nobody has a turn until the time that the answer names. If others use up the limit, turns come more
    slowly until the window ends.

    :param calls_per_minute: how many turns there are in a minute, at most.
    :param monotonic: a monotonic clock, in seconds.
    :param sleep: waits the given seconds.
    """

    def __init__(
        self,
        calls_per_minute: int = CALLS_PER_MINUTE,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._spacing = WINDOW_SECONDS / calls_per_minute
        self._monotonic, self._sleep = monotonic, sleep
        self._queue = asyncio.Lock()  # first come, first served; a cancelled caller leaves it
        self._next_at = self._held_until = self._slow_until = float("-inf")

    async def turn(self) -> None:
        """Wait for the next turn."""
        async with self._queue:
            while (wait := max(self._next_at, self._held_until) - self._monotonic()) > 0:
                await self._sleep(wait)  # a 429 that arrives meanwhile makes it longer
            now = self._monotonic()
            self._next_at = now + self._spacing * (SLOWER if now < self._slow_until else 1.0)

    def observe(self, answer: RawAnswer, now: float) -> None:
        """Learn from an answer's rate-limit headers.

        :param now: Unix time in seconds, used where the answer has no ``Date`` header.
        """
        if answer.status == 429:
            wait = seconds_to_wait(answer, now)
            self._held_until = self._later(self._held_until, WINDOW_SECONDS if wait is None else wait)
        elif _is_scarce(answer) and (reset := seconds_to_reset(answer, now)) is not None:
            self._slow_until = self._later(self._slow_until, reset)

    def _later(self, until: float, seconds: float) -> float:
        return max(until, self._monotonic() + min(seconds, LONGEST_WAIT))


def _is_scarce(answer: RawAnswer) -> bool:
    limit, left = (answer.headers.get(f"X-RateLimit-{name}", "") for name in ("Limit", "Remaining"))
    return limit.isdecimal() and left.isdecimal() and int(left) < int(limit) * RESERVE
