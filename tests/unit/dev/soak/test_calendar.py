"""The calendar's year as data: everything that it is to try is in it, and nothing overlaps."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import get_args

import pytest

from dev.soak.calendar import BY_HAND, HELD, PAIR_BY_HAND, Happening, What, year
from dev.soak.calendar_part import PREVIOUS_OVER
from dev.soak.pair_calendar import MORE_AUDITS, pair_year

BEGINS = [
    datetime(2026, month, day, 13, 5, tzinfo=timezone.utc) for month, day in ((1, 31), (7, 1), (11, 25), (12, 31))
]


@pytest.mark.parametrize("begin", BEGINS)
def test_year_has_twelve_months_and_everything_that_can_happen(begin: datetime) -> None:
    happenings = year(begin)
    assert {one.what for one in happenings} == set(get_args(What)) - (set(PAIR_BY_HAND) - set(BY_HAND))
    ticks = [one.due or one.at for one in happenings if one.lane == "monthly" and one.what != "triggered"]
    assert [(tick.day, tick.hour) for tick in ticks] == [(1, 6)] * 12
    assert len({(tick.year, tick.month) for tick in ticks}) == 12
    assert begin < ticks[0] <= begin + timedelta(days=32)
    assert max(later - earlier for earlier, later in pairwise(ticks)) <= timedelta(days=31)


def test_year_of_pairs_has_everything_that_can_happen_to_a_pair() -> None:
    assert {one.what for one in pair_year(BEGINS[0], 12)} == set(get_args(What))


@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("pairs", [False, True])
def test_one_thing_is_over_before_the_next_begins(begin: datetime, pairs: bool) -> None:
    """What is paused a day before; and from events an hour before a refresh to the audit that drops the previous."""
    over = (1 + MORE_AUDITS * pairs) * PREVIOUS_OVER

    def span(one: Happening) -> tuple[datetime, datetime]:
        if one.what == "tick while the webhook was paused":
            return one.at - timedelta(days=1), one.at + timedelta(days=1)
        waits = timedelta(hours=4)  # for the audit, the way back, or the distribute run
        return one.at - timedelta(hours=1), one.at + waits + over + timedelta(minutes=30)

    spans = [span(one) for one in (pair_year(begin, 12) if pairs else year(begin))]
    assert all(end < begins for (_, end), (begins, _) in pairwise(spans))


def test_older_run_is_cleared_after_later_refreshes() -> None:
    """Of the same webhook, by other ways than a run of its Dag: the run knows nothing of them."""
    by_hand = [one.what for one in year(BEGINS[0]) if one.lane == "by hand"]
    first = by_hand.index("older run cleared")
    assert by_hand[first - 2 : first] == ["at Featurebase, then distributed", "at Featurebase, found by the audit"]
    assert "triggered" in by_hand[: first - 2]


def test_late_tick_is_later_than_runs_may_be() -> None:
    (late,) = [one for one in year(BEGINS[0]) if one.what == "tick came late"]
    assert late.due is not None
    assert late.at - late.due > timedelta(hours=1)
    assert not late.rotates
    assert late.what in HELD


def test_fewer_months_are_the_beginning_of_the_year() -> None:
    whole, short = year(BEGINS[2]), year(BEGINS[2], months=1.1)
    assert short == whole[: len(short)]
    assert [one.lane for one in short].count("monthly") == 2
