"""Judge from Featurebase's own figures whether real deliveries succeed since a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from featurebase_provider.featurebase.redaction import clean_text

if TYPE_CHECKING:
    from datetime import datetime

    from featurebase_provider.featurebase.models import Webhook

FAILURES_THAT_DECIDE = 3
SUCCESS_CODES = frozenset({200, 201, 202, 204})

VerdictKind = Literal["healthy", "failing", "quiet", "inactive"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the deliveries say.

    :param kind: ``healthy``, ``failing``, ``quiet`` (no delivery to judge by) or ``inactive`` (the webhook is no
        longer active, so there will be none).
    :param detail: one sentence with Featurebase's figures.
    """

    kind: VerdictKind
    detail: str


@dataclass
class HealthWatch:
    """Folds readings of a webhook into a verdict.

    Only results dated after ``counts_from`` count: the last push plus the webhook's delivery timeout, as a
    delivery that was under way before may report late. Featurebase shows the last result and the number of
    consecutive failures, not their dates, so failures are counted from the first late one seen: never too many.

    :param counts_from: server time after which results count.
    """

    counts_from: datetime
    _failures_before: int | None = field(default=None, init=False)

    def observe(self, webhook: Webhook) -> Verdict | None:
        """Take one reading; None means that nothing is decided yet."""
        if webhook.status != "active":
            return Verdict("inactive", f"the webhook is {webhook.status!r}{last_result(webhook)}")
        failures = self._late_failures(webhook)
        if failures == 0 and self._succeeded(webhook):
            return Verdict("healthy", f"a delivery after the push succeeded{last_result(webhook)}")
        if failures >= FAILURES_THAT_DECIDE:
            return Verdict("failing", f"{failures} deliveries in a row failed after the push{last_result(webhook)}")
        return None

    def conclude(self, webhook: Webhook) -> Verdict:
        """The verdict at the end of the wait."""
        decided = self.observe(webhook)
        if decided is not None:
            return decided
        if self._late_failures(webhook) and not self._succeeded(webhook):
            return Verdict("failing", f"the only deliveries after the push failed{last_result(webhook)}")
        if self._succeeded(webhook):
            return Verdict("failing", f"deliveries after the push succeeded, then failed{last_result(webhook)}")
        return Verdict("quiet", "Featurebase delivered nothing after the push")

    def _succeeded(self, webhook: Webhook) -> bool:
        at = webhook.health.last_success_at
        return at is not None and at > self.counts_from

    def _late_failures(self, webhook: Webhook) -> int:
        """Consecutive failures that are certainly dated after ``counts_from``."""
        now = webhook.health.consecutive_failures
        last = webhook.last_status
        failed_late = last is not None and last.timestamp > self.counts_from and last.code not in SUCCESS_CODES
        if not failed_late or not now:
            self._failures_before = None
            return 0
        if self._succeeded(webhook):
            return now
        if self._failures_before is None or now <= self._failures_before:  # fewer: Featurebase began to count anew
            self._failures_before = now - 1
        return now - self._failures_before


def last_result(webhook: Webhook) -> str:
    """Featurebase's latest delivery result in brackets, safe for a log line; empty where there is none."""
    last = webhook.last_status
    if last is None:
        return ""
    # The message may be the receiver's own answer, and that may quote what it was sent.
    message = clean_text(one_line(last.message, len(last.message)), secrets=webhook.secret_values(), limit=200)
    return f" (last result: {last.code} {message!r} at {last.timestamp.isoformat()})"


def one_line(text: str | None, limit: int = 200) -> str:
    """Make an untrusted text safe for a log line: printable, on one line, at most ``limit`` characters."""
    clean = "".join(char if char.isprintable() else " " for char in text or "")
    return " ".join(clean.split())[:limit]
