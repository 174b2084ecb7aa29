"""What the tasks of an emergency's branch go by, what they tell other runs, and what holds none of them up."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.config import WebhookConfig
from featurebase_provider.operators.assets import secret_asset
from featurebase_provider.operators.context import this_run
from featurebase_provider.operators.emergency import (
    EmergencyPlanOperator,
    EmergencyProbeOperator,
    EmergencyPushOperator,
    EmergencyRotateOperator,
    longest_probe,
)
from featurebase_provider.operators.finding import KEY as FINDING
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.clock import Clock, Moment, boot_id
from featurebase_provider.rotation.errors import MemoryUnknown, RefreshOutcomeUnknown, StoreRefused, StoresLeftOver
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.unit.operators.conftest import rendered
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
CHOSEN = "{{ params.webhook }}"
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


def plan(*, arguments: dict[str, Any] | None = None, **task: Any) -> RunningTask:
    usual = {"task_id": "plan", "rotate_task_id": "rotate", **BRANCH}
    return RunningTask(EmergencyPlanOperator(**{**usual, **(arguments or {})}), **task)


def a_store(label: str = "memory", **facts: Any) -> MemoryStore:
    return MemoryStore(**{"label": label, "value": secret("0"), "main_thread_only": True, **facts})


def with_stores(*stores: MemoryStore, **changes: Any) -> dict[str, Any]:
    """Arguments of a task of a branch whose webhook has these stores."""
    entry = WEBHOOKS["production"].model_copy(
        update={"stores": stores, "featurebase_conn_id": "fb_of_mine", "refresh_grace": timedelta(), **changes}
    )
    return {**BRANCH, "webhooks": {"production": entry}}


def rotated(*earlier: StoreOutcome, **facts: Any) -> RotationOutcome:
    posted = Moment(time.monotonic() - 3, time.time() - 3, boot_id())
    usual: dict[str, Any] = {"how": "answered", "after": NEW, "posted": posted, "refreshed_at": START.isoformat()}
    return RotationOutcome(the_plan(), **{**usual, **facts}, stores={one.label: one for one in earlier})


def push(outcome: RotationOutcome, *stores: MemoryStore, **arguments: Any) -> RunningTask:
    operator = EmergencyPushOperator(task_id="push", rotate_task_id="rotate", **{**with_stores(*stores), **arguments})
    return RunningTask(operator, results={"plan": the_plan().as_json(), "rotate": outcome.as_json()})


def spoil(memory: WebhookMemory) -> None:
    """Have Airflow's Variables answer no more."""
    memory.memory.problem = MemoryUnknown(WEBHOOK_ID, "a record", "not answered")  # type: ignore[attr-defined]


def the_plan(**facts: Any) -> RotationPlan:
    return replace(a_plan(mode="emergency", leaked=[OLD]), dag_id="a_dag", run_started=NOW.isoformat(), **facts)


@pytest.mark.parametrize(
    "operator",
    [
        EmergencyPlanOperator(task_id="plan", webhooks=WEBHOOKS, rotate_task_id="rotate", webhook=CHOSEN),
        EmergencyRotateOperator(task_id="rotate", webhooks=WEBHOOKS, webhook=CHOSEN),
        EmergencyPushOperator(task_id="push", webhooks=WEBHOOKS, rotate_task_id="rotate", webhook=CHOSEN),
        EmergencyProbeOperator(task_id="probe", webhooks=WEBHOOKS, webhook=CHOSEN),
    ],
    ids=lambda operator: operator.task_id,
)
def test_each_branch_is_told_its_webhook_when_it_runs(operator: Any) -> None:
    assert rendered(operator, webhook="production").chosen() is WEBHOOKS["production"]


