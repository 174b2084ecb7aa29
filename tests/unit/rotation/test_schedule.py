from __future__ import annotations

from datetime import timedelta

import pytest

from featurebase_provider.featurebase.text import in_words
from featurebase_provider.rotation.schedule import RunTiming, why_late, why_no_backfill, why_too_young
from tests.world.fakes import START

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCHEDULED = RunTiming(scheduled=True, run_after=START)
BY_HAND = RunTiming(scheduled=False, run_after=START)


def test_a_scheduled_run_that_starts_too_late_is_held() -> None:
    """Airflow runs a missed tick when a Dag is unpaused, perhaps in the middle of the day."""
    why = why_late(SCHEDULED, now=START + HOUR + timedelta(seconds=1), late_start=HOUR)
    assert why is not None
    assert "starts 1 h 1 s late, more than late_start (1 h) allows; nothing was changed" in why


@pytest.mark.parametrize(
    ("timing", "late", "allowed"),
    [
        (SCHEDULED, HOUR, HOUR),
        (SCHEDULED, -HOUR, HOUR),
        (SCHEDULED, 30 * DAY, None),
        (BY_HAND, 30 * DAY, HOUR),
        (RunTiming(scheduled=True, run_after=None), 30 * DAY, HOUR),
    ],
    ids=["just in time", "early", "no bound", "by hand", "no due time"],
)
def test_other_runs_are_not_late(timing: RunTiming, late: timedelta, allowed: timedelta | None) -> None:
    assert why_late(timing, now=START + late, late_start=allowed) is None


def test_a_backfill_refreshes_nothing() -> None:
    """It would refresh once for each of its dates."""
    backfill = RunTiming(scheduled=False, run_after=START, backfill=True)
    assert "nothing was changed" in str(why_no_backfill(backfill))
    assert [why_no_backfill(timing) for timing in (SCHEDULED, BY_HAND)] == [None, None]


def test_a_scheduled_run_leaves_a_young_secret_alone() -> None:
    why = why_too_young(SCHEDULED, age=HOUR, min_age=DAY, late_start=HOUR)
    assert why is not None
    assert "at most 1 h old, less than min_age (1 d); nothing was changed" in why


@pytest.mark.parametrize(
    ("timing", "age", "min_age"),
    [(SCHEDULED, DAY, DAY), (SCHEDULED, HOUR, None), (SCHEDULED, None, DAY), (BY_HAND, HOUR, DAY)],
    ids=["old enough", "no bound", "age unknown", "by hand"],
)
def test_other_secrets_are_old_enough(timing: RunTiming, age: timedelta | None, min_age: timedelta | None) -> None:
    assert why_too_young(timing, age=age, min_age=min_age, late_start=timedelta(seconds=1)) is None


@pytest.mark.parametrize(("age", "held"), [(DAY, False), (DAY - timedelta(seconds=1), True)])
def test_without_a_bound_for_late_starts_min_age_holds_to_the_second(age: timedelta, held: bool) -> None:
    assert (why_too_young(SCHEDULED, age=age, min_age=DAY, late_start=None) is not None) is held


@pytest.mark.parametrize(("age", "held"), [(DAY - timedelta(seconds=5), False), (DAY - 2 * HOUR, True)])
def test_a_daily_schedule_rotates_each_day(age: timedelta, held: bool) -> None:
    """The refresh comes seconds after its tick, so the next tick finds a secret that is seconds short of a day."""
    assert (why_too_young(SCHEDULED, age=age, min_age=DAY, late_start=HOUR) is not None) is held


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (45, "45 s"),
        (3900, "1 h 5 min"),
        (3661, "1 h 1 min"),
        (86405, "1 d 5 s"),
        (185000, "2 d 3 h"),
        (-5, "0 s"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
