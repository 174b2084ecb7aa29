from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.rotation.schedule import (
    RunTiming,
    first_seen_at,
    in_words,
    known_fingerprints,
    previous_is_over,
    refreshed_at,
    replaced_fingerprints,
    why_late,
    why_no_backfill,
    why_too_young,
)
from tests.unit.rotation.fakes import START, WEBHOOK_ID

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCHEDULED = RunTiming(scheduled=True, run_after=START)
BY_HAND = RunTiming(scheduled=False, run_after=START)


def report(after: object = "sha256:b", **facts: Any) -> dict[str, Any]:
    return {"webhook_id": WEBHOOK_ID, "before": "sha256:a", "after": after, "at": START.isoformat(), **facts}


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
    why = why_too_young(SCHEDULED, refreshed_at=START - HOUR, now=START, min_age=DAY)
    assert why is not None
    assert "1 h ago, less than min_age (1 d); nothing was changed" in why


@pytest.mark.parametrize(
    ("timing", "age", "min_age"),
    [(SCHEDULED, DAY, DAY), (SCHEDULED, HOUR, None), (SCHEDULED, None, DAY), (BY_HAND, HOUR, DAY)],
    ids=["old enough", "no bound", "age unknown", "by hand"],
)
def test_other_secrets_are_old_enough(timing: RunTiming, age: timedelta | None, min_age: timedelta | None) -> None:
    since = START - age if age is not None else None
    assert why_too_young(timing, refreshed_at=since, now=START, min_age=min_age) is None


def test_the_latest_refresh_of_a_fingerprint_counts() -> None:
    reports = [
        report(refreshed_at=START.isoformat()),
        report(refreshed_at=(START + HOUR).isoformat()),
        report("sha256:other", refreshed_at=(START + DAY).isoformat()),
        report(refreshed_at=None),
    ]
    assert refreshed_at(reports, "sha256:b") == START + HOUR


@pytest.mark.parametrize("moment", [None, 12, "soon", "2026-01-15T10:30:00"])
def test_what_is_no_aware_time_tells_nothing(moment: object) -> None:
    """Reports are asset events, which anybody with the right to can create."""
    assert refreshed_at([report(refreshed_at=moment)], "sha256:b") is None
    assert first_seen_at([report(at=moment)], "sha256:b") is None


def test_a_secret_rotated_by_hand_is_as_old_as_its_first_report() -> None:
    reports = [report(at=(START + DAY).isoformat()), report(), report("sha256:other", at=(START - DAY).isoformat())]
    assert first_seen_at(reports, "sha256:b") == START


@pytest.mark.parametrize(
    ("reports", "over"),
    [
        ([report(refreshed_at=(START - 9 * HOUR).isoformat())], True),
        ([report(refreshed_at=(START - 8 * HOUR).isoformat())], False),
        ([report(at=(START - 9 * HOUR).isoformat())], True),
        ([report(at=(START - HOUR).isoformat(), refreshed_at=(START - 9 * HOUR).isoformat())], True),
        ([], False),
    ],
    ids=["over", "not yet", "by first report", "the refresh counts, not the report", "unknown"],
)
def test_when_a_previous_secret_has_had_its_time(reports: list[dict[str, Any]], over: bool) -> None:
    assert previous_is_over(iter(reports), "sha256:b", now=START, previous_for=8 * HOUR) is over


def test_what_earlier_reports_know_as_ours() -> None:
    reports = [
        report(),
        report(before="sha256:b", after="sha256:c"),
        report(before=None, after=3),
        report(before="sha256:x", webhook_id="0" * 24),
    ]
    assert known_fingerprints(reports, WEBHOOK_ID) == ("sha256:a", "sha256:b", "sha256:c")


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


def test_what_rotate_saw_replaced_is_over() -> None:
    """Only a rotation that saw another secret proves it: not one that asked for none, nor another webhook's."""
    reports = [
        report(how="answered"),
        report(how="found_after_lost_answer", before="sha256:c"),
        report(how="already_done", before="sha256:d"),
        report(how="not_asked", before="sha256:e"),
        report(before="sha256:f"),
        report(how="answered", before=None),
        report(how="answered", before="sha256:g", webhook_id="another"),
    ]
    assert replaced_fingerprints(reports, WEBHOOK_ID) == {"sha256:a", "sha256:c", "sha256:d"}
