"""How often a run refreshed, by its own records and by Featurebase's audit log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.plan import ThisRun
from featurebase_provider.rotation.refresh_count import MOST_NAMED, RefreshCount, refreshes_by
from featurebase_provider.rotation.refresh_log import LoggedRefresh, RefreshesSincePlan
from featurebase_provider.rotation.report import make_report
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.run_facts import RunFacts
from tests.world.fakes import START, THIS_RUN, WEBHOOK_ID, a_plan, fingerprint

OURS = LoggedRefresh(START, "the API key 'airflow'")
THEIRS = LoggedRefresh(START + timedelta(minutes=5), "'admin'")


@pytest.mark.parametrize(
    ("how", "recorded", "later_try", "count"),
    [
        ("answered", 0, False, 1),
        ("found_after_lost_answer", 0, True, 1),
        ("answered", 1, True, 2),  # the first one was recorded, and an orphaned twin sent another
        ("already_done", 0, False, 0),  # somebody was faster than the first try
        ("already_done", 0, True, None),  # an earlier try, or somebody: nobody recorded it
        ("already_done", 1, True, 1),
        ("not_asked", 0, True, 0),
    ],
)
def test_what_a_run_knows_it_caused(how: Any, recorded: int, later_try: bool, count: int | None) -> None:
    """What it can't tell is never taken for none."""
    assert refreshes_by(how, recorded=recorded, later_try=later_try) == count


@pytest.mark.parametrize(
    ("by_run", "log", "summary", "difference"),
    [
        (0, None, None, None),  # it could not refresh, and nothing was asked
        (1, None, "1 by this run", None),
        (None, None, "this run can't tell whether it refreshed", None),
        (1, RefreshesSincePlan((OURS,)), "1 by this run; 1 in Featurebase's audit log since its plan", None),
        (0, RefreshesSincePlan(()), "0 by this run; 0 in Featurebase's audit log since its plan", None),
        (
            1,
            RefreshesSincePlan((), "HTTP 403"),
            "1 by this run; unknown to Featurebase's audit log, which can't be read: HTTP 403",
            None,
        ),
        (
            1,
            RefreshesSincePlan((OURS,), "no second page"),
            "1 by this run; unknown to Featurebase's audit log, which can't be read: no second page",
            None,
        ),
        (
            1,
            RefreshesSincePlan(()),
            "1 by this run; 0 in Featurebase's audit log since its plan",
            "shows no refreshes of the secret since the run's plan, but this run knows of 1. The log may lag",
        ),
        (
            2,
            RefreshesSincePlan((OURS,)),
            "2 by this run; 1 in Featurebase's audit log since its plan",
            "shows 1 refresh of the secret since the run's plan, but this run knows of 2. The log may lag",
        ),
        (
            1,
            RefreshesSincePlan((THEIRS, OURS)),
            "1 by this run; 2 in Featurebase's audit log since its plan",
            "'admin', 2026-01-15T10:30:00+00:00 by the API key 'airflow'), but this run knows of 1. The rest was",
        ),
        (
            0,
            RefreshesSincePlan((THEIRS,)),
            "0 by this run; 1 in Featurebase's audit log since its plan",
            "plan (2026-01-15T10:35:00+00:00 by 'admin'), but this run knows of none. The rest was done by a person",
        ),
        (
            None,
            RefreshesSincePlan((OURS,)),
            "this run can't tell whether it refreshed; 1 in Featurebase's audit log since its plan",
            "(2026-01-15T10:30:00+00:00 by the API key 'airflow'). This run can't tell whether that was its own doing",
        ),
        (
            None,
            RefreshesSincePlan(()),
            "this run can't tell whether it refreshed; 0 in Featurebase's audit log since its plan",
            None,
        ),
    ],
)
def test_both_counts_and_where_they_differ(
    by_run: int | None, log: RefreshesSincePlan | None, summary: str | None, difference: str | None
) -> None:
    count = RefreshCount(by_run) if log is None else RefreshCount(by_run).with_log(log)
    assert count.summary == summary
    assert str(difference) in str(count.difference)


def test_of_many_refreshes_the_newest_are_named() -> None:
    many = tuple(replace(OURS, at=START - timedelta(minutes=number)) for number in range(MOST_NAMED + 3))
    said = str(RefreshCount(1, many).difference)
    assert said.count(" by the API key ") == MOST_NAMED
    assert "and 3 earlier" in said
    assert "earlier" not in str(RefreshCount(1, many[:MOST_NAMED]).difference)


