"""What Airflow's database gives back as a plan, a result or a report: whoever wrote it, it is used or refused."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.clock import Moment
from featurebase_provider.rotation.errors import MemorySpoilt, PlanUnreadable
from featurebase_provider.rotation.history import History, order_of
from featurebase_provider.rotation.memory import history_of_events, plan_key, recall
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.push import OneWebhook, push_until_agreed
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.report import make_report
from featurebase_provider.rotation.rotate import RotationOutcome, rotate
from featurebase_provider.rotation.run_facts import RunFacts
from tests.properties.any_json import anything, spoilt
from tests.properties.profile import tries
from tests.world.fakes import (
    START,
    WEBHOOK_ID,
    Clock,
    DictMemory,
    FakeFeaturebase,
    MemoryStore,
    a_memory,
    a_plan,
    a_rule,
    fingerprint,
)

PLAN = a_plan(known=(fingerprint("older"),), leaked=(fingerprint("older"),))
STORED = StoreOutcome("memory", "memory://memory", "written", fingerprint("1"), 12.5)
OUTCOME = RotationOutcome(
    PLAN,
    "answered",
    fingerprint("1"),
    updated_at=START.isoformat(),
    refreshed_at=START.isoformat(),
    posted=Moment(1.0, 2.0, "boot"),
    distributed_at=START.isoformat(),
    stores={"memory": STORED},
    notes=("a note",),
)
REPORT = make_report(
    RunFacts(PLAN, OUTCOME, {"memory": STORED}),
    webhook="production",
    dag_id="a_dag",
    run_id="manual__1",
    at=START.isoformat(),
    mode="rotate",
)


@tries(400)
@given(anything | spoilt(PLAN.as_json()))
def test_a_plan_is_read_or_refused(raw: Any) -> None:
    """One that is read is one to go by: a rotation with it ends well, or with an error of ours."""
    try:
        plan = RotationPlan.from_json(raw, webhook_id=WEBHOOK_ID)
    except PlanUnreadable:
        return
    assert RotationPlan.from_json(plan.as_json()) == plan
    clock = Clock()
    api = FakeFeaturebase(clock)
    swap = CompareAndSwap(api, plan, clock=clock)
    if plan.webhook_id == WEBHOOK_ID:
        store = MemoryStore(main_thread_only=True)
        with suppress(FeaturebaseError):
            outcome = rotate(swap, [store], a_rule(), server_now=clock.server_now)
            assert RotationOutcome.from_json(outcome.as_json()) == outcome


@tries(400)
@given(anything | spoilt(OUTCOME.as_json()))
def test_a_result_is_read_or_refused(raw: Any) -> None:
    """With one that is read, the push that relies on it ends well, or with an error of ours."""
    try:
        outcome = RotationOutcome.from_json(raw, webhook_id=WEBHOOK_ID)
    except PlanUnreadable:
        return
    assert RotationOutcome.from_json(outcome.as_json()) == outcome
    clock = Clock()
    order = order_of(outcome.plan, outcome, History(WEBHOOK_ID), START)
    rule = a_rule(known=frozenset(outcome.known), previous=outcome.plan.previous)
    with suppress(FeaturebaseError):
        push_until_agreed(OneWebhook(FakeFeaturebase(clock), WEBHOOK_ID, order, clock), MemoryStore().arm(), rule)
    report = make_report(
        RunFacts(outcome.plan, outcome, outcome.stores),
        webhook="production",
        dag_id="a_dag",
        run_id="manual__1",
        at=START.isoformat(),
        mode="rotate",
    )
    assert report.as_json()
    assert report.as_text()


records = st.lists(
    spoilt(PLAN.as_json()) | spoilt(REPORT.as_json()) | st.dictionaries(st.text(max_size=8), anything, max_size=4),
    max_size=4,
).map(lambda made: [one for one in made if isinstance(one, dict)])


@tries(400)
@given(records)
def test_asset_events_of_any_content_are_looked_through(events: list[dict[str, Any]]) -> None:
    """Events outlive versions, and everybody who may emit one; what is no record of ours tells nothing."""
    assert_tells(history_of_events(WEBHOOK_ID, events, events))


@tries(400)
@given(anything | spoilt(history_of_events(WEBHOOK_ID, [REPORT.as_json()]).as_json()))
def test_a_history_of_any_content_is_read_or_refused(raw: Any) -> None:
    """Somebody may edit the Variable; what fits is used, and the rest tells nothing."""
    store = DictMemory()
    memory = a_memory(store)
    store.records[f"{memory.prefix}history"] = json.dumps(raw)
    with suppress(MemorySpoilt):
        recall(memory)
    if isinstance(raw, dict):
        memory.memory.records.clear()  # type: ignore[attr-defined]
        memory.write("history", {name: value for name, value in raw.items() if name not in ("by", "webhook_id")})
        assert_tells(recall(memory))


@tries(400)
@given(anything | spoilt(PLAN.as_json()))
def test_a_remembered_plan_of_any_content_is_read_or_refused(raw: Any) -> None:
    memory, key = a_memory(), plan_key("a_dag", "preflight")
    memory.write(f"plan_{key}", {"plan": raw})
    with suppress(MemorySpoilt):
        plan = memory.plan(key)
        assert plan is None or RotationPlan.from_json(plan.as_json()) == plan


def assert_tells(history: History) -> None:
    assert all(isinstance(one, str) for one in (*history.known, *history.leaked, *history.runs))
    for one in (fingerprint("0"), fingerprint("1")):
        history.age(one, now=START)
        history.previous_is_over(one, now=START, previous_for=timedelta(hours=8))
    history.order(START)
    history.refreshed_after(START.isoformat())
    assert History.from_json(json.loads(json.dumps(history.as_json())), WEBHOOK_ID) == history
