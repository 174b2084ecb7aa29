"""One wait for real deliveries, whoever polls: when to look again, which reading decides, how many may fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from featurebase_provider.rotation.health import HealthWatch, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from featurebase_provider.featurebase.errors import ApiError
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock

MAX_POLL_FAILURES = 10
"""Reads that may fail in a row."""

WaitEnd = VerdictKind | Literal["unreadable"]
"""How a wait ends: with a verdict, or with reads of Featurebase that failed too often in a row."""


@dataclass
class DeliveryWait:
    """Takes readings, and reads that failed, until they decide or the time is over.

    All times are Featurebase's, as its answers tell them: the worker that began the wait and the triggerer that goes
    on with it may have clocks that are hours apart.

    :param watch: judges the readings.
    :param until: server time at which the wait is over.
    :param poll_interval: seconds between two reads.
    :param clock: the clock of the client that reads.
    :param say: takes a sentence for the log.
    """

    watch: HealthWatch
    until: datetime
    poll_interval: float
    clock: ServerClock
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self._failures = 0
        self._said_skew = False

    @property
    def pause(self) -> float:
        """Seconds until the next read; a whole interval while no answer has told the server's time."""
        if not self.clock.known:
            return self.poll_interval
        return max(0.0, min(self.poll_interval, (self.until - self.clock.now()).total_seconds()))

    def take(self, webhook: Webhook) -> VerdictKind | None:
        """Judge a reading; None means to go on."""
        self._failures = 0
        self._say_skew()
        now = self.clock.now()
        verdict = self.watch.conclude(webhook, now=now) if now >= self.until else self.watch.observe(webhook, now=now)
        return verdict.kind if verdict is not None else None

    def fail(self, error: ApiError) -> Literal["unreadable"] | None:
        """Count a read that failed; None means to go on."""
        self._failures += 1
        self.say(f"read {self._failures} of {MAX_POLL_FAILURES} failed: {error}")
        is_over = (self.clock.known or error.status is not None) and self.clock.now() >= self.until
        enough = self._failures >= MAX_POLL_FAILURES or is_over or not error.retry_helps
        return "unreadable" if enough else None

    def _say_skew(self) -> None:
        if self.clock.skew is not None and not self._said_skew:
            self._said_skew = True
            self.say(self.clock.skew)
