"""A year of rotations, as data: what happens to which webhook, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Lane = Literal["monthly", "daily", "by hand"]
LANES: tuple[Lane, ...] = ("monthly", "daily", "by hand")
"""Each is a webhook of its own, rotated in its own rhythm."""

What = Literal[
    "on schedule",
    "triggered",
    "at Featurebase, then distributed",
    "at Featurebase, found by the audit",
    "tick came late",
    "tick while the webhook was paused",
    "older run cleared",
    "triggered, then reverted",
    "standby refreshed at Featurebase",
    "both set active at Featurebase",
    "run lost after activate",
]
HELD: frozenset[What] = frozenset({"tick came late", "tick while the webhook was paused", "older run cleared"})
"""What must refresh nothing and change no store."""

FIRST_OF_MONTH = timedelta(hours=6)
MONTHS = 12
DAYS_IN_A_ROW = 3
MONTHS_BY_HAND = 8
BY_HAND: tuple[What, ...] = (
    "triggered",
    "at Featurebase, then distributed",
    "at Featurebase, found by the audit",
    "older run cleared",
)
PAIR_BY_HAND: tuple[What, ...] = (
    "triggered, then reverted",
    "run lost after activate",
    "at Featurebase, found by the audit",
    "both set active at Featurebase",
    "standby refreshed at Featurebase",
    "triggered",
    "at Featurebase, then distributed",
    "older run cleared",
)
"""What people do with a pair, and what befalls it."""


@dataclass(frozen=True)
class Happening:
    """Something that happens to a webhook.

    :param due: when the scheduler's run was due, where it comes late.
    """

    at: datetime
    lane: Lane
    what: What
    due: datetime | None = None

    @property
    def rotates(self) -> bool:
        """Whether the secret is refreshed, by a run or by a person."""
        return self.what not in HELD

    @property
    def name(self) -> str:
        """Fit for a run id."""
        return f"{self.lane.replace(' ', '-')}__{self.at:%Y-%m-%dT%H}"


def year(
    begin: datetime,
    *,
    months: float = MONTHS,
    by_hand: Sequence[What] = BY_HAND,
) -> list[Happening]:
    """What happens in the twelve months that begin with the next one, in order.

    A webhook that is rotated on the first of each month; one that is rotated daily for a while, twice; one that
    people rotate, in each way that they can.

    :param months: leave out what happens after so many.
    :param by_hand: what happens to the webhook that people rotate, month by month.
    """
    firsts = [_first_of_month(begin, number) + FIRST_OF_MONTH for number in range(1, MONTHS + 1)]
    happenings = [
        *_monthly(firsts),
        *(
            Happening(firsts[first] + timedelta(days=9 + day), "daily", "on schedule")
            for first in (1, 6)
            for day in range(DAYS_IN_A_ROW)
        ),
        *(
            Happening(month + timedelta(days=19), "by hand", by_hand[number % len(by_hand)])
            for number, month in enumerate(firsts[:MONTHS_BY_HAND])
        ),
    ]
    end = firsts[0] + timedelta(days=months * 366 / MONTHS)
    return sorted((one for one in happenings if one.at < end), key=lambda one: one.at)


def _monthly(months: list[datetime]) -> list[Happening]:
    """Every month on schedule, but for one in which the Dag was paused, and one in which the webhook was."""
    happenings = []
    for number, month in enumerate(months):
        if number == 4:
            late = month + timedelta(days=3)
            happenings.append(Happening(late, "monthly", "tick came late", due=month))
            happenings.append(Happening(late + timedelta(days=2), "monthly", "triggered"))
        elif number == 8:
            happenings.append(Happening(month, "monthly", "tick while the webhook was paused"))
            happenings.append(Happening(month + timedelta(days=3), "monthly", "triggered"))
        else:
            happenings.append(Happening(month, "monthly", "on schedule"))
    return happenings


def _first_of_month(begin: datetime, later: int) -> datetime:
    years, month = divmod(begin.month - 1 + later, 12)
    return begin.replace(year=begin.year + years, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
