"""The age of a signing secret. Featurebase does not report it, so it may be known only as a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from featurebase_provider.featurebase.text import in_words


@dataclass(frozen=True, slots=True)
class SecretAge:
    """The range of a secret's age. Both limits are equal if a run of this provider refreshed it.

    :param at_most: None if there is no upper limit.
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
        least = self.at_least >= timedelta(days=1)
        if self.at_most is None:
            return f"unknown, at least {rounded(self.at_least)}" if least else "unknown"
        return (
            f"unknown, {rounded(self.at_least)} to {rounded(self.at_most)}"
            if least
            else (f"unknown, at most {rounded(self.at_most)}")
        )

    def is_over(self, limit: timedelta) -> bool:
        """Whether it certainly is older than ``limit``."""
        return self.at_least > limit

    def may_be_over(self, limit: timedelta) -> bool:
        """Whether it may be older than ``limit``."""
        return self.at_most is None or self.at_most > limit


def rounded(age: timedelta) -> str:
    """A duration for people, in whole days if it is two days or longer."""
    return f"{age.days} d" if age >= timedelta(days=2) else in_words(age)