def test_a_count_survives_json() -> None:
    known, unknown = RefreshCount(1, (THEIRS,)), RefreshCount(None, problem="HTTP 403")
    assert known.as_json() == {
        "by_run": 1,
        "logged": [{"at": "2026-01-15T10:35:00+00:00", "by": "'admin'"}],
        "problem": None,
    }
    assert unknown.as_json() == {"by_run": None, "logged": None, "problem": "HTTP 403"}
    assert json.loads(json.dumps(known.as_json())) == known.as_json()


def a_report(count: RefreshCount | None = None, rotation: RotationOutcome | None = None) -> Any:
    facts = RunFacts(a_plan(), rotation, {}, **({} if count is None else {"refreshes": count}))
    return make_report(facts, webhook="production", dag_id="d", run_id="r", at=START.isoformat(), mode="rotate")


def test_a_report_shows_both_counts_and_the_difference_once() -> None:
    rotation = RotationOutcome(a_plan(), "answered", fingerprint("1"), notes=("a note",))
    report = a_report(RefreshCount(1, (THEIRS, OURS)), rotation)
    assert report.as_json()["refreshes"] == RefreshCount(1, (THEIRS, OURS)).as_json()
    assert report.notes == ("a note", RefreshCount(1, (THEIRS, OURS)).difference)
    text = report.as_text(width=200)
    assert "1 by this run; 2 in Featurebase's audit log since its plan" in text
    assert text.count("by 'admin'") == 1


def test_a_log_that_cannot_be_read_is_told_once_and_no_note() -> None:
    report = a_report(RefreshCount(1, problem="HTTP 403"))
    assert report.as_text(width=200).count("HTTP 403") == 1
    assert report.notes == ()


def test_a_run_that_could_not_refresh_says_nothing_of_it() -> None:
    report = a_report()
    assert report.as_json()["refreshes"] == {"by_run": 0, "logged": None, "problem": None}
    assert "by this run" not in report.as_text()


# What the history records.


def an_outcome(name: str, at: timedelta, how: Any = "answered") -> RotationOutcome:
    moment = (START + at).isoformat()
    return RotationOutcome(
        a_plan(), how, fingerprint(name), refreshed_at=moment if how != "already_done" else None, distributed_at=moment
    )


def test_the_history_knows_which_run_refreshed_to_a_secret() -> None:
    """By the run's name: a cleared run starts anew, and finds what its first try did."""
    second = timedelta(seconds=1)
    run = replace(THIS_RUN, started=(START - second).isoformat())
    other = ThisRun("featurebase_emergency_rotation", "manual__2", START.isoformat())
    history = History(WEBHOOK_ID).after_rotation(an_outcome("1", second), run=run.mark)
    history = history.after_rotation(an_outcome("2", 2 * second), run=other.mark)
    history = History.from_json(json.loads(json.dumps(history.as_json())), WEBHOOK_ID)
    assert history.refreshed_after(START.isoformat()) == {fingerprint("1"), fingerprint("2")}
    assert history.refreshed_after(START.isoformat(), by=THIS_RUN.name) == {fingerprint("1")}
    assert history.refreshed_after(START.isoformat(), by=other.name) == {fingerprint("2")}
    later = history.after_rotation(an_outcome("1", 3 * second, "already_done"), run=replace(run, cleared=True).mark)
    assert later.refreshed_after(START.isoformat(), by=THIS_RUN.name) == {fingerprint("1")}


def test_a_deleted_run_of_the_same_name_is_another() -> None:
    """Its refresh came before this one's plan; but the clocks of two tasks may differ by a second or two."""
    history = History(WEBHOOK_ID).after_rotation(an_outcome("1", timedelta(seconds=-1)), run=THIS_RUN.mark)
    assert history.refreshed_after(START.isoformat(), by=THIS_RUN.name) == {fingerprint("1")}
    assert history.refreshed_after(START.isoformat()) == frozenset()
    history = History(WEBHOOK_ID).after_rotation(an_outcome("1", timedelta(seconds=-3)), run=THIS_RUN.mark)
    assert history.refreshed_after(START.isoformat(), by=THIS_RUN.name) == frozenset()


def test_a_history_of_an_older_version_names_no_run() -> None:
    raw = {"secrets": [{"fingerprint": fingerprint("1"), "refreshed_at": START.isoformat()}]}
    history = History.from_json(raw, WEBHOOK_ID)
    assert history.refreshed_after((START - timedelta(hours=1)).isoformat()) == {fingerprint("1")}
    assert history.refreshed_after((START - timedelta(hours=1)).isoformat(), by=THIS_RUN.name) == frozenset()


def test_a_rotation_that_only_found_a_secret_did_not_refresh_it() -> None:
    history = History(WEBHOOK_ID).after_rotation(an_outcome("1", timedelta(), "already_done"), run=THIS_RUN.mark)
    assert history.refreshed_after((START - timedelta(hours=1)).isoformat(), by=THIS_RUN.name) == frozenset()
