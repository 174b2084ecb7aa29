"""Where a run of a pair leads to, by what the run before it was to do."""

from __future__ import annotations

import pytest

from featurebase_provider.rotation.modes import Mode
from featurebase_provider.rotation.pair_plan import plan_pair
from featurebase_provider.rotation.plan import RotationPlan, ThisRun
from tests.world.fake_pair import PREVIOUS_FOR, FakePair
from tests.world.pair_states import A, B

KEY = "key"


def planned(pair: FakePair, mode: Mode) -> RotationPlan:
    """The plan of a new run, which preflight has recorded."""
    pair.clock.sleep(60)
    records, now = pair.records(), pair.now()
    plan = plan_pair(
        records.reader(pair, now).read(),
        ThisRun("a_dag", f"at {now}", now.isoformat(), now.isoformat()),
        records,
        plan_key=KEY,
        host="https://do.featurebase.app",
        mode=mode,
        now=now,
        previous_for=PREVIOUS_FOR,
    )
    return records.memory.keep_plan(KEY, plan)


def moved(pair: FakePair, plan: RotationPlan, old: str) -> None:
    """The run moves the deliveries."""
    pair.record("activated", plan, plan.webhook_id)
    pair.set(plan.webhook_id, "active")
    pair.record("paused", plan, old)
    pair.set(old, "paused")


@pytest.fixture
def pair() -> FakePair:
    """A run has moved the deliveries from half A to half B."""
    pair = FakePair()
    moved(pair, planned(pair, "rotate"), A)
    return pair


def test_a_way_back_that_failed_can_be_tried_again(pair: FakePair) -> None:
    """Its push failed, say; nobody clears it, but triggers new runs."""
    assert [planned(pair, "revert").webhook_id for _ in range(3)] == [A, A, A]


def test_a_way_back_leads_there_and_back(pair: FakePair) -> None:
    moved(pair, planned(pair, "revert"), B)
    assert planned(pair, "revert").webhook_id == B


def test_a_rotation_that_failed_before_it_moved_anything_is_gone_back_on(pair: FakePair) -> None:
    """Each time: the half that it has refreshed never delivered with that secret."""
    pair.clock.sleep(2 * PREVIOUS_FOR.total_seconds())
    assert planned(pair, "rotate").webhook_id == A
    pair.refresh(A)
    assert [planned(pair, "revert").webhook_id for _ in range(2)] == [B, B]
