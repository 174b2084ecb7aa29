from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.clock import Moment, boot_id
from featurebase_provider.rotation.current import SecretOrder
from featurebase_provider.rotation.errors import (
    MemoryUnknown,
    PlanUnreadable,
    RefreshOutcomeUnknown,
    RefreshRefused,
    StoreRefused,
    StoresNotReady,
    StoreUnreachable,
    StoreUnusable,
)
from featurebase_provider.rotation.one_store import Previous
from featurebase_provider.rotation.push import OneWebhook, push_until_agreed
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.rotate import RotationOutcome, rotate
from tests.world.fakes import (
    START,
    WEBHOOK_ID,
    Clock,
    FakeFeaturebase,
    MemoryStore,
    a_plan,
    a_rule,
    a_webhook,
    api_unreachable,
    failing,
    fingerprint,
    secret,
)


def a_store(label: str = "a", **facts: Any) -> MemoryStore:
    return MemoryStore(**{"label": label, "value": secret("0"), **facts})


def run(
    api: FakeFeaturebase,
    *stores: MemoryStore,
    require_all: bool = True,
    previous: Any = Previous.KEEP,
    leaked: Any = frozenset,
    may_post: Any = lambda: None,
    **swap: Any,
) -> RotationOutcome:
    clock = api.clock
    facts = {"plan": a_plan(api.history[1]), "clock": clock, **swap}
    return rotate(
        CompareAndSwap(api=api, **facts),
        stores,
        a_rule(previous=previous),
        server_now=clock.server_now,
        leaked=leaked,
        may_post=may_post,
        **({} if require_all else {"require_all": False}),
    )


def test_the_new_secret_is_in_all_stores(api: FakeFeaturebase) -> None:
    stores = [a_store("a", keeps_previous=True), a_store("b", main_thread_only=True), a_store("c", value=None)]
    outcome = run(api, *stores)
    assert [store.holds for store in stores] == ["whsec_1"] * 3
    assert [store.holds_previous for store in stores] == ["whsec_0", None, None]
    assert (outcome.how, outcome.after, outcome.refreshed) == ("answered", fingerprint("1"), True)
    assert [one.result for one in outcome.stores.values()] == ["written"] * 3
    assert api.posts == 1
    assert outcome.notes == ()


def test_the_posts_answer_is_written_before_anything_is_read(api: FakeFeaturebase) -> None:
    """A read first would only lengthen the exposure."""
    store = a_store()
    reads_at_write = []
    store.on_write = lambda store, pair: reads_at_write.append(api.reads)
    run(api, store)
    assert reads_at_write == [1]
    assert api.reads == 2


def test_exposure_counts_from_just_before_the_post(api: FakeFeaturebase) -> None:
    """The fake's POST takes 100 ms."""
    outcome = run(api, a_store())
    assert outcome.stores["a"].readable_ms == pytest.approx(100.0)
    assert outcome.posted is not None
    assert outcome.posted.monotonic == pytest.approx(1000.0)
    assert outcome.posted.wall == pytest.approx(START.timestamp(), abs=0.001)
    assert outcome.posted.boot == boot_id()
    assert outcome.refreshed_at == "2026-01-15T10:30:00.100000+00:00"
    assert outcome.distributed_at == "2026-01-15T10:30:00.100000+00:00"


def test_a_leaked_previous_secret_is_emptied(api: FakeFeaturebase) -> None:
    store = a_store(keeps_previous=True, previous=secret("older"))
    run(api, store, previous=Previous.DROP)
    assert (store.holds, store.holds_previous) == ("whsec_1", None)


def test_nothing_is_refreshed_that_cannot_be_delivered(api: FakeFeaturebase) -> None:
    stores = [a_store("a"), a_store("b", arm_error=StoreUnusable("b", "no client"))]
    with pytest.raises(StoresNotReady, match=f"{WEBHOOK_ID}: .*no client"):
        run(api, *stores)
    assert (api.posts, stores[0].writes) == (0, [])


def test_nothing_is_refreshed_into_a_foreign_value(api: FakeFeaturebase) -> None:
    """Somebody put it there between preflight and rotate; no retry takes it away, so a person decides."""
    stores = [a_store("a"), a_store("b", value=secret("foreign")), a_store("c", value=secret("other"))]
    with pytest.raises(
        RefreshRefused, match=f"{WEBHOOK_ID}.*{fingerprint('foreign')}.*{fingerprint('other')}"
    ) as caught:
        run(api, *stores)
    assert all(store.target in str(caught.value) for store in stores[1:])
    assert f"current secret ({fingerprint('0')})" in str(caught.value)
    assert api.posts == 0
    assert stores[1].holds == "whsec_foreign"


