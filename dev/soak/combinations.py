"""What is soaked side by side: what a receiver can do, and what Featurebase may do and does not document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "FEATUREBASE_WEBHOOK_SECRET"
PREVIOUS_KEY = "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"
RETRY_DELAYS = (60.0, 3600.0, 21600.0)
"""Seconds between the attempts of a delivery (Featurebase's guide "Delivery behaviors")."""


@dataclass(frozen=True)
class Combination:
    """One of them.

    :param keeps_previous: whether the stores keep the previous secret and the receivers accept it.
    :param retry_signing: the secret that the sandbox signs retries with: that of the first attempt, or the current.
    :param switches: further switches of the sandbox, and their values.
    :param label: names it, if it has further switches.
    """

    keeps_previous: bool
    retry_signing: Literal["first", "current"]
    switches: Mapping[str, str | float] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """Short and fit for a file name."""
        if self.label:
            return f"pair-{self.label.replace(' ', '-').replace(',', '')}"
        return f"previous-{'on' if self.keeps_previous else 'off'}-{self.retry_signing}"

    @property
    def title(self) -> str:
        """For people."""
        return self.label or f"previous {'on' if self.keeps_previous else 'off'}, retries: {self.retry_signing}"

    @property
    def may_lose(self) -> bool:
        """Whether an event that was not accepted before a refresh can stay refused for good."""
        return not self.keeps_previous and self.retry_signing == "first"


COMBINATIONS = tuple(Combination(keeps, signing) for keeps in (True, False) for signing in ("current", "first"))
PAIR_COMBINATIONS = (
    Combination(True, "current", {"pausing": "drops", "event_ids": "each", "same_url": "refused"}, "pausing drops"),
    Combination(
        True,
        "first",
        {"pausing": "keeps", "event_ids": "shared", "matched": "delivery", "delivery_lag": 0.5},
        "pausing keeps, late events",
    ),
    Combination(
        True,
        "first",
        {"config_cache": 0.8, "audit_log": "forbidden", "updated_at": "stays", "timestamps": "seconds"},
        "cached configuration, no log",
    ),
    Combination(
        True, "current", {"stale_share": 0.15, "pausing": "keeps", "audit_log_lag": 5.0}, "stale reads, late log"
    ),
)
"""For a pair of webhooks. Its stores always keep two secrets. ``delivery_lag`` is in seconds of real time."""
PAIR_YEARS = PAIR_COMBINATIONS[:3]
"""In the calendar a stale read would show what was true months ago, which no lag of Featurebase's can explain."""


def retry_span(speed: float) -> float:
    """Seconds from an event's first attempt to its last one, with the sandbox's clock that many times as fast."""
    return sum(RETRY_DELAYS) / speed
