from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown
from featurebase_provider.rotation.memory import MOST_LEAKED, WebhookMemory, plan_key, recall
from featurebase_provider.rotation.moves import pair_id
from tests.world.fake_pair import FakePair
from tests.world.fakes import START, WEBHOOK_ID, DictMemory, a_memory, a_plan
from tests.world.pair_states import A, B

KEY = plan_key("dag", "preflight")


def test_a_version_finds_what_another_has_left() -> None:
    """Names and form of the records stay: an upgrade in the middle of a run must find its plan."""
    store = DictMemory()
    memory = a_memory(store)
    assert memory.prefix == a_memory(webhook_id=WEBHOOK_ID.upper()).prefix == "featurebase_rotation__0c8ef4ae2ac8__"
    memory.forget_plan("0123abcd")
    ((name, text),) = store.records.items()
    assert name == "featurebase_rotation__0c8ef4ae2ac8__plan_0123abcd"
    assert json.loads(text) == {
        "by": "airflow-provider-featurebase", "version": 1, "webhook_id": WEBHOOK_ID, "plan": None
    }  # fmt: skip


def test_records_of_different_webhooks_hosts_and_teams_never_meet() -> None:
    one = a_memory()
    others = [a_memory(webhook_id="0" * 24), replace(one, host="https://eu.example"), replace(one, team="a")]
    assert len({memory.prefix for memory in (one, *others)}) == 4
    assert one.prefix == a_memory(webhook_id=WEBHOOK_ID).prefix
    assert one.prefix.startswith("featurebase_rotation__")
    assert len(one.prefix) == len("featurebase_rotation__0123456789ab__")


def test_plans_of_different_tasks_and_branches_never_meet() -> None:
    """Two groups of one webhook in one Dag, or a mapped group over modes, are rotations of their own."""
    keys = [KEY, plan_key("dag", "other.preflight"), plan_key("other", "preflight"), plan_key("dag", "preflight", 0)]
    keys += [plan_key("dag", "preflight", 1), plan_key("dag", "preflight", "production")]
    assert len({*keys}) == len(keys)
    assert all(len(key) == 8 for key in keys)


def test_a_plan_comes_back() -> None:
    memory = a_memory()
    assert memory.plan(KEY) is None
    memory.keep_plan(KEY, a_plan())
    assert memory.plan(KEY) == a_plan()
    assert memory.plan(plan_key("dag", "other")) is None
    memory.forget_plan(KEY)
    assert memory.plan(KEY) is None


@pytest.mark.parametrize("half", [A, B.upper()])
def test_the_plan_of_a_pair_tells_the_secrets_of_both_halves(half: str) -> None:
    """Its run may have left no other record, and a person may have refreshed either half since."""
    store, pair = DictMemory(), FakePair()
    plans = a_memory(store, pair_id((A, B)))
    plans.keep_plan(KEY, pair.plan())
    history = recall(a_memory(store, half), plan_keys=[KEY], plans_in=plans)
    assert set(history.known) == {pair.halves[half.lower()].current.fingerprint}
    assert not recall(a_memory(store, WEBHOOK_ID), plan_keys=[KEY], plans_in=plans).known


def test_another_trys_plan_of_the_same_run_holds() -> None:
    """Airflow lost sight of one of two tries; the run may have refreshed by the plan of the other."""
    memory = a_memory()
    first = memory.keep_plan(KEY, a_plan())
    orphans = replace(a_plan(), before="sha256:newer")
    assert memory.keep_plan(KEY, orphans) == first == memory.plan(KEY)
    learnt = replace(first, known=("sha256:more",))
    assert memory.keep_plan(KEY, learnt) == learnt == memory.plan(KEY)
    later = replace(orphans, run_id="manual__2", run_after=(START + timedelta(days=1)).isoformat())
    assert memory.keep_plan(KEY, later) == later == memory.plan(KEY)
    assert memory.keep_plan(KEY, first) == first
    assert memory.plan(KEY) == later, "an older run that is cleared takes no later run's plan away"


def test_what_has_leaked_only_grows() -> None:
    store = DictMemory()
    memory = a_memory(store)
    assert memory.leaked() == frozenset()
    memory.write("leaked", {"leaked": [5, None]})
    assert memory.leaked() == frozenset(), "entries that are no text are passed over"
    memory.add_leaked(["sha256:a"])
    memory.add_leaked(["sha256:b"])
    assert memory.leaked() == {"sha256:a", "sha256:b"}
    store.writes.clear()
    memory.add_leaked(["sha256:a"])
    assert store.writes == [], "nothing new"


def test_leaks_are_bounded_and_the_oldest_go_first() -> None:
    memory = a_memory()
    memory.add_leaked(["first"])
    memory.add_leaked([f"sha256:{number:016x}" for number in range(MOST_LEAKED)])
    assert len(memory.leaked()) == MOST_LEAKED
    assert "first" not in memory.leaked()


@pytest.mark.parametrize(
    "content",
    ["", "5", "null", "{}", "not JSON", json.dumps({"by": "somebody", "webhook_id": WEBHOOK_ID}), "[1]"],
)
def test_what_is_not_ours_is_unknown_and_never_overwritten(content: str) -> None:
    store = DictMemory()
    memory = a_memory(store)
    name = f"{memory.prefix}plan_{KEY}"
    store.records[name] = content
    with pytest.raises(MemorySpoilt, match=name) as caught:
        memory.plan(KEY)
    assert not caught.value.retry_helps
    assert content in ("", "5") or content not in str(caught.value), "it may hold anything"
    with pytest.raises(MemorySpoilt):
        memory.keep_plan(KEY, a_plan())
    assert store.records[name] == content


def test_a_copied_record_of_another_webhook_is_spoilt() -> None:
    store = DictMemory()
    one, other = a_memory(store), a_memory(store, webhook_id="0" * 24)
    other.keep_plan(KEY, a_plan())
    name = f"{one.prefix}plan_{KEY}"
    store.records[name] = store.records[f"{other.prefix}plan_{KEY}"]
    with pytest.raises(MemorySpoilt, match=f"{name}.*another webhook") as caught:
        one.plan(KEY)
    assert caught.value.webhook_id == WEBHOOK_ID


def test_a_plan_that_cannot_be_read_is_spoilt() -> None:
    memory = a_memory()
    memory.write(f"plan_{KEY}", {"plan": {"mode": "destroy"}})
    with pytest.raises(MemorySpoilt, match=f"{memory.prefix}plan_{KEY}.*a plan that this version can't read"):
        memory.plan(KEY)


def test_an_outage_is_no_absence() -> None:
    store = DictMemory()
    memory = WebhookMemory(store, "https://do.featurebase.app", WEBHOOK_ID)
    store.problem = MemoryUnknown(WEBHOOK_ID, "v", "could not be read")
    with pytest.raises(MemoryUnknown) as caught:
        memory.leaked()
    assert caught.value.retry_helps
    assert str(caught.value).endswith("could not be read. Nothing was changed. A retry reads it again")
    with pytest.raises(MemoryUnknown):
        memory.write("history", {})
    assert store.writes == []