@pytest.mark.parametrize("fails", [True, False])
def test_a_variable_that_could_not_be_read_before_the_refresh_is_looked_at_before_the_write(
    api: FakeFeaturebase, fails: bool
) -> None:
    """It was read when the rotation began, which may be a minute ago; and what it holds besides has changed since."""
    looked: list[str] = []
    store = a_store(main_thread_only=True)
    store.read_script = deque([None, failing(StoreUnreachable("a", "the API server is busy")) if fails else None])
    store.look_script = deque([lambda: looked.append("a")])
    assert run(api, store).stores["a"].result == "written"
    assert looked == ["a"] * fails


def test_nothing_is_refreshed_for_a_place_that_another_program_writes(api: FakeFeaturebase) -> None:
    """Unless the secret has leaked: then the store is written like any other."""
    store = a_store(owned=StoreRefused("a", "Helm writes it too", "Write the chart"))
    with pytest.raises(RefreshRefused, match="nothing was refreshed: store a: Helm writes it too"):
        run(api, store)
    assert (api.posts, store.writes) == (0, [])
    assert run(api, store, require_all=False).stores["a"].result == "written"


def test_a_store_that_may_come_back_is_worth_a_retry_beside_a_foreign_value(api: FakeFeaturebase) -> None:
    """Every store has to answer before it is judged whose the values are."""
    stores = [a_store("a", value=secret("foreign")), a_store("b", arm_error=StoreUnusable("b", "no client"))]
    with pytest.raises(StoresNotReady, match="no client"):
        run(api, *stores)
    assert api.posts == 0


@pytest.mark.parametrize("ours", ["known", "leaked"])
def test_what_the_plan_knows_of_is_not_foreign(api: FakeFeaturebase, ours: str) -> None:
    store = a_store(value=secret("between"))
    facts: Any = {ours: [fingerprint("between")]}
    assert run(api, store, plan=a_plan(api.current, **facts)).stores["a"].result == "written"


def test_a_foreign_value_is_adopted_where_the_store_says_so(api: FakeFeaturebase) -> None:
    store = a_store(value=secret("foreign"), adopt=True)
    assert run(api, store).stores["a"].result == "written"


def test_a_leaked_secret_is_refreshed_whatever_the_stores_say(api: FakeFeaturebase) -> None:
    stores = [
        a_store("a"),
        a_store("b", arm_error=StoreUnusable("b", "no client")),
        a_store("c", value=secret("foreign")),
    ]
    outcome = run(api, *stores, require_all=False)
    assert [one.result for one in outcome.stores.values()] == ["written", "not_armed", "failed"]
    assert (api.posts, stores[2].holds) == (1, "whsec_foreign")


def test_what_was_refreshed_already_is_distributed_though_a_store_is_not_ready(api: FakeFeaturebase) -> None:
    """The old secret is gone: waiting for the one store would keep the others wrong."""
    api.rotated()
    stores = [a_store("a"), a_store("b", arm_error=StoreUnusable("b", "no client"))]
    outcome = run(api, *stores)
    assert (outcome.how, stores[0].holds, api.posts) == ("already_done", "whsec_1", 0)
    assert (outcome.refreshed, outcome.refreshed_at, outcome.posted) == (False, None, None)
    assert RotationOutcome.from_json(outcome.as_json()) == outcome
    assert outcome.stores["a"].readable_ms is None


def test_what_the_plan_calls_older_was_not_seen(api: FakeFeaturebase) -> None:
    """The order knows it from the plan alone."""
    outcome = run(api, a_store(), plan=a_plan(api.current, older=[fingerprint("older")]))
    assert set(outcome.seen) == {fingerprint("0"), fingerprint("1")}


def test_distribute_only_writes_what_featurebase_holds(api: FakeFeaturebase) -> None:
    store = a_store(value=None)
    outcome = run(api, store, plan=a_plan(mode="distribute"))
    assert (outcome.how, store.holds, api.posts) == ("not_asked", "whsec_0", 0)


