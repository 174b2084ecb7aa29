"""The API's rate limit: a number of calls a minute per API key, counted in one-minute windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60
DEFAULT_CALLS_PER_MINUTE = 2000


@dataclass(frozen=True, slots=True)
class RateVerdict:
    """Whether a call is within the limit, and the values of the response's rate-limit headers."""

    allowed: bool
    headers: dict[str, str]


class RateLimit:
    """Counts the calls of the one API key. Refused calls count too.

    ``X-RateLimit-Reset`` is the Unix time in seconds at which the window ends. Featurebase does not document whether it
    means that or the seconds left: clients must understand both.

    :param calls_per_minute: how many calls one window allows.
    :param now: Unix seconds; windows begin at full minutes.
    """

    def __init__(self, calls_per_minute: int = DEFAULT_CALLS_PER_MINUTE, now: Callable[[], float] = time.time) -> None:
        self._limit, self._now = calls_per_minute, now
        self._window, self._count = 0, 0

    def count(self) -> RateVerdict:
        """Count one call."""
        window = int(self._now() // WINDOW_SECONDS)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        return RateVerdict(
            allowed=self._count <= self._limit,
            headers={
                "X-RateLimit-Limit": str(self._limit),
                "X-RateLimit-Remaining": str(max(0, self._limit - self._count)),
                "X-RateLimit-Reset": str((window + 1) * WINDOW_SECONDS),
            },
        )
