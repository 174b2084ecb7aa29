"""Judges from Featurebase's health figures whether real deliveries succeed after a given time, and waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Literal

from featurebase_provider.featurebase.text import clean_text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from featurebase_provider.featurebase.errors import ApiError
    from featurebase_provider.featurebase.models import LastStatus, Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock

FAILURES_THAT_DECIDE = 3
SUCCESS_CODES = frozenset({200, 201, 202, 204})
AHEAD = timedelta(minutes=1)
"""How far a result may be dated in the future, by Featurebase's clock, and still count."""

VerdictKind = Literal["healthy", "failing", "quiet", "inactive"]

MAX_POLL_FAILURES = 10
"""Number of failed reads in a row that end the wait."""
MOST_DOUBLINGS = 3
"""How often the pause is doubled after failed reads, at most."""
LONGEST_PAUSE = 60.0
"""Longest pause in seconds after failed reads, unless the usual one is longer."""
WaitEnd = VerdictKind | Literal["unreadable"]
"""How a wait ends: with a verdict, or because too many reads of Featurebase failed in a row."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on the deliveries.

    :param kind: ``healthy``, ``failing``, ``quiet`` (too few deliveries to decide) or ``inactive`` (the webhook is no
        longer active, so there will be none).
    :param detail: one sentence with Featurebase's figures.
    """

    kind: VerdictKind
    detail: str


def failed(last: LastStatus) -> bool:
    """Whether a delivery result is a failure; no HTTP response is a failure too."""
    return last.code not in SUCCESS_CODES


def result_between(webhook: Webhook, after: datetime, now: datetime) -> LastStatus | None:
    """The latest delivery result, if it is dated after ``after`` and not in the future, else None.

    :param now: server time.
    """
    last = webhook.last_status
    if last is None or "lastStatus.code" in webhook.unread:
        return None
    return last if after < last.timestamp <= now + AHEAD else None


class HealthWatch:
    """Turns successive reads of a webhook into a verdict.

    Only results dated after ``counts_from`` count. That is the last push plus the webhook's delivery timeout, since a
    delivery that was already under way may report late. Featurebase shows the last result and the number of
    consecutive failures, but not their dates, so failures are counted from the first one seen after ``counts_from``:
    never too many. If Featurebase does not show the number, the results seen are counted.

    :param counts_from: server time after which results count.
    """

    def __init__(self, counts_from: datetime) -> None:
        self.counts_from = counts_from
        self._failures_before: int | None = None
        self._failed_at: set[datetime] = set()

    def observe(self, webhook: Webhook, *, now: datetime) -> Verdict | None:
        """Evaluate one read; None means that nothing is decided yet.

        :param now: server time.
        """
        if webhook.status != "active":
            return Verdict("inactive", f"the webhook is {webhook.status!r}{last_result(webhook)}")
        failures = self._late_failures(webhook, now)
        if self._succeeded(webhook, now) and not failures and not webhook.health.consecutive_failures:
            return Verdict("healthy", f"a delivery after the push succeeded{last_result(webhook)}")
        if failures >= FAILURES_THAT_DECIDE:
            return Verdict("failing", f"{failures} deliveries in a row failed after the push{last_result(webhook)}")
        return None

    def conclude(self, webhook: Webhook, *, now: datetime) -> Verdict:
        """The verdict at the end of the wait.

        A success shows that the receiver accepts the secret, so one or two failures after it do not count as failing.
        """
        decided = self.observe(webhook, now=now)
        if decided is not None:
            return decided
        if self._late_failures(webhook, now) and not self._succeeded(webhook, now):
            return Verdict("failing", f"the only deliveries after the push failed{last_result(webhook)}")
        if self.delivered(webhook, now=now):
            return Verdict("quiet", f"too few deliveries after the push to decide{last_result(webhook)}")
        return Verdict("quiet", "Featurebase delivered nothing after the push")

    def delivered(self, webhook: Webhook, *, now: datetime) -> bool:
        """Whether Featurebase shows any result that counts."""
        return self._succeeded(webhook, now) or result_between(webhook, self.counts_from, now) is not None

    def _succeeded(self, webhook: Webhook, now: datetime) -> bool:
        at, last = webhook.health.last_success_at, result_between(webhook, self.counts_from, now)
        dated = at is not None and self.counts_from < at <= now + AHEAD
        return dated or (last is not None and not failed(last))

    def _late_failures(self, webhook: Webhook, now: datetime) -> int:
        """Consecutive failures that are certainly dated after ``counts_from``."""
        shown = webhook.health.consecutive_failures
        last = result_between(webhook, self.counts_from, now)
        if last is None or not failed(last) or shown == 0:
            self._failures_before = None
            self._failed_at.clear()
            return 0
        self._failed_at.add(last.timestamp)
        if shown is None:
            return len(self._failed_at)
        if self._succeeded(webhook, now):
            return shown
        if self._failures_before is None or shown <= self._failures_before:  # fewer: Featurebase began to count anew
            self._failures_before = shown - 1
        return shown - self._failures_before


