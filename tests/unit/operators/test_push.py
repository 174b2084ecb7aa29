"""What a push task goes by, and what it says that its store holds."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.operators.push import PushWebhookSecretOperator
from featurebase_provider.rotation.all_stores import NOT_READABLE, StoreOutcome
from featurebase_provider.rotation.clock import Clock, Moment, boot_id
from featurebase_provider.rotation.errors import StoreError, StoreUnreachable
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.push import OneWebhook
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, WEBHOOK_ID, MemoryStore, a_plan, failing, fingerprint, secret
from tests.world.running_task import RunningTask

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase, Log

OLD, NEW, NEWER = fingerprint("0"), fingerprint("1"), fingerprint("2")
EARLIER = StoreOutcome("memory", "memory://memory", "written", NEW, 12.0)


def a_store(**facts: Any) -> MemoryStore:
    return MemoryStore(**{"value": secret("0"), "main_thread_only": True, **facts})


def rotated(earlier: StoreOutcome | None = None, **facts: Any) -> RotationOutcome:
    stores = {"memory": earlier} if earlier is not None else {}
    posted = Moment(time.monotonic() - 3, time.time() - 3, boot_id())
    usual: dict[str, Any] = {"plan": a_plan(), "how": "answered", "after": NEW, "posted": posted, "stores": stores}
    return RotationOutcome(**{**usual, **facts})


def push(store: MemoryStore, outcome: RotationOutcome | None, **arguments: Any) -> RunningTask:
    """After a rotate task, or alone."""
    usual = {"webhook": "production", "webhook_id": WEBHOOK_ID, "featurebase_conn_id": "fb_of_mine"}
    rotate_task_id = "rotate" if outcome is not None else None
    operator = PushWebhookSecretOperator(
        task_id="push", store=store, rotate_task_id=rotate_task_id, **{**usual, **arguments}
    )
    results = {"rotate": json.loads(json.dumps(outcome.as_json()))} if outcome is not None else {}
    return RunningTask(operator, results=results)


def test_a_store_that_rotate_has_written_is_left_alone(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """And keeps what rotate measured."""
    featurebase.api.rotated()
    store = a_store(value=secret("1"))
    assert push(store, rotated(EARLIER)).execute() == {**asdict(EARLIER), "pushed_at": None}
    assert store.writes == []
    assert stats == [("featurebase.push", {"webhook": "production", "result": "done"})]
    assert featurebase.conn_ids == ["fb_of_mine"]
    assert f"Store memory (memory://memory): written, holds {NEW}" in said.texts["info"]


@pytest.mark.parametrize("earlier", [None, replace(EARLIER, result="failed", fingerprint=None)])
def test_a_store_that_rotate_has_missed_is_exposed_until_now(
    featurebase: Featurebase, memory: WebhookMemory, earlier: StoreOutcome | None
) -> None:
    featurebase.api.rotated()
    result = push(a_store(), rotated(earlier)).execute()
    assert (result["result"], result["fingerprint"], result["problem"]) == ("written", NEW, None)
    assert (result["label"], result["target"], result["detail"]) == ("memory", "memory://memory", None)
    assert 3000 <= result["readable_ms"] < 60_000
    assert result["pushed_at"] == START.isoformat()


@pytest.mark.parametrize("earlier", [None, replace(EARLIER, fingerprint=OLD)])
def test_a_store_that_somebody_else_has_brought_there_was_exposed_to_nothing_of_ours(
    featurebase: Featurebase, memory: WebhookMemory, earlier: StoreOutcome | None
) -> None:
    featurebase.api.rotated()
    result = push(a_store(value=secret("1")), rotated(earlier)).execute()
    assert (result["result"], result["fingerprint"], result["readable_ms"]) == ("unchanged", NEW, None)
    assert result["pushed_at"] is None


def test_on_another_machine_exposure_is_measured_by_wall_clock(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """On the same one by the clock that nobody sets."""
    featurebase.api.rotated()
    elsewhere = Moment(0.0, time.time() - 4, "another machine")
    assert 4000 <= push(a_store(), rotated(posted=elsewhere)).execute()["readable_ms"] < 60_000
    here = Moment(time.monotonic() - 3, 0.0, boot_id())
    assert 3000 <= push(a_store(), rotated(posted=here)).execute()["readable_ms"] < 60_000


def test_a_secret_that_another_run_has_replaced_since_is_not_written(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """Though a read shows it: that one is stale."""
    featurebase.api.rotated()
    featurebase.api.rotated()
    at = START.isoformat()
    memory.write("history", History(WEBHOOK_ID).seeing(NEW, at).seeing(NEWER, at, replaced=[NEW]).as_json())
    featurebase.api.read_script.append("stale")
    store = a_store()
    push(store, rotated()).execute()
    assert store.writes == [NEWER]


@pytest.mark.parametrize("drop", [True, False])
def test_whether_the_previous_secret_stays_is_the_plans_to_say(
    featurebase: Featurebase, memory: WebhookMemory, drop: bool
) -> None:
    featurebase.api.rotated()
    store = a_store(value=secret("1"), previous=secret("older"), keeps_previous=True)
    push(store, rotated(plan=a_plan(drop_previous=drop))).execute()
    assert store.holds_previous == (None if drop else "whsec_older")


def test_a_store_that_was_changed_since_rotate_is_measured_anew(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    featurebase.api.rotated()
    result = push(a_store(), rotated(EARLIER)).execute()
    assert (result["result"], result["fingerprint"]) == ("written", NEW)
    assert result["readable_ms"] >= 3000


def test_where_rotate_has_not_refreshed_no_exposure_is_measured(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    featurebase.api.rotated()
    assert push(a_store(), rotated(posted=None, how="already_done")).execute()["readable_ms"] is None


@pytest.mark.parametrize("earlier", [EARLIER, None])
def test_a_store_that_cannot_be_read_keeps_what_rotate_measured(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, earlier: StoreOutcome | None
) -> None:
    """It is written each time, as nobody can tell whether it has to be."""
    featurebase.api.rotated()
    result = push(a_store(value=None, readable=False, adopt=True), rotated(earlier)).execute()
    if earlier is not None:
        assert {**asdict(earlier), "pushed_at": result["pushed_at"]} == result
    else:
        assert result["detail"] == NOT_READABLE
        assert f"Store memory (memory://memory): written, {NOT_READABLE}" in said.texts["info"]


def test_alone_it_brings_the_store_to_what_featurebase_shows(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """A value is replaced where earlier runs know it."""
    featurebase.api.rotated()
    with pytest.raises(AirflowFailException, match="store memory"):
        push(a_store(value=secret("older")), None).execute()
    memory.write("history", History(WEBHOOK_ID).knowing(known=[fingerprint("older")]).as_json())
    store = a_store(value=secret("older"))
    result = push(store, None).execute()
    assert (result["result"], result["readable_ms"], store.holds) == ("written", None, "whsec_1")


def test_what_rotate_saw_in_between_is_replaced(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    store = a_store(value=secret("between"))
    push(store, rotated(seen=(fingerprint("between"),))).execute()
    assert store.holds == "whsec_1"


def test_a_store_that_fails_is_left_to_airflows_retries(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """The error must not say that nothing was changed: the refresh is over."""
    featurebase.api.rotated()
    store = a_store()
    store.read_script.append(failing(StoreUnreachable("memory", "no answer")))
    with pytest.raises(StoreUnreachable, match="A refresh can't be undone"):
        push(store, rotated()).execute()
    store.read_script.append(failing(ZeroDivisionError()))
    with pytest.raises(StoreError, match=r"store memory \(memory://memory\): "):
        push(store, rotated()).execute()


def test_a_record_that_cannot_be_read_holds_up_no_store(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    featurebase.api.rotated()
    memory._put("history", {"by": "somebody else"})
    assert push(a_store(), rotated()).execute()["fingerprint"] == NEW
    assert said.texts["warning"]


@pytest.mark.parametrize("days", [0, 10])
def test_a_secret_that_rotate_found_replaced_long_ago_may_be_current(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """By Featurebase's clock; what stays for days is no stale read."""
    hasty, moments = Clock(), iter(range(0, 10_000, 20))
    monkeypatch.setattr(hasty, "sleep", lambda seconds: None)
    monkeypatch.setattr(hasty, "monotonic", lambda: float(next(moments)))
    monkeypatch.setattr("featurebase_provider.rotation.push.OneWebhook", partial(OneWebhook, clock=hasty))
    at = (START - timedelta(days=days)).isoformat()
    outcome = rotated(how="already_done", posted=None, distributed_at=at)
    task = push(a_store(value=secret("1")), outcome)
    if days:
        assert task.execute()["fingerprint"] == OLD
    else:
        with pytest.raises(Exception, match="known to have been replaced"):
            task.execute()