def test_other_reasons_against_the_refresh_are_asked_too(api: FakeFeaturebase) -> None:
    def hold() -> None:
        raise RefreshRefused(WEBHOOK_ID, "too late")

    store = a_store()
    with pytest.raises(RefreshRefused):
        run(api, store, may_post=hold)
    assert (api.posts, store.writes, store.closed) == (0, [], 1)


def test_a_failed_store_does_not_fail_the_rotation(api: FakeFeaturebase) -> None:
    stores = [a_store("a"), a_store("b")]
    stores[1].write_script.append(failing(StoreUnreachable("b", "no answer")))
    outcome = run(api, *stores)
    assert [one.result for one in outcome.stores.values()] == ["written", "failed"]


def test_an_unknown_outcome_writes_nothing(api: FakeFeaturebase) -> None:
    api.post_script.append("lost_before")
    store = a_store()
    with pytest.raises(RefreshOutcomeUnknown):
        run(api, store)
    assert store.writes == []


def test_a_secret_found_after_a_lost_answer_is_distributed(api: FakeFeaturebase) -> None:
    api.post_script.append("lost_after")
    store = a_store()
    outcome = run(api, store)
    assert (outcome.how, store.holds, outcome.refreshed) == ("found_after_lost_answer", "whsec_1", True)
    assert len(outcome.notes) == 1


class OddFromNowOn(FakeFeaturebase):
    """Answers with a right id and secret, and nothing else right, once a refresh was sent."""

    def _as_json(self, webhook: Webhook) -> Webhook:
        odd = {"updatedAt": "2026-01-15T10:30:00", "status": [], "topics": None, "requestConfig": {"headers": {"X": 7}}}
        worse = {"lastStatus": {"code": "refused", "timestamp": ""}, "health": {"lastSuccessAt": ""}, "createdAt": {}}
        return Webhook.model_validate({**odd, **worse, "id": WEBHOOK_ID, "secret": self.secret.reveal()})

    def get_webhook(self, webhook_id: str) -> Webhook:
        webhook = super().get_webhook(webhook_id)
        return self._as_json(webhook) if self.posts else webhook

    def refresh_secret(self, webhook_id: str) -> Webhook:
        return self._as_json(super().refresh_secret(webhook_id))


@pytest.mark.parametrize("fault", [None, "lost_after"])
def test_no_odd_side_field_keeps_the_new_secret_from_the_stores(fault: Any) -> None:
    """The POST has committed: whatever else the answers hold, the stores need the secret."""
    api = OddFromNowOn(Clock())
    if fault:
        api.post_script.append(fault)
    store = a_store()
    outcome = run(api, store)
    assert (store.holds, outcome.after) == ("whsec_1", fingerprint("1"))
    other = a_store()
    push_until_agreed(OneWebhook(api, WEBHOOK_ID, SecretOrder()), other.arm(), a_rule(known=frozenset(outcome.known)))
    assert other.holds == "whsec_1"


@pytest.mark.parametrize("fault", [None, "lost_after"])
def test_answers_without_updated_at_are_distributed(api: FakeFeaturebase, fault: Any) -> None:
    """What the answer's other fields hold never keeps the new secret from the stores."""
    api.bumps_updated_at = False
    api.change(updated_at=None)
    if fault:
        api.post_script.append(fault)
    store = a_store()
    outcome = run(api, store)
    assert (store.holds, outcome.after, outcome.updated_at) == ("whsec_1", fingerprint("1"), None)
    assert RotationOutcome.from_json(json.loads(json.dumps(outcome.as_json()))) == outcome


def test_a_newer_secret_after_the_writes_is_written_too(api: FakeFeaturebase) -> None:
    """A person, an orphaned try or a late commit: noticed, reported, converged."""
    store = a_store(keeps_previous=True)
    store.after_write.append(api.rotated)
    said: list[str] = []
    outcome = run(api, store, say=said.append)
    assert (store.holds, store.holds_previous) == ("whsec_2", "whsec_1")
    assert outcome.after == fingerprint("2")
    assert outcome.updated_at == api.current.updated_at.isoformat()
    assert "a second time" in outcome.notes[0]
    assert said == list(outcome.notes)
    assert outcome.stores["a"].readable_ms == pytest.approx(100.0), "from the refresh on, as for the first one"


