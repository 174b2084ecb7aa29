"""A run that fails before the deliveries moved leaves the stores as they were, or says what it left where."""

from __future__ import annotations

import pytest

from featurebase_provider.rotation.errors import StoreUnreachable
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.take_back import take_back
from tests.world.fake_pair import PREVIOUS_FOR, FakePair
from tests.world.fakes import api_unreachable, failing
from tests.world.pair_states import A, B


@pytest.fixture
def pair() -> FakePair:
    return FakePair()


@pytest.fixture
def plan(pair: FakePair) -> RotationPlan:
    """This run's; it has refreshed the second half and written both secrets."""
    plan = pair.plan()
    pair.refresh_standby()
    return plan


def taken_back(pair: FakePair, plan: RotationPlan) -> str:
    return take_back(pair, plan, pair.records(), [pair.store], PREVIOUS_FOR, now=pair.now, say=lambda text: None)


def test_the_stores_hold_the_live_secret_alone(pair: FakePair, plan: RotationPlan) -> None:
    assert "hold the live webhook's secret alone again" in taken_back(pair, plan)
    assert pair.held == (pair.secret(A), None)


def test_nothing_was_refreshed(pair: FakePair) -> None:
    before = pair.held
    assert "left as they are" in taken_back(pair, pair.plan())
    assert pair.held == before


@pytest.mark.parametrize("event", ["activated", "set active", "live half paused", "swapped", "deleted"])
def test_what_may_deliver_stays(pair: FakePair, plan: RotationPlan, event: str) -> None:
    before = pair.held
    if event == "activated":
        pair.record("activated", plan, B)
    if event in ("set active", "swapped"):
        pair.set(B, "active")
    if event in ("live half paused", "swapped"):
        pair.set(A, "paused")
    if event == "deleted":
        pair.gone.add(B)
    assert "both secrets" in taken_back(pair, plan) or event == "deleted"
    assert pair.held == before


def test_deliveries_that_a_person_moves_at_that_moment(pair: FakePair, plan: RotationPlan) -> None:
    """After the first look: the secret of the half that delivered until then is kept."""

    def swap(count: int) -> None:
        if count == 2:
            pair.set(B, "active")
            pair.set(A, "paused")

    pair.halves[A].on_read = swap
    taken_back(pair, plan)
    assert {pair.secret(A), pair.secret(B)} <= set(pair.held)


def test_what_a_later_run_moved_there_and_back_stays(pair: FakePair, plan: RotationPlan) -> None:
    """This run failed long ago and is cleared: retries of what the half has signed since need its secret."""
    later = pair.plan()
    pair.refresh_standby()
    for half, other in ((B, A), (A, B)):
        pair.record("activated", later, half)
        pair.set(half, "active")
        pair.record("paused", later, other)
        pair.set(other, "paused")
    before = pair.held
    assert "has delivered something lately" in taken_back(pair, plan)
    assert pair.held == before


def test_what_a_person_has_set_active_for_a_moment_stays(pair: FakePair, plan: RotationPlan) -> None:
    before = pair.held
    pair.set(B, "active")
    pair.delivered(B)
    pair.set(B, "paused")
    assert "has delivered something lately" in taken_back(pair, plan)
    assert pair.held == before


def test_a_failure_is_told_and_not_raised(pair: FakePair, plan: RotationPlan) -> None:
    pair.store.write_script.append(failing(StoreUnreachable("memory", "no answer", "A retry")))
    assert "may still be in memory, which is harmless" in taken_back(pair, plan)
    pair.halves[A].read_script.append(api_unreachable())
    assert "may still be in the stores, which is harmless" in taken_back(pair, plan)
