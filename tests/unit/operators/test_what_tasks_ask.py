"""What preflight, rotate and push ask Airflow and the rotation's memory, and when."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.push import PushWebhookSecretOperator
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import plan_key, recall
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, WEBHOOK_ID, MemoryStore, a_plan, fingerprint, secret
from tests.world.running_task import NOW, RunningTask

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase

OLD = fingerprint("0")
WHO = {"webhook_id": WEBHOOK_ID, "webhook": "production"}
KEY = plan_key("a_dag", "preflight")


def a_store(**facts: Any) -> MemoryStore:
    return MemoryStore(**{"value": secret("0"), "main_thread_only": True, **facts})


def preflight(*stores: MemoryStore, task: dict[str, Any] | None = None, **arguments: Any) -> RunningTask:
    operator = PreflightRotationOperator(
        task_id="preflight", stores=stores, rotate_task_id="rotate", **WHO, **arguments
    )
    return RunningTask(operator, **(task or {}))


def rotate(plan: RotationPlan, store: MemoryStore, **task: Any) -> RunningTask:
    operator = RotateWebhookSecretOperator(
        task_id="rotate", plan_task_id="preflight", stores=[store], refresh_grace=timedelta(), **WHO
    )
    return RunningTask(operator, results={"preflight": plan.as_json()}, **task)


def push(outcome: RotationOutcome, store: MemoryStore) -> RunningTask:
    operator = PushWebhookSecretOperator(task_id="push", store=store, rotate_task_id="rotate", **WHO)
    return RunningTask(operator, results={"rotate": json.loads(json.dumps(outcome.as_json()))})


def the_plan(**facts: Any) -> RotationPlan:
    return replace(a_plan(), dag_id="a_dag", run_started=NOW.isoformat(), stores=("memory://memory",), **facts)


def test_a_backfill_is_skipped_before_anything_is_asked(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """It would refresh once for each of its dates."""
    with pytest.raises(AirflowSkipException, match="backfill"):
        preflight(task={"run_type": "backfill"}).execute()
    assert featurebase.api.reads == 0


@pytest.mark.parametrize(("hours", "late"), [(2, True), (0.5, False)])
def test_a_scheduled_run_is_late_by_featurebases_clock(
    featurebase: Featurebase, memory: WebhookMemory, hours: float, late: bool
) -> None:
    task = preflight(a_store(), task={"run_type": "scheduled", "run_after": START - timedelta(hours=hours)})
    if late:
        with pytest.raises(AirflowSkipException, match="late"):
            task.execute()
    else:
        assert task.execute()["before"] == OLD


def test_a_young_secret_is_left_alone(featurebase: Featurebase, memory: WebhookMemory) -> None:
    at = (START - timedelta(hours=3)).isoformat()
    memory.write("history", History(WEBHOOK_ID).seeing(OLD, at, refreshed_at=at).as_json())
    with pytest.raises(AirflowSkipException, match="at most 3 h old"):
        preflight(a_store(), task={"run_type": "scheduled", "run_after": START}).execute()


def test_the_plan_knows_what_the_history_tells(featurebase: Featurebase, memory: WebhookMemory) -> None:
    at = (START - timedelta(days=40)).isoformat()
    history = History(WEBHOOK_ID).seeing("sha256:older", at).seeing(OLD, at, refreshed_at=at)
    memory.write("history", history.as_json())
    memory.add_leaked(["sha256:leaked"])
    plan = preflight(a_store()).execute()
    assert (plan["known"], plan["older"], plan["leaked"]) == (
        ["sha256:older", OLD],
        ["sha256:older"],
        ["sha256:leaked"],
    )
    assert (plan["drop_previous"], plan["stores"]) == (True, ["memory://memory"])
    kept = memory.plan(KEY)
    assert kept is not None
    assert kept.as_json() == plan


@pytest.mark.parametrize("mode", ["dry_run", "distribute"])
def test_a_run_that_refreshes_nothing_leaves_no_plan(
    featurebase: Featurebase, memory: WebhookMemory, mode: str
) -> None:
    preflight(a_store(), mode=mode).execute()
    assert memory.plan(KEY) is None


@pytest.mark.parametrize("other", [{"dag_id": "another"}, {"run_id": "manual__2"}], ids=["Dag", "run"])
def test_a_plan_of_another_run_is_not_kept(
    featurebase: Featurebase, memory: WebhookMemory, other: dict[str, Any]
) -> None:
    memory.keep_plan(KEY, replace(the_plan(before="sha256:theirs"), **other))
    assert preflight(a_store(), task={"try_number": 2}).execute()["before"] == OLD


def test_a_later_try_keeps_its_own(featurebase: Featurebase, memory: WebhookMemory) -> None:
    memory.keep_plan(KEY, the_plan(before="sha256:mine"))
    assert preflight(a_store(), task={"try_number": 2}).execute()["before"] == "sha256:mine"


@pytest.mark.parametrize("state", ["failed", "success", "running"])
def test_a_later_try_without_a_plan_stops_where_rotate_was_started(
    featurebase: Featurebase, memory: WebhookMemory, state: str
) -> None:
    with pytest.raises(AirflowFailException, match="its plan is gone"):
        preflight(a_store(), task={"try_number": 2, "states": {"rotate": state}}).execute()
    assert preflight(a_store(), task={"try_number": 2, "states": {"rotate": "skipped"}}).execute()["before"] == OLD


def test_rotate_remembers_what_it_did(featurebase: Featurebase, memory: WebhookMemory) -> None:
    memory.keep_plan(KEY, the_plan())
    rotate(the_plan(), a_store()).execute()
    history = recall(memory)
    assert (history.replaced, history.known[-1]) == ({OLD}, fingerprint("1"))
    assert len(history.runs) == 1


def test_rotate_asks_what_has_leaked_before_it_refreshes(featurebase: Featurebase, memory: WebhookMemory) -> None:
    memory.keep_plan(KEY, the_plan())
    memory.add_leaked([OLD])
    store = a_store(keeps_previous=True)
    rotate(the_plan(), store).execute()
    assert (store.holds, store.holds_previous) == ("whsec_1", None)


def test_rotate_knows_what_other_runs_wrote_since_the_plan(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Its own earlier try among them, whose result went when this one began."""
    memory.keep_plan(KEY, the_plan())
    memory.write("history", History(WEBHOOK_ID).knowing(known=[fingerprint("between")]).as_json())
    store = a_store(value=secret("between"))
    rotate(the_plan(), store, try_number=2).execute()
    assert store.holds == "whsec_1"


def test_push_asks_what_has_leaked_and_what_was_replaced_since(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """An emergency, or another rotation, may have begun after rotate."""
    api = featurebase.api
    api.rotated()
    outcome = RotationOutcome(the_plan(), "answered", fingerprint("1"), distributed_at=START.isoformat())
    memory.add_leaked([OLD])
    store = a_store(keeps_previous=True)
    push(outcome, store).execute()
    assert (store.holds, store.holds_previous) == ("whsec_1", None)
    api.rotated()
    at = START.isoformat()
    history = History(WEBHOOK_ID).seeing(fingerprint("1"), at).seeing(fingerprint("2"), at, replaced=[fingerprint("1")])
    memory.write("history", history.as_json())
    api.read_script.append("stale")
    push(outcome, store).execute()
    assert store.holds == "whsec_2"
