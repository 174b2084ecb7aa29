"""The calendar's own arithmetic: what it calls kept, dropped, lost or broken must be so."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from dev.soak.calendar import Happening, What
from dev.soak.calendar_findings import CalendarFigures, Turn, sum_up_calendar
from dev.soak.combinations import COMBINATIONS, Combination

HOOK, OLD, NEW = "507f1f77bcf86cd799439011", "sha256:1111111111111111", "sha256:2222222222222222"
AT = datetime(2026, 3, 1, 6, tzinfo=timezone.utc)
KEEPING = Combination(keeps_previous=True, retry_signing="first")
LOSING = Combination(keeps_previous=False, retry_signing="first")


def turn(what: What = "on schedule", **changes: Any) -> Turn:
    """A rotation as it should be, in a store that keeps the previous secret."""
    facts: dict[str, Any] = {
        "before": OLD,
        "after": NEW,
        "refreshes": 1,
        "when_written": (NEW, OLD),
        "when_retries_are_over": (NEW, OLD),
        "at_the_end": (NEW, None),
        **changes,
    }
    return Turn(Happening(AT, "monthly", what), **facts)


def held(what: What, **changes: Any) -> Turn:
    """A run that changed nothing."""
    facts: dict[str, Any] = {"before": OLD, "after": OLD, "when_written": (OLD, None), "at_the_end": (OLD, None)}
    return Turn(Happening(AT, "monthly", what), **{**facts, **changes})


def event(name: str = "a", *, delivered: bool = True) -> dict[str, Any]:
    return {"id": name, "delivered": delivered}


def attempt(name: str, status: int | None, fingerprint: str = OLD, at: int = 2500) -> dict[str, Any]:
    return {"eventId": name, "webhookId": HOOK, "statusCode": status, "fingerprint": fingerprint, "at": at}


SECRETS = [
    {"webhookId": HOOK, "fingerprint": OLD, "at": 1000},
    {"webhookId": "another", "fingerprint": "sha256:3333333333333333", "at": 1500},
    {"webhookId": HOOK, "fingerprint": NEW, "at": 2000},
]


def figures(*turns: Turn, combination: Combination = KEEPING, **journal: Any) -> CalendarFigures:
    facts: dict[str, Any] = {"events": [event()], "deliveries": [attempt("a", 200)], "received": {"a"}}
    return sum_up_calendar(combination, turns, secrets=SECRETS, **{**facts, **journal})


def test_previous_that_was_kept_and_dropped_in_time_is_fine() -> None:
    found = figures(turn())
    assert found.broken == []
    assert (found.previous_kept, found.previous_kept_through_retries, found.previous_dropped) == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"when_written": (NEW, None), "when_retries_are_over": (NEW, None)}, "was not kept"),
        ({"when_written": (NEW, "sha256:other"), "when_retries_are_over": (NEW, "sha256:other")}, "was not kept"),
        ({"when_retries_are_over": (NEW, None)}, "dropped while retries"),
        ({"at_the_end": (NEW, OLD)}, "for longer than previous_for"),
        ({"when_written": (OLD, None)}, "the store held"),
        ({"at_the_end": (OLD, None)}, "the store held"),
        ({"refreshes": 2}, "refreshed 2 times"),
        ({"refreshes": 0, "after": OLD}, "refreshed 0 times"),
        ({"problems": ["a task crashed: boom"]}, "a task crashed: boom"),
    ],
)
def test_rotation_that_is_not_as_it_must_be_is_broken(changes: dict[str, Any], problem: str) -> None:
    broken = figures(turn(**changes)).broken
    assert any(problem in one and "monthly__2026-03-01T06 (on schedule)" in one for one in broken), broken


def test_store_without_a_previous_secret_keeps_none() -> None:
    found = figures(
        turn(when_written=(NEW, None), when_retries_are_over=(NEW, None)),
        combination=Combination(keeps_previous=False, retry_signing="current"),
    )
    assert (found.broken, found.previous_kept, found.previous_dropped) == ([], 0, 0)


@pytest.mark.parametrize(
    ("what", "state"),
    [("tick came late", "skipped"), ("tick while the webhook was paused", "failed"), ("older run cleared", None)],
)
def test_run_that_is_held_changes_nothing(what: What, state: str | None) -> None:
    assert figures(held(what, held_by=state), turn()).broken == []
    for changes in ({"refreshes": 1, "after": NEW}, {"at_the_end": (NEW, None)}, {"at_the_end": (OLD, NEW)}):
        assert figures(held(what, held_by=state, **changes), turn()).broken
    assert figures(held(what, held_by="success"), turn()).broken


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda one: one.name)
def test_lost_event_is_broken_in_three_of_four(combination: Combination) -> None:
    kept = (NEW, OLD if combination.keeps_previous else None)
    found = figures(
        turn(when_written=kept, when_retries_are_over=kept),
        combination=combination,
        events=[event(), event("b", delivered=False)],
        deliveries=[attempt("a", 200), attempt("b", 503), attempt("b", 401)],
    )
    assert (found.lost, found.refused) == (1, 1)
    assert bool(found.broken) is (combination != LOSING)
    assert all("503, signed with a replaced secret; 1970-01-01" in one for one in found.broken)


def test_event_lost_for_another_reason_is_broken_everywhere() -> None:
    lost = {"events": [event("b", delivered=False)], "deliveries": [attempt("b", 401), attempt("b", 503)]}
    broken = figures(turn(when_written=(NEW, None)), combination=LOSING, **lost).broken
    assert any("another reason" in one for one in broken)


def test_delivery_that_no_receiver_has_is_broken() -> None:
    assert "no receiver has them" in figures(turn(), received=set()).broken[0]


def test_accepted_with_a_replaced_secret_is_what_was_signed_before_and_came_after_the_refresh() -> None:
    deliveries = [
        attempt("a", 200, OLD, at=1999),
        attempt("b", 401, OLD, at=2001),
        attempt("c", 200, NEW, at=2001),
        attempt("d", 200, OLD, at=2000),
        attempt("e", 204, OLD, at=9000),
    ]
    assert figures(turn(), deliveries=deliveries).accepted_with_replaced == 2


def test_calendar_that_tried_nothing_is_broken() -> None:
    """Nothing lost says nothing if nothing had to be accepted with the previous secret."""
    deliveries = [attempt("a", 200, NEW)]
    assert "nothing was tried" in figures(turn(), deliveries=deliveries).broken[0]
    current = Combination(keeps_previous=True, retry_signing="current")
    assert figures(turn(), deliveries=deliveries, combination=current).broken == []


def test_everything_is_counted() -> None:
    found = figures(
        turn(audits=2, healed=["previous_overdue"]),
        turn("triggered", audits=1),
        held("tick came late", held_by="skipped"),
        deliveries=[attempt("a", 200), attempt("b", 200)],
    )
    assert found.rotations == {"on schedule": 1, "triggered": 1}
    assert found.held == {"tick came late": 1}
    assert (found.audits, found.healed, found.emitted) == (3, {"previous_overdue": 1}, 1)
