"""The rotation's memory in Airflow's Variables: what is unknown or spoilt is never taken for absent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.operators import memory as module
from featurebase_provider.operators.assets import plan_asset, report_asset
from featurebase_provider.operators.memory import VariableMemory, events_of, memory_of
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.push import PushWebhookSecretOperator
from featurebase_provider.operators.report import RotationReportOperator
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator
from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown, StoreUnreachable
from featurebase_provider.rotation.memory import LARGEST_RECORD, WebhookMemory, plan_key
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_plan, fingerprint, secret
from tests.world.running_task import NOW, RunningTask

if TYPE_CHECKING:
    from tests.unit.operators.conftest import Featurebase

OUT = StoreUnreachable("a_record", "no answer", "Wait")


class Variables:
    """Airflow's Variables.

    :param unreadable: keys that are there and can't be decrypted.
    :param hidden: what another place, which Airflow asks first, has under every key.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.descriptions: dict[str, str] = {}
        self.unreadable: set[str] = set()
        self.hidden: str | None = None
        self.down = False
        self.asked: set[str] = set()

    def get(self, name: str, key: str) -> str | None:
        self._ask(name, key)
        return self.hidden or self.values.get(key)

    def put(self, name: str, key: str, value: str, description: str) -> None:
        self._ask(name, key)
        self.values[key], self.descriptions[key] = value, description

    def is_listed(self, name: str, key: str) -> bool | None:
        self._ask(name, key)
        return key in self.values or key in self.unreadable

    def _ask(self, name: str, key: str) -> None:
        assert name == key
        self.asked.add(key)
        if self.down:
            raise OUT


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    kept = Variables()
    monkeypatch.setattr(module, "get_variable", kept.get)
    monkeypatch.setattr(module, "put_variable", kept.put)
    monkeypatch.setattr(module, "is_listed", kept.is_listed)
    return kept


def test_a_record_is_a_variable_that_says_what_it_is(variables: Variables) -> None:
    kept = VariableMemory(WEBHOOK_ID)
    assert kept.read("a_record") is None
    kept.write("a_record", "{}")
    assert kept.read("a_record") == variables.values["a_record"] == "{}"
    assert "do not edit" in variables.descriptions["a_record"]
    assert variables.asked == {"a_record"}


def test_a_record_that_cannot_be_decrypted_is_not_absent(variables: Variables) -> None:
    variables.unreadable.add("a_record")
    with pytest.raises(MemorySpoilt, match=f"{WEBHOOK_ID}.*a_record.*decrypted"):
        VariableMemory(WEBHOOK_ID).read("a_record")


def test_before_airflow_can_list_them_no_answer_is_none(variables: Variables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_listed", lambda name, key: None)
    assert VariableMemory(WEBHOOK_ID).read("a_record") is None


def test_an_outage_is_not_absence(variables: Variables) -> None:
    variables.down = True
    kept = VariableMemory(WEBHOOK_ID)
    for work in (lambda: kept.read("a_record"), lambda: kept.write("a_record", "{}")):
        with pytest.raises(MemoryUnknown, match=f"{WEBHOOK_ID}.*a_record.*no answer") as caught:
            work()
        assert caught.value.retry_helps
        assert not isinstance(caught.value, MemorySpoilt)


def test_what_is_hidden_by_another_place_was_not_written(variables: Variables) -> None:
    variables.hidden = "{}"
    with pytest.raises(MemorySpoilt, match=f"{WEBHOOK_ID}.*a_record.*another value"):
        VariableMemory(WEBHOOK_ID).write("a_record", '{"a": 1}')


def test_a_record_has_a_size_in_bytes(variables: Variables) -> None:
    kept = VariableMemory(WEBHOOK_ID)
    kept.write("a_record", "x" * LARGEST_RECORD)
    for text in ("x" * (LARGEST_RECORD + 1), "é" * (LARGEST_RECORD // 2 + 1)):
        with pytest.raises(MemorySpoilt, match=f"{WEBHOOK_ID}.*a_record.*{LARGEST_RECORD} bytes"):
            kept.write("a_record", text)


def test_each_webhook_host_and_team_has_records_of_its_own(variables: Variables) -> None:
    """A command has no team, nor has an Airflow before 3.2."""

    def context(**run: Any) -> Any:
        return {"dag_run": SimpleNamespace(**run)}

    told = [
        memory_of(context(team_name="red"), "https://a", "5a"),
        memory_of(context(team_name=None), "https://a", "5a"),
        memory_of(context(), "https://a", "5a"),
        memory_of(None, "https://a", "5a"),
    ]
    assert [(one.host, one.webhook_id, one.team) for one in told] == [
        ("https://a", "5a", team) for team in ("red", None, None, None)
    ]
    assert {one.memory.webhook_id for one in told if isinstance(one.memory, VariableMemory)} == {"5a"}


@pytest.mark.parametrize("task_id", ["preflight", "rotate", "alone", "push", "report"])
def test_every_task_goes_by_the_records_of_its_team(
    featurebase: Featurebase, memory: WebhookMemory, task_id: str
) -> None:
    """Those of another team are another Airflow's for all that matters here."""
    red, store = replace(memory, team="red"), MemoryStore(value=secret("0"), main_thread_only=True)
    plan = replace(a_plan(), dag_id="a_dag", run_started=NOW.isoformat(), stores=(store.target,))
    outcome = RotationOutcome(plan, "not_asked", fingerprint("0"))
    usual: dict[str, Any] = {"task_id": task_id, "webhook_id": WEBHOOK_ID}
    operator: Any = {
        "preflight": lambda: PreflightRotationOperator(**usual, stores=[store]),
        "rotate": lambda: RotateWebhookSecretOperator(**usual, stores=[store], plan_task_id="preflight"),
        "alone": lambda: RotateWebhookSecretOperator(**usual, stores=[store]),
        "report": lambda: RotationReportOperator(
            **usual, preflight_task_id="preflight", rotate_task_id="outcome", push_task_ids={}
        ),
        "push": lambda: PushWebhookSecretOperator(**usual, store=store, rotate_task_id="outcome"),
    }[task_id]()
    red.keep_plan(plan_key("a_dag", "preflight"), plan)
    task = RunningTask(operator, results={"preflight": plan.as_json(), "outcome": outcome.as_json()})
    task.context["dag_run"].team_name = "red"
    kept: Any = memory.memory
    kept.reads.clear()
    kept.writes.clear()
    task.execute()
    assert kept.reads
    assert all(name.startswith(red.prefix) for name in (*kept.reads, *kept.writes))


def test_what_version_0_1_0_left_in_events_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest of each asset; none where Airflow can't tell."""
    left = {report_asset("a").name: [{"a": 1}], plan_asset("a").name: None}
    limits = []

    def extras(asset: Any, *, newest: int | None = None) -> Any:
        limits.append(newest)
        return left[asset.name]

    monkeypatch.setattr(module, "asset_event_extras", extras)
    assert events_of(report_asset("a"), plan_asset("a")) == ([{"a": 1}], ())
    assert limits == [module.NEWEST_EVENTS] * 2
