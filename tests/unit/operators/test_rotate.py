"""What rotate goes by, when it holds its refresh back, and how it ends where a store was not written."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.config import WebhookConfig
from featurebase_provider.featurebase.errors import ApiUnreachable
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator
from featurebase_provider.rotation.errors import MemoryUnknown, StaleRead, StoreRefused, StoresNotReady
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import plan_key, recall
from featurebase_provider.rotation.plan import RotationPlan
from tests.world.fakes import (
    START,
    WEBHOOK_ID,
    MemoryStore,
    a_plan,
    a_webhook,
    api_unreachable,
    failing,
    fingerprint,
    secret,
)
from tests.world.running_task import NOW, RunningTask

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase, Log

OLD, NEW = fingerprint("0"), fingerprint("1")
DAYS_AGO = (START - timedelta(days=10)).isoformat()


def a_store(label: str = "memory", **facts: Any) -> MemoryStore:
    return MemoryStore(**{"label": label, "value": secret("0"), "main_thread_only": True, **facts})


def the_plan(*stores: MemoryStore, **facts: Any) -> RotationPlan:
    targets = tuple(store.target for store in stores)
    return replace(a_plan(), dag_id="a_dag", run_started=NOW.isoformat(), stores=targets, **facts)


def rotate(
    memory: WebhookMemory,
    *stores: MemoryStore,
    plan: RotationPlan | None = None,
    task: dict[str, Any] | None = None,
    **arguments: Any,
) -> RunningTask:
    """Rotate after a preflight, whose plan is in Airflow's Variables too."""
    plan = plan or the_plan(*stores)
    memory.keep_plan(plan_key("a_dag", "preflight"), plan)
    usual = {"webhook": "production", "webhook_id": WEBHOOK_ID, "refresh_grace": timedelta()}
    operator = RotateWebhookSecretOperator(
        task_id="rotate", plan_task_id="preflight", stores=stores, **{**usual, **arguments}
    )
    return RunningTask(operator, results={"preflight": plan.as_json()}, **(task or {}))


def alone(*stores: MemoryStore, task: dict[str, Any] | None = None, **arguments: Any) -> RunningTask:
    usual = {"webhook": "production", "webhook_id": WEBHOOK_ID, "refresh_grace": timedelta()}
    return RunningTask(
        RotateWebhookSecretOperator(task_id="rotate", stores=stores, **{**usual, **arguments}), **(task or {})
    )


@pytest.mark.parametrize("why", ["", " "])
def test_a_secret_that_is_written_nowhere_needs_a_reason(featurebase: Featurebase, why: str) -> None:
    with pytest.raises(ValueError, match="rotate has no stores"):
        alone(without_stores=why)


def test_with_a_reason_the_secret_is_written_nowhere(featurebase: Featurebase, memory: WebhookMemory) -> None:
    assert alone(without_stores="a person does it").execute()["after"] == NEW


def test_the_defaults_of_file_and_operators_agree() -> None:
    store = {"type": "airflow_variable", "name": "the_signing_secret"}
    config = WebhookConfig.model_validate({"name": "production", "webhook_id": WEBHOOK_ID, "stores": [store]})
    for operator, names in (
        (alone(a_store()).operator, ("late_start", "allow_inactive")),
        (
            PreflightRotationOperator(task_id="preflight", webhook_id=WEBHOOK_ID, stores=()),
            ("late_start", "min_age", "previous_for", "allow_inactive"),
        ),
    ):
        assert [getattr(operator, name) for name in names] == [getattr(config, name) for name in names]
    grace = RotateWebhookSecretOperator(task_id="rotate", webhook_id=WEBHOOK_ID, stores=[a_store()]).refresh_grace
    assert grace == config.refresh_grace


def test_a_dry_run_is_skipped(featurebase: Featurebase, memory: WebhookMemory) -> None:
    with pytest.raises(AirflowSkipException, match="^Skipped: "):
        rotate(memory, a_store(), plan=the_plan(mode="dry_run")).execute()
    assert featurebase.api.reads == 0


