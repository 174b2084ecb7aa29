"""How old a signing secret is: Featurebase's webhook does not say, so it is a range."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from featurebase_provider.featurebase.text import in_words


@dataclass(frozen=True, slots=True)
class SecretAge:
    """Between which ages a secret is; both are the same where a run of ours refreshed to it.

    :param at_most: None where nothing bounds it.
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
    """A duration in words, in whole days from two days on."""
    return f"{age.days} d" if age >= timedelta(days=2) else in_words(age)