def test_the_reason_is_a_line_of_some_length(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """By CLI and REST it may be any text."""
    task = plan(arguments={"reason": "{{ params.reason }}"})
    rendered(task.operator, reason="a\n" + "leak " * 1000)
    assert task.execute()["reason"] == ("a " + "leak " * 1000)[:500]


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


def test_rotate_finds_the_plan_where_the_plan_task_keeps_it(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """A store may hold what a later run's plan set out from."""
    assert plan(arguments={"plan_task_id": None}).execute() is not None
    mine = memory.plan(KEY)
    assert mine is not None
    later = {"run_id": "manual__2", "run_after": (NOW + timedelta(minutes=5)).isoformat()}
    memory.keep_plan(KEY, the_plan(before=fingerprint("later"), **later))
    store = a_store(value=secret("later"))
    operator = EmergencyRotateOperator(task_id="rotate", **with_stores(store))
    RunningTask(operator, results={"plan": mine.as_json()}).execute()
    assert store.holds == "whsec_1"


def test_each_team_has_its_own_memory(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Other teams' webhooks may be at the same Featurebase."""
    mine = replace(memory, team="mine")
    task = plan()
    task.context["dag_run"].team_name = "mine"
    task.execute()
    assert (mine.leaked(), memory.leaked()) == ({OLD}, frozenset())
    mine.write("history", History(WEBHOOK_ID).knowing(known=[fingerprint("of_mine")]).as_json())
    featurebase.api.rotated()
    store = a_store(value=secret("of_mine"))
    task = push(rotated(), store)
    task.context["dag_run"].team_name = "mine"
    task.execute()
    assert store.holds == "whsec_1"


def test_a_plan_of_another_webhook_refreshes_nothing(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """The entry may have been given another id since the run began."""
    operator = EmergencyRotateOperator(task_id="rotate", **with_stores(a_store(), webhook_id="5" * 24))
    with pytest.raises(AirflowFailException, match=f"webhook {'5' * 24}: the plan in this Dag run belongs to webhook"):
        RunningTask(operator, results={"plan": the_plan().as_json()}).execute()
    assert featurebase.api.posts == 0


def test_errors_name_a_webhook_that_the_file_knows_by_name_by_its_id(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    arguments = with_stores(a_store(), webhook_id=None, webhook_name="Production Webhook")
    operator = EmergencyRotateOperator(task_id="rotate", **arguments)
    with pytest.raises(AirflowFailException, match=f"webhook {WEBHOOK_ID}: the recorded plan is invalid"):
        RunningTask(operator, results={"plan": {"webhook_id": WEBHOOK_ID}}).execute()


def test_what_a_refresh_replaces_has_leaked_whoever_keeps_the_plan(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    store = MemoryStore(value=secret("0"), main_thread_only=True)
    webhooks = {"production": WEBHOOKS["production"].model_copy(update={"stores": (store,)})}
    operator = EmergencyRotateOperator(task_id="rotate", **{**BRANCH, "webhooks": webhooks})
    RunningTask(operator, results={"plan": the_plan().as_json()}).execute()
    assert (store.holds, memory.leaked()) == ("whsec_1", {OLD})


@pytest.mark.parametrize(
    ("webhook", "wrong", "refused"),
    [
        ("production", {"production": "stores is empty"}, "production: .*stores is empty"),
        ("no\nsuch", {}, "no such: .*Known: production"),
    ],
)
def test_a_branch_whose_webhook_is_not_right_fails_alone(
    featurebase: Featurebase, memory: WebhookMemory, webhook: str, wrong: dict[str, str], refused: str
) -> None:
    with pytest.raises(AirflowFailException, match=refused):
        plan(arguments={"webhook": webhook, "wrong": wrong}).execute()
    assert featurebase.api.reads == 0


def test_the_plan_is_what_the_whole_emergency_goes_by(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """All that is known has leaked too: what runs knew, and what the rotation's own preflight had in its plan."""
    memory.write("history", History(WEBHOOK_ID).knowing(known=["sha256:known"]).as_json())
    memory.add_leaked(["sha256:leaked"])
    own = replace(a_plan(), before="sha256:planned")
    memory.keep_plan(plan_key("featurebase_rotate__production", "preflight"), own)
    task = plan(arguments={**with_stores(a_store("a"), dashboard_url="https://acme.example"), "reason": "a\nleak"})
    made = task.execute()
    assert task.operator.dashboard_url == "https://acme.example"
    assert (made["before"], made["mode"], made["host"], made["reason"]) == (OLD, "emergency", memory.host, "a leak")
    assert (made["planned_at"], made["stores"]) == (START.isoformat(), ["memory://a"])
    assert made["leaked"] == sorted([OLD, "sha256:known", "sha256:leaked", "sha256:planned"])
    assert set(made["known"]) == {"sha256:known", "sha256:planned"}
    assert memory.leaked() == set(made["leaked"])
    kept = memory.plan(KEY)
    assert kept is not None
    assert kept.as_json() == made
    found = task.pushed[FINDING]["found"]
    assert (found["webhook_id"], found["host"], found["current"]) == (WEBHOOK_ID, memory.host, OLD)
    assert featurebase.conn_ids == ["fb_of_mine"]
    assert any(OLD in text for text in said.texts["warning"])
    assert stats == [("featurebase.emergency_plan", {"webhook": "production", "result": "done"})]


def test_a_webhook_that_is_named_by_name_is_found(featurebase: Featurebase, memory: WebhookMemory) -> None:
    task = plan(arguments=with_stores(webhook_id=None, webhook_name="Production Webhook"))
    assert task.execute()["webhook_id"] == WEBHOOK_ID
    assert task.operator.webhook_id == WEBHOOK_ID


def test_a_cleared_run_keeps_its_plan(featurebase: Featurebase, memory: WebhookMemory, said: Log) -> None:
    """It refreshes once; where the secret is another by now, the log says so."""
    first = plan().execute()
    assert "already has a plan" not in said
    assert plan(try_number=2).execute() == first
    assert f"already has a plan (secret {OLD})" in said
    assert not any(f"no longer the plan's {OLD}" in text for text in said.texts["warning"])
    featurebase.api.rotated()
    assert plan(try_number=2).execute() == first
    assert f"The secret is {NEW}, no longer the plan's {OLD}" in said
    memory.forget_plan(KEY)
    with pytest.raises(AirflowFailException, match="its plan is gone"):
        plan(try_number=2, states={"rotate": "failed"}).execute()
    task = plan(try_number=2)
    memory.write("history", replace(History(WEBHOOK_ID), runs=(this_run(task.context).mark,)).as_json())
    with pytest.raises(AirflowFailException, match="its plan is gone"):
        task.execute()


def test_a_plan_that_is_gone_is_taken_from_what_rotate_left(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    """Whether the memory has lost it, or does not answer: so the run refreshes once."""
    featurebase.api.rotated()
    left: dict[str, Any] = {"results": {"rotate": rotated().as_json()}, "try_number": 2}
    assert plan(**left).execute()["before"] == OLD
    assert "not answered" not in said
    spoil(memory)
    assert plan(**left).execute()["before"] == OLD
    assert any("not answered" in text for text in said.texts["warning"])
    assert plan(**{**left, "try_number": 1}).execute()["before"] == NEW


def test_a_memory_that_does_not_answer_holds_no_plan_up(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    spoil(memory)
    assert plan().execute()["before"] == OLD
    (error,) = said.texts["error"]
    assert "not answered" in error


@pytest.mark.parametrize("allowed", [True, False])
def test_nothing_but_featurebase_holds_the_refresh_up(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, allowed: bool
) -> None:
    """No store, no memory, no status, no clock: a store that fails is left to the push task."""
    featurebase.api.change(status="paused")
    down, right = a_store("down", arm_error=StoreRefused("down", "gone")), a_store("right")
    operator = EmergencyRotateOperator(task_id="rotate", **with_stores(down, right))
    facts = {"run_type": "scheduled", "run_after": START - timedelta(days=9)}
    if not allowed:
        spoil(memory)
    result = RunningTask(operator, results={"plan": the_plan().as_json()}, **facts).execute()
    assert (result["after"], right.holds, result["stores"]["down"]["result"]) == (NEW, "whsec_1", "not_armed")
    assert featurebase.conn_ids == ["fb_of_mine"]
    assert any("not answered" in text for text in said.texts["error"]) is not allowed


def test_who_watches_the_log_learns_that_for_a_moment_nobody_knew_what_has_leaked(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    """Just before the refresh, which goes ahead."""
    featurebase.api.on_read = lambda count: spoil(memory) if count == 1 else None
    store = a_store(on_write=lambda store, pair: setattr(memory.memory, "problem", None))
    operator = EmergencyRotateOperator(task_id="rotate", **with_stores(store))
    RunningTask(operator, results={"plan": the_plan().as_json()}).execute()
    assert store.holds == "whsec_1"
    assert any("not answered" in text for text in said.texts["warning"])


def test_the_refresh_waits_as_long_as_the_entry_says(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: waited.append(seconds))
    monkeypatch.setattr(Clock, "monotonic", lambda clock: sum(waited))
    featurebase.api.post_script.append("lost_before")
    operator = EmergencyRotateOperator(task_id="rotate", **with_stores(a_store(), refresh_grace=timedelta(seconds=7)))
    with pytest.raises(RefreshOutcomeUnknown):
        RunningTask(operator, results={"plan": the_plan().as_json()}).execute()
    assert sum(waited) == 7


def test_every_store_is_brought_there_and_announced(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """What rotate has measured stays; what it has missed was exposed until now."""
    featurebase.api.rotated()
    done = StoreOutcome("done", "memory://done", "written", NEW, 12.0)
    missed = StoreOutcome("missed", "memory://missed", "failed", NEW, problem="not read back")
    stores = (
        a_store("done", value=secret("1")),
        a_store("missed", keeps_previous=True),
        a_store("new"),
        a_store("there", value=secret("1")),
    )
    memory.add_leaked(["sha256:leaked"])
    task = push(rotated(done, missed), *stores)
    result = task.execute()
    told = result["stores"]
    assert (result["fingerprint"], told["done"]) == (NEW, asdict(done))
    assert [told[label]["result"] for label in ("missed", "new", "there")] == ["written", "written", "unchanged"]
    assert 3000 <= told["missed"]["confirmed_ms"] < 60_000
    assert told["there"]["confirmed_ms"] is None
    assert [store.holds for store in stores] == ["whsec_1"] * 4
    assert stores[1].holds_previous is None
    assert task.pushed["return_value"] == result
    extra = {"host": memory.host, "webhook_id": WEBHOOK_ID, "fingerprint": NEW, "refreshed_at": START.isoformat()}
    assert task.emitted == {secret_asset("production").name: extra}
    assert "Store new (memory://new): written" in said.texts["info"]
    assert featurebase.conn_ids == ["fb_of_mine"]
    assert stats == [("featurebase.emergency_push", {"webhook": "production", "result": "done"})]


def test_where_this_run_has_not_refreshed_no_exposure_is_measured(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    featurebase.api.rotated()
    result = push(rotated(posted=None, how="already_done"), a_store(), announce=False).execute()
    assert (result["stores"]["memory"]["result"], result["stores"]["memory"]["confirmed_ms"]) == ("written", None)


def test_what_rotate_measured_counts_for_the_secret_that_it_wrote(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """One that was refreshed again since, or has gone from the store, is exposed until now."""
    featurebase.api.rotated()
    featurebase.api.rotated()
    earlier = [StoreOutcome(label, f"memory://{label}", "written", NEW, 12.0) for label in ("again", "failing")]
    refusals = deque([failing(StoreRefused("failing", "read-only"))] * 9)
    task = push(rotated(*earlier), a_store("again", value=secret("1")), a_store("failing", write_script=refusals))
    with pytest.raises(StoresLeftOver):
        task.execute()
    told = task.pushed["return_value"]["stores"]
    assert told["again"]["fingerprint"] == fingerprint("2")
    assert 3000 <= told["again"]["confirmed_ms"] < 60_000
    assert told["failing"]["result"] == "failed"


def test_a_stale_read_is_written_nowhere(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what was there before rotate's secret, though no run knows it, nor what a later run has replaced."""
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)
    featurebase.api.rotated()
    unknown = a_webhook("whsec_unknown", updated_at=START - timedelta(days=60))
    featurebase.api.read_script.append(unknown)
    store = a_store()
    push(rotated(updated_at=START.isoformat()), store).execute()
    assert store.writes == [NEW]
    featurebase.api.rotated()
    seen = History(WEBHOOK_ID)
    for number in "012":
        seen = seen.seeing(fingerprint(number), START.isoformat())
    memory.write("history", seen.as_json())
    featurebase.api.read_script.append("stale")
    store = a_store()
    push(rotated(), store).execute()
    assert store.writes == [fingerprint("2")]


def test_success_is_announced_only_where_that_is_wanted(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    task = push(rotated(), a_store(), announce=False)
    task.execute()
    assert task.emitted == {}


def test_what_runs_and_rotate_know_is_replaced(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Whatever was seen between the plan and now, and whatever has leaked."""
    featurebase.api.rotated()
    memory.write("history", History(WEBHOOK_ID).knowing(known=[fingerprint("of_history")]).as_json())
    memory.add_leaked([fingerprint("of_leak")])
    stores = [a_store(name, value=secret(name)) for name in ("of_history", "of_leak", "of_rotate")]
    push(rotated(seen=(fingerprint("of_rotate"),)), *stores).execute()
    assert [store.holds for store in stores] == ["whsec_1"] * 3


@pytest.mark.parametrize(
    ("foreign", "broken", "error"),
    [(1, 0, AirflowFailException), (2, 0, AirflowFailException), (1, 1, StoresLeftOver), (0, 1, StoresLeftOver)],
)
def test_stores_that_are_left_over_are_named(
    featurebase: Featurebase,
    memory: WebhookMemory,
    said: Log,
    foreign: int,
    broken: int,
    error: type[Exception],
) -> None:
    """A retry helps unless all that is left are values of somebody else's. The report is told what the others hold."""
    featurebase.api.rotated()
    refusals = deque([failing(StoreRefused("broken", "read-only"))] * 9)
    left = [
        *(a_store(f"foreign{i}", value=secret("theirs")) for i in range(foreign)),
        *(a_store(f"broken{i}", write_script=refusals) for i in range(broken)),
    ]
    task = push(rotated(), *left, a_store("right"))
    with pytest.raises(error) as caught:
        task.execute()
    text = str(caught.value)
    assert f"{WEBHOOK_ID}: the leaked secret was replaced by {NEW}, but {len(left)} of {len(left) + 1} stores" in text
    assert ".." not in text.replace("...", "")
    told = task.pushed["return_value"]["stores"]
    assert told["right"]["result"] == "written"
    problems = [told[store.label]["problem"].rstrip(".") for store in left]
    assert "; ".join(problems) in text
    assert said.texts["error"] == []  # Airflow logs what is raised
    assert [text for text in said.texts["info"] if text.startswith("Store ")] == [
        "Store right (memory://right): written"
    ]
    assert task.emitted == {}


def test_an_outage_after_the_refresh_does_not_say_that_nothing_was_changed(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    featurebase.api.read_script.append(api_unreachable())
    with pytest.raises(Exception, match="Featurebase no longer signs with the leaked secret"):
        push(rotated(), a_store()).execute()


def test_where_no_probe_is_configured_none_is_made(featurebase: Featurebase, memory: WebhookMemory) -> None:
    operator = EmergencyProbeOperator(task_id="probe", rotate_task_id="rotate", **with_stores())
    with pytest.raises(AirflowSkipException, match="^Skipped: "):
        RunningTask(operator).execute()


def test_the_longest_probe_bounds_the_branches() -> None:
    """Its time and the time for which acceptance must hold."""
    entries = {
        name: WebhookConfig.model_validate(
            {"name": name, "webhook_id": WEBHOOK_ID, "stores": [{"type": "airflow_variable", "name": name}], **probe}
        )
        for name, probe in {
            "a": {"probe": {"timeout": "PT3M", "steady": "PT10S"}},
            "b": {"probe": {"timeout": "PT2M", "steady": "PT10S"}},
            "c": {},
        }.items()
    }
    assert longest_probe(entries) == timedelta(minutes=3, seconds=10)
    assert longest_probe({"c": entries["c"]}) == timedelta()