def last_result(webhook: Webhook) -> str:
    """Featurebase's latest delivery result in brackets, safe for a log line; empty where there is none."""
    last = webhook.last_status
    if last is None:
        return ""
    # The message may be the receiver's own answer, and that may quote what it was sent.
    message = clean_text(one_line(last.message, None), secrets=webhook.secret_values(), limit=200)
    return f" (last result: {last.code} {message!r} at {last.timestamp.isoformat()})"


def pause_after(failures: int, pause: float) -> float:
    """Seconds until the next read, after so many failed ones in a row.

    :param pause: the usual pause.
    """
    return max(pause, min(LONGEST_PAUSE, pause * 2.0 ** min(max(failures - 1, 0), MOST_DOUBLINGS)))


@dataclass
class DeliveryWait:
    """Collects reads of the webhook, and failed reads, until there is a verdict or the time is over.

    All times are those of Featurebase's clock: the worker that began the wait and the triggerer that continues it may
    have clocks that are hours apart.

    :param watch: evaluates the reads.
    :param until: server time at which the wait ends.
    :param poll_interval: seconds between two reads.
    :param clock: the clock of the client that reads.
    :param say: logs a message.
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
        """Seconds until the next read, more after failed ones; not limited while the server's time is unknown."""
        pause = pause_after(self._failures, self.poll_interval)
        if not self.clock.known:
            return pause
        return self._within_wait(pause)

    def first_pauses(self) -> Iterator[float]:
        """Seconds until each of the first reads: soon after a result can count, then at doubling intervals."""
        for number in count():
            if not self.clock.known:
                yield self.poll_interval
                continue
            counts_in = (self.watch.counts_from - self.clock.now()).total_seconds()
            yield self._within_wait(max(0.0, counts_in) + min(2.0**number, self.poll_interval))

    def _within_wait(self, seconds: float) -> float:
        return max(0.0, min(seconds, (self.until - self.clock.now()).total_seconds()))

    def take(self, webhook: Webhook) -> VerdictKind | None:
        """Evaluate a read; None means to continue."""
        self._failures = 0
        self._say_skew()
        now = self.clock.now()
        verdict = self.watch.conclude(webhook, now=now) if now >= self.until else self.watch.observe(webhook, now=now)
        return verdict.kind if verdict is not None else None

    def fail(self, error: ApiError) -> Literal["unreadable"] | None:
        """Count a failed read; None means to continue."""
        self._failures += 1
        self.say(f"read {self._failures} of {MAX_POLL_FAILURES} failed: {error}")
        is_over = (self.clock.known or error.status is not None) and self.clock.now() >= self.until
        enough = self._failures >= MAX_POLL_FAILURES or is_over or not error.retry_helps
        return "unreadable" if enough else None

    def _say_skew(self) -> None:
        if self.clock.skew is not None and not self._said_skew:
            self._said_skew = True
            self.say(self.clock.skew)
