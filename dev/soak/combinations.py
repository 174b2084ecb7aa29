"""The four combinations that are soaked: does the receiver keep the previous secret, and who signs retries how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KEY = "FEATUREBASE_WEBHOOK_SECRET"
PREVIOUS_KEY = "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"
RETRY_DELAYS = (60.0, 3600.0, 21600.0)
"""Seconds between the attempts of a delivery (Featurebase's guide "Delivery behaviors")."""


@dataclass(frozen=True)
class Combination:
    """One of the four.

    :param keeps_previous: whether the stores keep the previous secret and the receivers accept it.
    :param retry_signing: the secret that the sandbox signs retries with: that of the first attempt, or the current.
    """

    keeps_previous: bool
    retry_signing: Literal["first", "current"]

    @property
    def name(self) -> str:
        """Short and fit for a file name."""
        return f"previous-{'on' if self.keeps_previous else 'off'}-{self.retry_signing}"

    @property
    def title(self) -> str:
        """For people."""
        return f"previous {'on' if self.keeps_previous else 'off'}, retries: {self.retry_signing}"

    @property
    def may_lose(self) -> bool:
        """Whether an event that was not accepted before a refresh can stay refused for good."""
        return not self.keeps_previous and self.retry_signing == "first"


COMBINATIONS = tuple(Combination(keeps, signing) for keeps in (True, False) for signing in ("current", "first"))


def retry_span(speed: float) -> float:
    """Seconds from an event's first attempt to its last one, with the sandbox's clock that many times as fast."""
    return sum(RETRY_DELAYS) / speed