def test_what_it_did_is_told(
    featurebase: Featurebase,
    memory: WebhookMemory,
    said: Log,
    stats: list[tuple[str, dict[str, str]]],
    timings: list[tuple[str, float, dict[str, str]]],
) -> None:
    before = time.time()
    outcome = rotate(
        memory, a_store("a"), a_store("b", write_script=deque([failing(StoreRefused("b", "read-only"))] * 9))
    ).execute()
    assert (outcome["how"], outcome["after"]) == ("answered", NEW)
    assert before - 5 < outcome["posted"]["wall"] < time.time() + 5
    assert stats == [("featurebase.rotate", {"webhook": "production", "result": "done"})]
    ((what, milliseconds, tags),) = timings
    assert (what, tags) == ("featurebase.store_exposure", {"webhook": "production"})
    assert milliseconds == outcome["stores"]["a"]["readable_ms"]
    assert f"Secret {OLD} -> {NEW} (answered)" in said.texts["info"]
    (of_a,) = [text for text in said.texts["info"] if text.startswith("Store a (memory://a): written, ")]
    assert of_a.endswith(" ms after the refresh")
    (of_b,) = [text for text in said.texts["warning"] if text.startswith("Store b (memory://b): failed: ")]
    assert "read-only" in of_b


def test_a_store_that_was_exposed_to_nothing_is_not_timed(
    featurebase: Featurebase,
    memory: WebhookMemory,
    said: Log,
    timings: list[tuple[str, float, dict[str, str]]],
) -> None:
    featurebase.api.rotated()
    rotate(memory, a_store("a", value=secret("1")), plan=the_plan(a_store("a"))).execute()
    assert timings == []
    assert any(text.startswith("Store a (memory://a): unchanged, ") for text in said.texts["info"])
    assert f"Secret {OLD} -> {NEW} (already done)" in said.texts["info"]


