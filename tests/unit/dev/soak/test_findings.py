"""The soak's own arithmetic: what it calls lost, explained or broken must be so."""

from __future__ import annotations

from typing import Any

import pytest

from dev.soak.combinations import COMBINATIONS, Combination
from dev.soak.findings import Figures, Injected, Rotation, percentiles, sum_up

HOOK, FIRST, SECOND = "507f1f77bcf86cd799439011", "sha256:1111111111111111", "sha256:2222222222222222"
PREVIOUS_ON = Combination(keeps_previous=True, retry_signing="first")
LOSING = Combination(keeps_previous=False, retry_signing="first")


def rotation(**changes: Any) -> Rotation:
    fields: dict[str, Any] = {
        "webhook_id": HOOK,
        "run_id": "manual__0",
        "began": 1000,
        "quiet": True,
        "outcome": "rotated",
        "writes": [(2040, FIRST)],
        "after": FIRST,
    }
    return Rotation(**{**fields, **changes})


def refresh(at: int, *, committed: bool = True) -> dict[str, Any]:
    return {"at": at, "method": "POST", "path": f"/v2/webhooks/{HOOK}/secret", "status": 200, "committed": committed}


def late(seconds: float, added: int = 1500) -> Injected:
    return Injected(1, "POST", "POST late_commit", added, seconds, met=True)


def event(name: str = "a", *, delivered: bool = True) -> dict[str, Any]:
    return {"id": name, "delivered": delivered}


def attempt(name: str, number: int, status: int | None) -> dict[str, Any]:
    return {"eventId": name, "attempt": number, "statusCode": status}


def figures(
    *rotations: Rotation, combination: Combination = PREVIOUS_ON, current: str = FIRST, **journal: Any
) -> Figures:
    facts: dict[str, Any] = {
        "requests": [refresh(2000)],
        "events": [event()],
        "deliveries": [attempt("a", 1, 200)],
        "received": {"a"},
    }
    return sum_up(combination, rotations, current={HOOK: current}, seconds=1.0, **{**facts, **journal})


def test_one_refresh_that_reached_the_store_is_fine() -> None:
    """The exposure is counted from the refresh's arrival to the write, seen from outside."""
    found = figures(rotation())
    assert (found.broken, found.refreshes, found.exposure_ms["max"]) == ([], {1: 1}, 40)


def test_second_refresh_without_a_reason_is_broken() -> None:
    found = figures(rotation(), requests=[refresh(2000), refresh(9000)])
    assert "unexplained second refresh" in found.broken[0]


@pytest.mark.parametrize(("commits_after", "explained"), [(8.0, True), (3.0, False)])
def test_second_refresh_is_explained_by_a_commit_that_came_after_it_only(commits_after: float, explained: bool) -> None:
    """One that had committed long before the second was sent should have been seen."""
    found = figures(rotation(injected=[late(commits_after)]), requests=[refresh(2000), refresh(9000)])
    assert (bool(found.explained), bool(found.broken)) == (explained, not explained)


def test_late_fault_counts_for_the_call_that_met_it() -> None:
    """The sandbox's faults are met in order: the first refresh took the late one, and the second was on time."""
    found = figures(
        rotation(injected=[late(8.0), late(0.0)], writes=[(9050, FIRST)]),
        requests=[refresh(2000, committed=False), refresh(9000)],
    )
    assert (found.refreshes, found.exposure_ms["max"], found.broken) == ({1: 1}, 50, [])


def test_refreshes_belong_to_the_rotation_in_which_they_arrived() -> None:
    found = figures(
        rotation(),
        rotation(run_id="manual__1", began=5000, writes=[(6030, SECOND)], after=SECOND),
        requests=[refresh(2000), refresh(6000)],
        current=SECOND,
    )
    assert (found.refreshes, found.broken) == ({1: 2}, [])


def test_rotation_without_refresh_is_broken() -> None:
    assert "was not refreshed" in figures(rotation(), requests=[refresh(2000, committed=False)]).broken[0]


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda one: one.name)
def test_lost_event_is_broken_in_three_of_four(combination: Combination) -> None:
    """Only where nothing keeps the previous secret and retries are signed with it can an event stay refused."""
    found = figures(
        rotation(),
        combination=combination,
        events=[event(), event("b", delivered=False)],
        deliveries=[attempt("a", 1, 200), attempt("b", 1, 503), attempt("b", 2, 401)],
    )
    assert (found.lost, found.lost_first_failed_otherwise, found.accepted) == (1, 1, 1)
    assert bool(found.broken) is (combination != LOSING)


def test_event_lost_for_another_reason_is_broken_everywhere() -> None:
    found = figures(
        rotation(),
        combination=LOSING,
        events=[event(), event("b", delivered=False)],
        deliveries=[attempt("a", 1, 200), attempt("b", 1, 401), attempt("b", 2, None)],
    )
    assert "another reason" in found.broken[0]


def test_delivery_that_no_receiver_has_is_broken() -> None:
    assert "no receiver has them" in figures(rotation(), received=set()).broken[0]


def test_store_that_differs_at_the_end_is_broken() -> None:
    assert "does not hold" in figures(rotation(), current=SECOND).broken[0]


def test_soak_without_events_is_broken() -> None:
    """Nothing lost says nothing if nothing was emitted."""
    assert figures(rotation(), events=[], deliveries=[]).broken == ["no event was emitted"]


def test_percentiles_are_measured_values() -> None:
    assert percentiles(range(1, 101)) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert percentiles([7.0]) == {"p50": 7, "p90": 7, "p99": 7, "max": 7}
    assert percentiles([]) == {"p50": None, "p90": None, "p99": None, "max": None}
