"""Rotate refreshes only what somebody approved in this Dag run, and is late only after that."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.rotation.approval import Approval
from tests.unit.operators.test_rotate import a_store, rotate, the_plan
from tests.world.fakes import START, fingerprint

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase


def approved(memory: WebhookMemory, approval: Any, **task: Any) -> Any:
    store = a_store()
    running = rotate(memory, store, plan=the_plan(store), approve_task_id="approve", task=task)
    running.results["approve"] = approval
    return running


def by_alice(at: Any = START, before: str | None = None) -> dict[str, str]:
    return Approval("alice", at.isoformat(), before or str(the_plan().before)).as_json()


def test_what_was_approved_is_refreshed(featurebase: Featurebase, memory: WebhookMemory) -> None:
    assert approved(memory, by_alice()).execute()["how"] == "answered"


@pytest.mark.parametrize(
    "approval",
    [None, {"chosen_options": ["Approve"]}, by_alice(before=fingerprint("7"))],
    ids=["marked by hand", "of something else", "of another secret"],
)
def test_what_was_not_approved_is_not_refreshed(approval: Any, featurebase: Featurebase, memory: WebhookMemory) -> None:
    with pytest.raises(AirflowFailException, match="nobody has approved .* refreshed nothing. Clear approve"):
        approved(memory, approval).execute()
    assert featurebase.api.posts == 0


def test_a_scheduled_run_is_late_only_after_its_approval(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """It waited for days, but for a person."""
    scheduled = {"run_type": "scheduled", "run_after": START - timedelta(days=2)}
    assert approved(memory, by_alice(), **scheduled).execute()["how"] == "answered"


def test_an_approval_of_long_ago_is_late(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Somebody cleared rotate days later."""
    scheduled = {"run_type": "scheduled", "run_after": START - timedelta(days=4)}
    with pytest.raises(AirflowFailException, match="was approved at"):
        approved(memory, by_alice(START - timedelta(days=2)), **scheduled).execute()
