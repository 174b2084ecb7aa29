"""A plan belongs to one rotation of one Dag run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.rotation.errors import MemoryUnknown, PlanUnreadable
from featurebase_provider.rotation.memory import WebhookMemory, own_plan, plan_key
from tests.world.fakes import START, THIS_RUN, WEBHOOK_ID, DictMemory, a_memory, a_plan

if TYPE_CHECKING:
    from featurebase_provider.rotation.plan import RotationPlan

KEY = plan_key(THIS_RUN.dag_id, "preflight")
LATER_TRY = replace(THIS_RUN, later_try=True)
LATER_RUN = {"run_id": "manual__2", "run_after": (START + timedelta(days=1)).isoformat()}


def not_started() -> bool:
    return False


@pytest.fixture
def memory() -> WebhookMemory:
    return a_memory()


def keep(memory: WebhookMemory, plan: RotationPlan) -> RotationPlan:
    memory.keep_plan(KEY, plan)
    return plan


def test_the_first_try_makes_a_new_plan(memory: WebhookMemory) -> None:
    assert own_plan(memory, KEY, THIS_RUN, rotate_was_started=not_started) is None


def test_a_later_try_keeps_the_baseline(memory: WebhookMemory) -> None:
    assert own_plan(memory, KEY, LATER_TRY, rotate_was_started=not_started) is None, (
        "nothing was planned yet, and rotate was not started"
    )
    plan = keep(memory, a_plan())
    assert own_plan(memory, KEY, LATER_TRY, rotate_was_started=lambda: True) == plan


def test_a_run_that_was_deleted_and_made_anew_takes_no_plan(memory: WebhookMemory) -> None:
    """It has the same id and may have the same due time; neither its first try nor a later one may play the old run."""
    keep(memory, a_plan())
    anew = replace(THIS_RUN, started=(START + timedelta(days=1)).isoformat())
    assert own_plan(memory, KEY, anew, rotate_was_started=not_started) is None
    cleared = replace(anew, later_try=True, cleared=True)
    assert own_plan(memory, KEY, cleared, rotate_was_started=not_started) is None, (
        "the first try has said that the plan holds no more"
    )


def test_another_runs_plan_is_left_until_a_new_one_is_made(memory: WebhookMemory) -> None:
    """That run may be cleared, and this one may end before it plans."""
    plan = keep(memory, replace(a_plan(), run_id="manual__0"))
    assert own_plan(memory, KEY, THIS_RUN, rotate_was_started=not_started) is None
    assert memory.plan(KEY) == plan


def test_an_earlier_runs_plan_does_not_stop_a_retry(memory: WebhookMemory) -> None:
    keep(memory, replace(a_plan(), run_id="manual__0", run_after=(START - timedelta(days=30)).isoformat()))
    assert own_plan(memory, KEY, LATER_TRY, rotate_was_started=not_started) is None


def test_rotates_own_result_tells_the_plan(memory: WebhookMemory) -> None:
    plan = a_plan()
    assert own_plan(memory, KEY, LATER_TRY, of_result=lambda: plan, rotate_was_started=lambda: True) == plan


def test_without_its_plan_a_run_that_may_have_refreshed_stops(memory: WebhookMemory) -> None:
    with pytest.raises(
        PlanUnreadable, match=f"{WEBHOOK_ID}.*rotate task was started, and its plan is gone.*mode=distribute"
    ):
        own_plan(memory, KEY, LATER_TRY, rotate_was_started=lambda: True)


def test_a_run_whose_plan_a_later_run_has_replaced_stops(memory: WebhookMemory) -> None:
    keep(memory, replace(a_plan(), **LATER_RUN))
    with pytest.raises(PlanUnreadable, match="a later Dag run has made its own"):
        own_plan(memory, KEY, LATER_TRY, rotate_was_started=not_started)


def test_unknown_is_not_absent() -> None:
    store = DictMemory()
    store.problem = MemoryUnknown(WEBHOOK_ID, "v", "could not be read")
    with pytest.raises(MemoryUnknown):
        own_plan(a_memory(store), KEY, LATER_TRY, rotate_was_started=not_started)
