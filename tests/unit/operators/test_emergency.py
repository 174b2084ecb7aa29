"""When an emergency tells other runs what has leaked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider.config import WebhookConfig
from featurebase_provider.operators.emergency import EmergencyPlanOperator, EmergencyRotateOperator
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.plan import RotationPlan
from tests.support.running_task import NOW, RunningTask
from tests.unit.rotation.fakes import WEBHOOK_ID, MemoryStore, a_plan, fingerprint, secret

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase

OLD = fingerprint("0")
KEY = plan_key("a_dag", "plan", "production")
WEBHOOKS = {
    "production": WebhookConfig.model_validate(
        {
            "name": "production",
            "webhook_id": WEBHOOK_ID,
            "stores": [{"type": "airflow_variable", "name": "the_signing_secret"}],
        }
    )
}
BRANCH: dict[str, Any] = {"webhooks": WEBHOOKS, "webhook": "production", "plan_task_id": "plan"}


def plan(**task: Any) -> RunningTask:
    return RunningTask(EmergencyPlanOperator(task_id="plan", rotate_task_id="rotate", **BRANCH), **task)


def the_plan(**facts: Any) -> RotationPlan:
    return replace(a_plan(mode="emergency", leaked=[OLD]), dag_id="a_dag", run_started=NOW.isoformat(), **facts)


def test_the_plan_says_what_has_leaked(featurebase: Featurebase, memory: WebhookMemory) -> None:
    assert plan().execute()["leaked"] == [OLD]
    assert memory.leaked() == {OLD}


def test_a_plan_that_a_later_runs_keeps_out_calls_nothing_leaked(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """It may be a late try that Airflow lost sight of, and the secret that it sees the later run's new one."""
    memory.keep_plan(KEY, the_plan(run_id="manual__2", run_after=(NOW + timedelta(minutes=5)).isoformat()))
    assert plan().execute()["leaked"] == [OLD]
    assert memory.leaked() == frozenset()


def test_what_a_refresh_replaces_has_leaked_whoever_keeps_the_plan(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    store = MemoryStore(value=secret("0"), main_thread_only=True)
    webhooks = {"production": WEBHOOKS["production"].model_copy(update={"stores": (store,)})}
    operator = EmergencyRotateOperator(task_id="rotate", **{**BRANCH, "webhooks": webhooks})
    RunningTask(operator, results={"plan": the_plan().as_json()}).execute()
    assert (store.holds, memory.leaked()) == ("whsec_1", {OLD})