def test_the_outcome_shows_the_webhook_as_read_last(api: FakeFeaturebase) -> None:
    """Somebody may have changed something else of it meanwhile."""
    later = START.replace(year=2027)
    api.on_read = lambda count: api.change(updated_at=later) if count == 2 else None
    outcome = run(api, a_store())
    assert (outcome.after, outcome.updated_at) == (fingerprint("1"), later.isoformat())


def test_a_newer_secret_that_another_try_has_just_written_stays(api: FakeFeaturebase) -> None:
    """Two more refreshes, the last one distributed by somebody else: the one between is not written over it."""
    store = a_store(marked=True)
    store.after_write.append(api.rotated)

    def others_are_faster() -> None:
        api.rotated()
        store.put("whsec_3")

    store.read_script.extend([None, None, others_are_faster])
    outcome = run(api, store)
    assert (store.holds, store.writes) == ("whsec_3", [fingerprint("1")])
    assert (outcome.after, outcome.stores["a"].result) == (fingerprint("3"), "unchanged")


def test_a_stale_read_after_the_writes_is_not_written(api: FakeFeaturebase) -> None:
    store = a_store()
    api.read_script.extend([None, "stale", "stale"])
    outcome = run(api, store)
    assert (store.writes, outcome.after, outcome.notes) == ([fingerprint("1")], fingerprint("1"), ())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (api_unreachable(), "gave no answer"),
        (WebhookNotFound("GET", "/v2/webhooks/x", 404), "404"),
        (a_webhook(None, updated_at=START.replace(year=2027)), "contains no signing secret"),
    ],
    ids=["no answer", "deleted", "no secret"],
)
def test_a_failing_read_after_the_writes_is_a_note(api: FakeFeaturebase, answer: Any, text: str) -> None:
    """The stores hold the secret: the outcome must not be lost to a read that only confirms it."""
    store = a_store()
    api.read_script.extend([None, answer])
    outcome = run(api, store)
    assert (outcome.after, outcome.stores["a"].result) == (fingerprint("1"), "written")
    assert "could not be read again" in outcome.notes[0]
    assert text in outcome.notes[0]
    assert "Nothing was changed" not in outcome.notes[0]


@pytest.mark.parametrize(("grace", "seconds"), [(60.0, 15.1), (5.0, 5.1)])
def test_stale_reads_to_the_end_are_a_note(api: FakeFeaturebase, grace: float, seconds: float) -> None:
    """A read that only confirms takes 15 s at most, and no longer than a lost answer is looked for."""
    api.read_script.append(None)
    api.read_script.extend(["stale"] * 100)
    outcome = run(api, a_store(), grace=grace)
    assert "known to have been replaced" in outcome.notes[0]
    assert api.clock.now == pytest.approx(1000 + seconds)


def test_a_store_left_with_the_secret_in_between_can_be_pushed(api: FakeFeaturebase) -> None:
    """Rotate wrote 1, saw 2, and failed to write that: 1 is ours, and the push task has to know so."""
    store = a_store()
    store.after_write.append(api.rotated)
    store.write_script.extend([None, failing(StoreUnreachable("a", "no answer"))])
    outcome = RotationOutcome.from_json(json.loads(json.dumps(run(api, store).as_json())))
    assert (outcome.stores["a"].result, store.holds) == ("failed", "whsec_1")
    assert {fingerprint("0"), fingerprint("1"), fingerprint("2")} <= set(outcome.known)
    assert list(outcome.seen) == sorted(outcome.seen)

    rule = a_rule(known=frozenset(outcome.known))
    push_until_agreed(OneWebhook(api, WEBHOOK_ID, SecretOrder()), store.arm(), rule)
    assert store.holds == "whsec_2"


def test_the_outcome_survives_json_and_holds_no_secret(api: FakeFeaturebase) -> None:
    stores = [a_store("a"), a_store("b")]
    stores[1].write_script.append(failing(StoreUnreachable("b", "no answer")))
    outcome = run(api, *stores)
    text = json.dumps(outcome.as_json())
    assert RotationOutcome.from_json(json.loads(text)) == outcome
    assert outcome.as_json() == json.loads(text), "JSON has no tuples, and XCom would keep them apart"
    assert "whsec_" not in f"{text} {outcome!r}"


def an_outcome(**facts: Any) -> dict[str, Any]:
    stores = {"a": StoreOutcome("a", "memory://a", "written", fingerprint("1"), 1.5)}
    whole = RotationOutcome(a_plan(), "answered", fingerprint("1"), posted=Moment(1.0, 2.0), stores=stores)
    return {**replace(whole).as_json(), **facts}


