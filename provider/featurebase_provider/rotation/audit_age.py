"""How old a signing secret is, as far as our own reports and the webhook's age can tell: the API knows no age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.schedule import first_seen_at, in_words, last_seen_otherwise, refreshed_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class SecretAge:
    """Between which ages a secret is; both are the same where one of our reports says when it was refreshed.

    ``at_most`` is None where nothing bounds it: Featurebase did not say when the webhook was made.
    """

    at_least: timedelta
    at_most: timedelta | None

    @property
    def known(self) -> bool:
        """Whether it is known when the secret was refreshed."""
        return self.at_least == self.at_most

    def __str__(self) -> str:
        if self.known:
            return rounded(self.at_least)
        if self.at_most is None:
            return "unknown"
        if self.at_least < timedelta(days=1):
            return f"unknown, at most {rounded(self.at_most)}"
        return f"unknown, {rounded(self.at_least)} to {rounded(self.at_most)}"

    def is_over(self, limit: timedelta) -> bool:
        """Whether it certainly is older than ``limit``."""
        return self.at_least > limit

    def may_be_over(self, limit: timedelta) -> bool:
        """Whether it may be older than ``limit``."""
        return self.at_most is None or self.at_most > limit


def secret_age(
    reports: Sequence[Mapping[str, Any]], fingerprint: str, *, created_at: datetime | None, now: datetime
) -> SecretAge:
    """Bound the age of the secret with this fingerprint.

    Exact where a report of ours refreshed it. Else it is at least as old as the first report that saw it, and
    younger than the last report before that which saw another secret, and than the webhook.

    :param created_at: when the webhook was made, None where that is unknown.
    :param now: server time.
    """
    none = timedelta()
    exact = refreshed_at(reports, fingerprint)
    if exact is not None:
        return SecretAge(max(now - exact, none), max(now - exact, none))
    first = first_seen_at(reports, fingerprint)
    before = last_seen_otherwise(reports, fingerprint, until=first)
    at_least = max(now - first, none) if first is not None else none
    starts = [moment for moment in (created_at, before) if moment is not None]
    if not starts:
        return SecretAge(at_least, None)
    at_most = max(now - max(starts), none)
    return SecretAge(min(at_least, at_most), at_most)


def rounded(age: timedelta) -> str:
    """A duration in words, in whole days from two days on."""
    return f"{age.days} d" if age >= timedelta(days=2) else in_words(age)