def test_a_later_try_looks_whether_an_earlier_one_has_refreshed(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    rotate(memory, a_store()).execute()
    assert said.texts["warning"] == []
    featurebase.api.change(secret=secret("0"))
    rotate(memory, a_store(), task={"try_number": 2}).execute()
    assert any(OLD in text and "watched" in text for text in said.texts["warning"])


@pytest.mark.parametrize("allowed", [True, False])
def test_a_webhook_that_was_paused_since_is_left_alone_unless_that_is_allowed(
    featurebase: Featurebase, memory: WebhookMemory, allowed: bool
) -> None:
    featurebase.api.change(status="paused")
    task = rotate(memory, a_store(), **({"allow_inactive": True} if allowed else {}))
    if allowed:
        assert task.execute()["after"] == NEW
    else:
        with pytest.raises(AirflowFailException, match="'paused' now"):
            task.execute()
        assert featurebase.api.posts == 0


def test_after_a_leak_a_secret_that_another_run_has_made_since_stays(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """It can't have leaked with the others; any other unknown one may be older than the plan."""
    plan, later = the_plan(mode="emergency", leaked=(OLD,)), (START + timedelta(minutes=1)).isoformat()
    featurebase.api.rotated()
    assert rotate(memory, a_store(), plan=replace(plan, stores=None)).execute()["how"] == "answered"
    memory.write("history", History(WEBHOOK_ID).seeing(fingerprint("2"), later, refreshed_at=later).as_json())
    assert rotate(memory, a_store(), plan=replace(plan, stores=None)).execute()["how"] == "already_done"


@pytest.mark.parametrize("planned_at", [DAYS_AGO, START.isoformat()])
def test_a_secret_that_a_plan_of_long_ago_calls_older_and_that_stays_is_current(
    featurebase: Featurebase, memory: WebhookMemory, planned_at: str
) -> None:
    """The plan's own baseline was a stale read then. Soon after the plan, it is this read that is stale."""
    store = a_store()
    plan = the_plan(store, before="sha256:stale", older=(OLD,), planned_at=planned_at, updated_at=None)
    if planned_at == DAYS_AGO:
        assert rotate(memory, store, plan=plan).execute()["how"] == "already_done"
    else:
        with pytest.raises(StaleRead):
            rotate(memory, store, plan=plan).execute()


@pytest.mark.parametrize("hours", [0.5, 2])
def test_a_scheduled_run_that_has_become_late_refreshes_nothing(
    featurebase: Featurebase, memory: WebhookMemory, hours: float
) -> None:
    task = {"run_type": "scheduled", "run_after": START - timedelta(hours=hours)}
    if hours < 1:
        assert rotate(memory, a_store(), task=task).execute()["after"] == NEW
        return
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: .*late"):
        rotate(memory, a_store(), task=task).execute()
    assert featurebase.api.posts == 0
    assert rotate(memory, a_store(), task=task, late_start=None).execute()["after"] == NEW


def test_a_refresh_is_held_back_where_the_plan_is_gone(featurebase: Featurebase, memory: WebhookMemory) -> None:
    task = rotate(memory, a_store())
    memory.forget_plan(plan_key("a_dag", "preflight"))
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: the plan of this Dag run is gone"):
        task.execute()
    assert featurebase.api.posts == 0


def test_a_refresh_is_held_back_where_the_stores_are_others_than_were_proven(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """In whatever order; a plan of version 0.1.0 does not say which they were."""
    a, b = a_store("a"), a_store("b")
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: its stores"):
        rotate(memory, a, plan=the_plan(a, b)).execute()
    assert featurebase.api.posts == 0
    assert rotate(memory, b, a, plan=the_plan(a, b)).execute()["after"] == NEW
    featurebase.api.change(secret=secret("0"))
    assert rotate(memory, b, plan=replace(the_plan(), stores=None)).execute()["after"] == fingerprint("2")


@pytest.mark.parametrize("required", [True, False])
def test_a_store_that_cannot_be_armed_holds_the_refresh_back_unless_it_has_leaked(
    featurebase: Featurebase, memory: WebhookMemory, required: bool
) -> None:
    stores = (a_store("a", arm_error=StoreRefused("a", "gone")), a_store("b"))
    task = rotate(memory, *stores, **({} if required else {"require_all_stores": False}))
    if required:
        with pytest.raises(StoresNotReady):
            task.execute()
        assert featurebase.api.posts == 0
    else:
        outcome = task.execute()
        assert (outcome["stores"]["a"]["result"], stores[1].holds) == ("not_armed", "whsec_1")


@pytest.mark.parametrize(("fails", "with_plan"), [(None, False), (True, True), (None, True), (False, False)])
def test_a_store_that_was_not_written_fails_a_task_that_no_push_follows(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, fails: bool | None, with_plan: bool
) -> None:
    """A retry distributes; what was done is remembered, so that it refreshes nothing. The log says it once."""
    stores = [
        a_store("a"),
        *(a_store(x, write_script=deque([failing(StoreRefused(x, "read-only"))] * 9)) for x in "bc"),
    ]
    arguments = {"fail_on_store_error": fails} if fails is not None else {}
    task = rotate(memory, *stores, **arguments) if with_plan else alone(*stores, **arguments)
    if fails or (fails is None and not with_plan):
        with pytest.raises(StoresNotReady) as caught:
            task.execute()
        text = str(caught.value)
        assert text.startswith(f"webhook {WEBHOOK_ID}: the secret is {NEW} now, but 2 stores do not hold it: b: ")
        assert text.count("read-only") == 2
        assert "; c: " in text
        assert "read-only" not in said
    else:
        assert task.execute()["stores"]["b"]["result"] == "failed"
        assert len([line for line in said.texts["warning"] if "Its push task keeps trying" in line]) == 2
    assert OLD in recall(memory).replaced


@pytest.mark.parametrize("number", [1, 2])
def test_an_outage_in_a_first_try_has_changed_nothing(
    featurebase: Featurebase, memory: WebhookMemory, number: int
) -> None:
    """An earlier try may have refreshed; this one's error must not say otherwise."""
    featurebase.api.read_script.append(api_unreachable())
    with pytest.raises(ApiUnreachable) as caught:
        rotate(memory, a_store(), task={"try_number": number}).execute()
    assert ("whether an earlier try did" in str(caught.value)) is (number == 2)


def test_a_plan_for_another_featurebase_is_not_followed(featurebase: Featurebase, memory: WebhookMemory) -> None:
    with pytest.raises(AirflowFailException, match=rf"{WEBHOOK_ID}.*https://other\.example"):
        rotate(memory, a_store(), plan=the_plan(a_store(), host="https://other.example")).execute()
    assert featurebase.api.reads == 0


def test_a_place_that_is_no_longer_named_is_reported(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    """And where the previous secret lies now is remembered, for the day when that is no longer named."""
    memory.write("history", History(WEBHOOK_ID, previous_in=("memory://renamed#previous",)).as_json())
    outcome = rotate(memory, a_store(keeps_previous=True)).execute()
    (note,) = outcome["notes"]
    assert "memory://renamed#previous" in note
    assert note in said.texts["warning"]
    assert recall(memory).previous_in == ("memory://renamed#previous", "memory://memory#previous")
    featurebase.api.change(secret=secret("0"))
    memory.write("history", History(WEBHOOK_ID, previous_in=("memory://memory#previous",)).as_json())
    assert rotate(memory, a_store(keeps_previous=True)).execute()["notes"] == []


def test_a_place_that_is_no_longer_named_hides_no_other_note(featurebase: Featurebase, memory: WebhookMemory) -> None:
    plan = the_plan(a_store())
    featurebase.api.rotated()
    (note,) = rotate(memory, a_store(), plan=plan).execute()["notes"]
    memory.write("history", History(WEBHOOK_ID, previous_in=("memory://renamed#previous",)).as_json())
    first, second = rotate(memory, a_store(), plan=plan).execute()["notes"]
    assert first == note
    assert "memory://renamed#previous" in second


def test_what_cannot_be_remembered_fails_nothing_once_it_is_done(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    store = a_store()
    records: Any = memory.memory
    store.on_write = lambda _, pair: setattr(records, "problem", MemoryUnknown(WEBHOOK_ID, "history", "not answered"))
    assert rotate(memory, store).execute()["after"] == NEW
    assert len([text for text in said.texts["warning"] if "not answered" in text]) == 1


def test_a_record_that_cannot_be_read_holds_up_no_refresh_that_is_planned(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    """The plan and what has leaked must be told; of the rest there is more in the plan."""
    task = rotate(memory, a_store())
    memory._put("history", {"by": "somebody else"})
    assert task.execute()["after"] == NEW
    assert said.texts["warning"]


def test_alone_it_keeps_its_own_baseline_first(featurebase: Featurebase, memory: WebhookMemory) -> None:
    older = History(WEBHOOK_ID).seeing(fingerprint("x"), DAYS_AGO).seeing(OLD, DAYS_AGO, replaced=[fingerprint("x")])
    memory.write("history", older.as_json())
    memory.add_leaked([fingerprint("leaked")])
    outcome = alone(a_store(), featurebase_conn_id="fb_of_mine").execute()
    kept = memory.plan(plan_key("a_dag", "rotate"))
    assert kept is not None
    assert kept.as_json() == outcome["plan"]
    facts = (kept.before, kept.mode, kept.host, kept.planned_at, kept.run_id, kept.stores)
    assert facts == (OLD, "rotate", memory.host, START.isoformat(), "manual__1", ("memory://memory",))
    assert (kept.known, kept.older, kept.leaked) == (
        (fingerprint("x"), OLD),
        (fingerprint("x"),),
        (fingerprint("leaked"),),
    )
    assert set(featurebase.conn_ids) == {"fb_of_mine"}


def test_alone_a_later_try_goes_by_the_baseline_of_the_first(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """So it refreshes nothing that the first has refreshed; without that baseline it stops.

    That deliveries failed meanwhile, and Featurebase has paused the webhook, keeps no store from its secret.
    """
    alone(a_store()).execute()
    featurebase.api.change(status="paused")
    outcome = alone(a_store(value=secret("1")), task={"try_number": 2}).execute()
    assert (outcome["how"], outcome["plan"]["before"], featurebase.api.posts) == ("already_done", OLD, 1)
    memory.forget_plan(plan_key("a_dag", "rotate"))
    with pytest.raises(AirflowFailException, match="its plan is gone"):
        alone(a_store(), task={"try_number": 2}).execute()


def test_alone_it_must_know_the_past(featurebase: Featurebase, memory: WebhookMemory) -> None:
    memory._put("history", {"by": "somebody else"})
    with pytest.raises(AirflowFailException, match="history"):
        alone(a_store()).execute()
    assert featurebase.api.reads == 0


@pytest.mark.parametrize(
    ("conf", "refused"), [({"mode": "distribute"}, "production: .*mode"), ({"mode": "rotate"}, None), ({"x": 1}, None)]
)
def test_alone_it_rotates_whatever_a_run_asks(
    featurebase: Featurebase, memory: WebhookMemory, conf: dict[str, Any], refused: str | None
) -> None:
    """So a run that asks for something else is refused."""
    task = alone(a_store(), task={"conf": conf})
    if refused is None:
        assert task.execute()["after"] == NEW
    else:
        with pytest.raises(AirflowFailException, match=refused):
            task.execute()
        assert featurebase.api.reads == 0


def test_alone_it_leaves_a_paused_webhook_alone(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.history.append(a_webhook(status="paused"))
    with pytest.raises(AirflowFailException, match="'paused', not active"):
        alone(a_store()).execute()
    assert alone(a_store(), allow_inactive=True).execute()["after"] == NEW