@pytest.mark.parametrize("how", ["answered", "found_after_lost_answer", "already_done", "not_asked"])
def test_every_end_of_a_rotation_is_read_back(how: str) -> None:
    assert RotationOutcome.from_json(an_outcome(how=how)).how == how


def test_every_secret_that_a_run_knows_as_ours_is_known_once() -> None:
    outcome = RotationOutcome(a_plan(known=["sha256:k"]), "answered", fingerprint("1"))
    assert outcome.known == ("sha256:k", fingerprint("0"), fingerprint("1"))
    assert replace(outcome, seen=("sha256:between", fingerprint("1"))).known == (
        "sha256:k", fingerprint("0"), "sha256:between", fingerprint("1")
    )  # fmt: skip


def test_an_outcome_needs_its_essentials_only() -> None:
    raw = {key: an_outcome()[key] for key in ("plan", "how", "after")}
    assert RotationOutcome.from_json({**raw, "invented_later": 1}).stores == {}


@pytest.mark.parametrize(
    "raw",
    [
        {"plan": a_plan().as_json()},
        an_outcome(stores={"a": {"label": "a"}}),
        an_outcome(stores={"a": 1}),
        an_outcome(stores=None),
        an_outcome(posted={"monotonic": 1.0}),
        an_outcome(posted={"monotonic": "soon", "wall": 1.0}),
        an_outcome(posted={"monotonic": 10**400, "wall": 1.0}),
        an_outcome(posted={"monotonic": float("nan"), "wall": 1.0}),
        an_outcome(stores={"a": {"label": [], "target": "x", "result": "written"}}),
        an_outcome(after=["x"]),
        an_outcome(after=""),
        an_outcome(how="by magic"),
        an_outcome(updated_at="yesterday"),
        an_outcome(updated_at="2026-01-15T10:30:00"),
        an_outcome(notes=1),
    ],
)
def test_what_is_no_outcome_is_unreadable(raw: dict[str, Any]) -> None:
    with pytest.raises(PlanUnreadable, match=f"{WEBHOOK_ID}: .*invalid; clear rotate"):
        RotationOutcome.from_json(raw, webhook_id=WEBHOOK_ID)


@pytest.mark.parametrize("raw", [None, "x", []])
def test_no_outcome_is_unreadable(raw: object) -> None:
    with pytest.raises(PlanUnreadable, match=f"{WEBHOOK_ID}: .*left no result"):
        RotationOutcome.from_json(raw, webhook_id=WEBHOOK_ID)
    with pytest.raises(PlanUnreadable, match=r"webhook \?: "):
        RotationOutcome.from_json(raw)


def test_an_outcome_without_a_plan_is_unreadable() -> None:
    with pytest.raises(PlanUnreadable, match=f"{WEBHOOK_ID}: this Dag run has no recorded plan"):
        RotationOutcome.from_json(an_outcome(plan=None), webhook_id=WEBHOOK_ID)


def test_a_memory_that_cannot_be_read_stops_only_what_has_not_happened(api: FakeFeaturebase) -> None:
    """Before the refresh it is an error; after it, the stores are written by what is known."""
    store = a_store()
    problem = MemoryUnknown(WEBHOOK_ID, "v", "could not be read")

    def unknown() -> frozenset[str]:
        raise problem

    with pytest.raises(MemoryUnknown):
        run(api, store, leaked=unknown)
    assert (api.posts, store.writes) == (0, [])
    plan = a_plan(api.current)
    api.rotated()
    said: list[str] = []
    outcome = run(api, store, leaked=unknown, plan=plan, say=said.append)
    assert (outcome.how, store.holds) == ("already_done", "whsec_1")
    assert any("could not be read" in text for text in said)


def test_a_memory_that_fails_after_the_refresh_keeps_no_newer_secret_from_the_stores(api: FakeFeaturebase) -> None:
    known = iter([frozenset[str]()])

    def leaked() -> frozenset[str]:
        for one in known:
            return one
        raise MemoryUnknown(WEBHOOK_ID, "v", "could not be read")

    store = a_store()
    store.after_write.append(api.rotated)
    said: list[str] = []
    run(api, store, leaked=leaked, say=said.append)
    assert store.holds == "whsec_2"
    assert any("could not be read" in text for text in said)
