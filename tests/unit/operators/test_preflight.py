"""What preflight refuses, what it proves, and what it leaves for the report."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.config import WebhookConfig
from featurebase_provider.featurebase.errors import PermissionDenied
from featurebase_provider.operators import preflight as module
from featurebase_provider.operators.finding import KEY
from featurebase_provider.operators.preflight import PreflightRotationOperator
from featurebase_provider.operators.proofs import PROBE_SECONDS
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.errors import (
    MemoryUnknown,
    ProbeUndecided,
    StaleRead,
    StoreRefused,
    StoresNotReady,
    StoreUnreachable,
)
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import plan_key
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.probe import Probe
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.store import StoreMark, Writability
from tests.unit.operators.conftest import HOST, rendered
from tests.world.fakes import (
    START,
    WEBHOOK_ID,
    ArmedMemory,
    MemoryStore,
    a_logged_refresh,
    a_webhook,
    api_unreachable,
    fingerprint,
    secret,
)
from tests.world.running_task import RunningTask

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase, Log

OLD = fingerprint("0")
NAME = "Production Webhook"
OTHER_ID = "507f1f77bcf86cd799439012"


def a_store(label: str = "memory", **facts: Any) -> MemoryStore:
    return MemoryStore(**{"label": label, "value": secret("0"), "main_thread_only": True, **facts})


def preflight(*stores: MemoryStore, task: dict[str, Any] | None = None, **arguments: Any) -> RunningTask:
    usual = {"webhook": "production", "webhook_id": WEBHOOK_ID, "featurebase_conn_id": "fb_of_mine"}
    operator = PreflightRotationOperator(task_id="preflight", stores=stores, **{**usual, **arguments})
    return RunningTask(operator, **(task or {}))


def an_entry(**facts: Any) -> WebhookConfig:
    store = {"type": "airflow_variable", "name": "the_signing_secret"}
    return WebhookConfig.model_validate({"name": "twin", "stores": [store], **facts})


def remember(memory: WebhookMemory, history: History) -> None:
    memory.write("history", history.as_json())


def receiver(status: int, events: list[str]) -> dict[str, Any]:
    """Options of a probe whose receiver answers so."""

    def answer(request: httpx.Request) -> httpx.Response:
        events.append(request.url.path)
        return httpx.Response(status)

    return {
        "transport": httpx.MockTransport(answer),
        "resolve": lambda host, port: ["203.0.113.7"],
        "timeout": 0.0,
        "reject_check": False,
    }


def test_it_must_be_told_which_webhook_is_meant() -> None:
    with pytest.raises(ValueError, match="preflight has neither webhook_id nor webhook_name"):
        PreflightRotationOperator(task_id="preflight", stores=())


def test_what_a_run_is_asked_for_may_come_out_of_its_form() -> None:
    asked = {"webhook_id": WEBHOOK_ID, "featurebase_conn_id": "fb", "webhook_name": NAME, "mode": "r", "reason": "why"}
    operator = rendered(preflight(**{name: f"{{{{ params.{name} }}}}" for name in asked}).operator, **asked)
    assert {name: getattr(operator, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("conf", "params", "arguments", "refused"),
    [
        ({"mode": "distribute"}, {"mode": "distribute"}, {}, "production: .*mode"),
        ({"mode": "rotate"}, {"mode": "rotate"}, {}, None),
        ({"reason": "asked"}, {"reason": "another"}, {}, "production: .*reason"),
        ({"reason": "asked"}, {"reason": "asked"}, {}, None),
        ({"ticket": 7}, {}, {}, None),
        ({"ticket": 7}, {}, {"strict_conf": True}, "ticket"),
    ],
)
def test_what_a_run_was_asked_for_is_what_it_does(
    featurebase: Featurebase,
    memory: WebhookMemory,
    conf: dict[str, Any],
    params: dict[str, Any],
    arguments: dict[str, Any],
    refused: str | None,
) -> None:
    task = preflight(a_store(), task={"conf": conf, "params": params}, **arguments)
    if refused is None:
        assert task.execute()["mode"] == "rotate"
    else:
        with pytest.raises(AirflowFailException, match=refused):
            task.execute()
        assert featurebase.api.reads == 0


def test_a_mode_that_there_is_not_is_refused(featurebase: Featurebase, memory: WebhookMemory) -> None:
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: .*'both'"):
        preflight(a_store(), mode="both").execute()


def test_a_webhook_is_found_by_its_name(
    featurebase: Featurebase, memory: WebhookMemory, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """All that follows goes by the id, what is told to Airflow's stats too."""
    featurebase.others.append(a_webhook(id=OTHER_ID, name="Another"))
    plan = preflight(a_store(), webhook_id="", webhook_name=NAME, webhook=None).execute()
    assert (plan["webhook_id"], plan["before"], plan["host"]) == (WEBHOOK_ID, OLD, HOST)
    assert stats == [("featurebase.preflight", {"webhook": WEBHOOK_ID, "result": "done"})]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        (NAME, rf"2 webhooks \({WEBHOOK_ID}, {OTHER_ID}\) have the name"),
        ("No such", r"\(by name\): no webhook has the name 'No such'"),
        ("", r"webhook \(none\): webhook_id and webhook_name are both empty"),
    ],
)
def test_a_name_must_mean_one_webhook(featurebase: Featurebase, memory: WebhookMemory, name: str, refused: str) -> None:
    featurebase.others.append(a_webhook(id=OTHER_ID))
    task = preflight(a_store(), webhook_id="", webhook_name=NAME)
    task.operator.webhook_name = name  # as rendered
    with pytest.raises(AirflowFailException, match=refused):
        task.execute()


@pytest.mark.parametrize(
    "entry",
    [{"webhook_id": WEBHOOK_ID.upper()}, {"webhook_name": NAME, "featurebase_conn_id": "fb_of_mine"}],
    ids=["by id", "by name"],
)
def test_a_second_entry_for_the_webhook_stops_the_run(
    featurebase: Featurebase, memory: WebhookMemory, entry: dict[str, Any]
) -> None:
    """The report is told what was found all the same."""
    task = preflight(a_store(), others=[an_entry(name="other", webhook_id=OTHER_ID), an_entry(**entry)])
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: the entry 'twin'"):
        task.execute()
    found = task.pushed[KEY]["found"]
    assert (found["webhook_id"], found["host"], found["current"], found["stores"]) == (WEBHOOK_ID, HOST, OLD, None)
    assert featurebase.conn_ids == ["fb_of_mine"]


@pytest.mark.parametrize("name", [NAME, "Another"])
def test_an_entry_of_the_same_name_may_be_of_another_workspace(
    featurebase: Featurebase, memory: WebhookMemory, name: str
) -> None:
    """Its own connection tells; one that can't be asked holds nothing up, and what has another name is not asked."""
    featurebase.others.append(a_webhook(id=OTHER_ID, name="Theirs"))
    entry = an_entry(webhook_name=name, featurebase_conn_id="fb_of_theirs")
    asked = ["fb_of_mine", *(["fb_of_theirs"] if name == NAME else [])]
    if name == NAME:
        with pytest.raises(AirflowFailException, match="the entry 'twin'"):
            preflight(a_store(), others=[entry]).execute()
        assert featurebase.conn_ids == asked
        featurebase.conn_ids.clear()
    featurebase.unlisted = api_unreachable()
    assert preflight(a_store(), others=[entry]).execute()["before"] == OLD
    assert featurebase.conn_ids == asked


def test_what_could_not_be_told_of_another_entry_is_logged(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    featurebase.unlisted = api_unreachable()
    entry = an_entry(webhook_name=NAME, featurebase_conn_id="fb_of_theirs")
    preflight(a_store(), others=[entry]).execute()
    assert "the entry 'twin'" in said


def test_a_plan_is_made_only_where_the_past_is_known(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Whatever the mode: stores are judged by it."""
    memory.memory.problem = MemoryUnknown(WEBHOOK_ID, "history", "could not be read")  # type: ignore[attr-defined]
    with pytest.raises(MemoryUnknown):
        preflight(a_store(), mode="distribute").execute()


def test_a_run_that_only_distributes_needs_no_plan_of_an_earlier_try(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    task = {"try_number": 2, "states": {"rotate": "failed"}}
    assert preflight(a_store(), task=task, mode="distribute", rotate_task_id="rotate").execute()["before"] == OLD


def test_a_cleared_run_that_has_refreshed_proves_nothing(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    """There is already has a plan, and its secret is over: no store needs to be ready for a refresh."""
    assert preflight(a_store()).execute()["before"] == OLD
    assert "already has a plan" not in said
    featurebase.api.rotated()
    store = a_store()
    task = preflight(store, task={"try_number": 2})
    assert task.execute()["before"] == OLD
    assert store.closed == 0
    assert f"already has a plan (secret {OLD})" in said
    assert task.pushed[KEY]["found"]["current"] == fingerprint("1")


@pytest.mark.parametrize("skew", [None, "this machine's clock is 3 h ahead"])
def test_a_clock_that_is_off_is_logged(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, skew: str | None
) -> None:
    featurebase.skew = skew
    preflight(a_store()).execute()
    assert said.texts["warning"] == ([skew] if skew else [])


@pytest.mark.parametrize("place", ["memory://memory#previous", "memory://renamed#previous"])
def test_a_previous_secret_that_nobody_removes_is_logged(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, place: str
) -> None:
    """Where a store was renamed; a place that is still named is emptied in its time."""
    remember(memory, History(WEBHOOK_ID, previous_in=(place,)))
    preflight(a_store(keeps_previous=True)).execute()
    assert (place in said) is ("renamed" in place)


def test_a_stale_baseline_is_read_again(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch, said: Log
) -> None:
    """From it, rotate would find the secret replaced already, and refresh nothing."""
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)
    featurebase.api.rotated()
    at = START.isoformat()
    remember(memory, History(WEBHOOK_ID).seeing(OLD, at).seeing(fingerprint("1"), at, replaced=[OLD]))
    featurebase.api.read_script.append("stale")
    task = preflight(a_store(value=secret("1")))
    assert task.execute()["before"] == fingerprint("1")
    found = task.pushed[KEY]["found"]
    assert (found["current"], found["host"]) == (fingerprint("1"), HOST)
    assert "An earlier run saw" not in said


@pytest.mark.parametrize("days", [0, 10])
def test_a_secret_that_is_said_to_be_replaced_and_stays_is_current(
    featurebase: Featurebase,
    memory: WebhookMemory,
    monkeypatch: pytest.MonkeyPatch,
    said: Log,
    days: int,
) -> None:
    """Where that was said long ago: no read lags for days. The log says so."""
    monkeypatch.setattr(module, "STALE_SECONDS", 0.0)
    at = (START - timedelta(days=days)).isoformat()
    remember(memory, History(WEBHOOK_ID).seeing(OLD, at).seeing(fingerprint("1"), at, replaced=[OLD]))
    if days:
        began = time.monotonic()
        assert preflight(a_store()).execute()["before"] == OLD
        assert time.monotonic() - began < 10.0
        assert f"An earlier run saw {OLD} replaced" in said
    else:
        with pytest.raises(StaleRead):
            preflight(a_store()).execute()


def test_a_secret_that_nobody_calls_replaced_is_not_logged_as_such(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    preflight(a_store()).execute()
    assert "replaced" not in said
    assert featurebase.api.reads == 1


def test_a_webhook_that_is_not_active_is_not_rotated_unless_that_is_allowed(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    featurebase.api.change(status="paused")
    with pytest.raises(AirflowFailException, match="'paused', not active"):
        preflight(a_store()).execute()
    assert preflight(a_store(), allow_inactive=True).execute()["status"] == "paused"
    assert preflight(a_store(), mode="distribute").execute()["status"] == "paused"


@pytest.mark.parametrize(
    ("mode", "probe", "sent"),
    [("rotate", True, 1), ("dry_run", True, 1), ("distribute", True, 0), ("rotate", False, 0)],
)
def test_the_receiver_is_probed_where_a_refresh_is_to_follow(
    featurebase: Featurebase, memory: WebhookMemory, mode: str, probe: bool, sent: int
) -> None:
    events: list[str] = []
    task = preflight(a_store(), mode=mode, probe=probe, probe_options=receiver(204, events))
    task.execute()
    assert len(events) == sent
    found = task.pushed[KEY]["found"]["probe"]
    assert (found["result"] if found else None) == ("accepted" if sent else None)


@pytest.mark.parametrize(("timeout", "longest"), [(600.0, PROBE_SECONDS), (5.0, 5.0)])
def test_a_probe_before_the_refresh_is_short(
    featurebase: Featurebase,
    memory: WebhookMemory,
    monkeypatch: pytest.MonkeyPatch,
    timeout: float,
    longest: float,
) -> None:
    """Whatever the file allows the probe after it."""
    waited: list[float] = []
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: waited.append(seconds))
    monkeypatch.setattr(Clock, "monotonic", lambda clock: sum(waited))
    options = {"timeout": timeout, "interval": 1.0}
    with pytest.raises(AirflowFailException):
        preflight(a_store(), probe=True, probe_options={**receiver(401, []), **options}).execute()
    assert longest - 1 <= sum(waited) <= longest


def test_a_probe_needs_no_options(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr("featurebase_provider.operators.proofs.Probe", partial(Probe, **receiver(204, events)))
    preflight(a_store(), probe=True).execute()
    assert len(events) == 1


def test_no_receiver_is_probed_unasked(featurebase: Featurebase, memory: WebhookMemory) -> None:
    events: list[str] = []
    preflight(a_store(), probe_options=receiver(204, events)).execute()
    assert events == []


@pytest.mark.parametrize(("status", "error"), [(401, AirflowFailException), (503, ProbeUndecided)])
def test_a_probe_that_fails_says_which_stores_are_behind(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, status: int, error: type[Exception]
) -> None:
    """That is why the receiver refuses, most likely."""
    remember(memory, History(WEBHOOK_ID).knowing(known=[fingerprint("older")]))
    stores = (a_store("behind", value=secret("older")), a_store("right"))
    for chosen, named in ((stores, True), (stores[1:], False)):
        task = preflight(*chosen, probe=True, probe_options=receiver(status, []))
        with pytest.raises(error, match=f"{WEBHOOK_ID}.*'receiver.example'.*Nothing was changed") as caught:
            task.execute()
        assert (f"behind (memory://behind) holds {fingerprint('older')}" in str(caught.value)) is named
        assert task.pushed[KEY]["found"]["probe"]["result"] in ("refused", "unreachable")
    assert any(text.startswith("the receiver") and str(status) in text for text in said.texts["info"])


def test_what_lies_in_the_stores_is_known_from_then_on(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    """An older secret, of which only the store's mark knows that it is ours. The plan that is kept says so too."""
    marked = a_store("marked", value=secret("a"), marked=True, mark=StoreMark(WEBHOOK_ID, fingerprint("a"), "here"))
    plan = preflight(marked, a_store("right")).execute()
    assert plan["known"] == [fingerprint("a")]
    assert plan["stores"] == ["memory://marked", "memory://right"]
    kept = memory.plan(plan_key("a_dag", "preflight"))
    assert kept is not None
    assert kept.as_json() == plan
    assert f"marked (memory://marked) holds {fingerprint('a')}" in said


def test_a_value_of_somebody_elses_is_not_known_as_ours(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Though this store may be written over: any other that holds the same would be, too."""
    stores = (a_store("adopting", value=secret("theirs"), adopt=True), a_store("empty", value=None))
    assert preflight(*stores).execute()["known"] == []


@pytest.mark.parametrize("proven", [True, False])
def test_what_a_store_could_prove_is_logged(
    featurebase: Featurebase,
    memory: WebhookMemory,
    monkeypatch: pytest.MonkeyPatch,
    said: Log,
    proven: bool,
) -> None:
    monkeypatch.setattr(ArmedMemory, "prove_writable", lambda armed: Writability(proven, "asked"))
    preflight(a_store()).execute()
    (text,) = [one for one in said.texts["info"] if one.startswith("Store memory (memory://memory): ")]
    assert (": writable (asked)" in text) is proven


def test_what_will_end_a_write_is_a_warning(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch, said: Log
) -> None:
    monkeypatch.setattr(ArmedMemory, "prove_writable", lambda armed: Writability(True, "asked", "gone by noon"))
    task = preflight(a_store())
    task.execute()
    assert task.pushed[KEY]["found"]["stores"][0]["said"] == "gone by noon; writable (asked)"
    assert "Store memory (memory://memory): gone by noon" in said.texts["warning"]


@pytest.mark.parametrize("value", ["whsec_0", "whsec_0\n"])
def test_white_space_around_a_secret_is_logged(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, value: str
) -> None:
    store = a_store()
    store.put(value)
    preflight(store).execute()
    assert any("memory (memory://memory)" in text for text in said.texts["warning"]) is value.endswith("\n")


UNREACHABLE = StoreUnreachable("a", "no answer")
REFUSED = StoreRefused("b", "read-only")


@pytest.mark.parametrize(
    ("problems", "error"),
    [
        ([UNREACHABLE, None], StoresNotReady),
        ([UNREACHABLE, UNREACHABLE], StoresNotReady),
        ([REFUSED, None], AirflowFailException),
        ([UNREACHABLE, REFUSED], AirflowFailException),
    ],
)
def test_stores_that_are_not_ready_are_named(
    featurebase: Featurebase, memory: WebhookMemory, problems: list[Exception | None], error: type[Exception]
) -> None:
    """A retry is left to Airflow where it may help all of them."""
    stores = [a_store(f"s{i}", arm_error=problem) for i, problem in enumerate(problems)]
    named = "; ".join(str(problem) for problem in problems if problem)
    task = preflight(*stores)
    with pytest.raises(error) as caught:
        task.execute()
    failing = sum(problem is not None for problem in problems)
    assert f"{WEBHOOK_ID}: {failing} of 2 stores are not ready: {named}" in str(caught.value)
    assert [one["ready"] for one in task.pushed[KEY]["found"]["stores"]] == [problem is None for problem in problems]


def test_a_run_that_only_distributes_goes_on_to_the_other_stores(
    featurebase: Featurebase, memory: WebhookMemory, said: Log
) -> None:
    marked = a_store("marked", value=secret("a"), marked=True, mark=StoreMark(WEBHOOK_ID, fingerprint("a"), "here"))
    plan = preflight(a_store("down", arm_error=UNREACHABLE), marked, mode="distribute").execute()
    assert plan["known"] == [fingerprint("a")]
    assert f"1 of 2 stores are not ready: {UNREACHABLE}" in said


@pytest.mark.parametrize(("arguments", "skipped"), [({}, True), ({"late_start": timedelta(hours=3)}, False)])
def test_how_late_a_run_may_start_can_be_told(
    featurebase: Featurebase, memory: WebhookMemory, arguments: dict[str, Any], skipped: bool
) -> None:
    task = preflight(
        a_store(), task={"run_type": "scheduled", "run_after": START - timedelta(hours=2)}, reason="a\nb", **arguments
    )
    if skipped:
        with pytest.raises(AirflowSkipException, match="^Skipped: "):
            task.execute()
    else:
        assert task.execute()["reason"] == "a b"


@pytest.mark.parametrize(
    ("hours", "arguments", "skipped"),
    [
        (22, {}, True),
        (24, {}, False),
        (22, {"late_start": timedelta(hours=2)}, False),
        (47, {"min_age": timedelta(days=2), "late_start": None}, True),
        (1, {"min_age": None}, False),
    ],
)
def test_how_young_a_secret_may_be_can_be_told(
    featurebase: Featurebase, memory: WebhookMemory, hours: int, arguments: dict[str, Any], skipped: bool
) -> None:
    """A day by default, and as much less as a run may start late."""
    at, lately = (START - timedelta(hours=hours)).isoformat(), (START - timedelta(minutes=1)).isoformat()
    remember(memory, History(WEBHOOK_ID).seeing(OLD, at, refreshed_at=at).seeing(OLD, lately))
    task = preflight(a_store(), task={"run_type": "scheduled", "run_after": START}, **arguments)
    if skipped:
        with pytest.raises(AirflowSkipException):
            task.execute()
    else:
        assert task.execute()["before"] == OLD


@pytest.mark.parametrize(("hours", "skipped"), [(3, True), (25, False), (None, False)])
def test_a_secret_that_a_person_refreshed_is_young_too(
    featurebase: Featurebase, memory: WebhookMemory, hours: int | None, skipped: bool
) -> None:
    """Featurebase's audit log says so, where it can be read."""
    problem = PermissionDenied("GET", "/v2/audit-logs", 403)
    featurebase.api.log = [a_logged_refresh(START - timedelta(hours=hours))] if hours else problem
    task = preflight(a_store(), task={"run_type": "scheduled", "run_after": START})
    if skipped:
        with pytest.raises(AirflowSkipException, match="less than min_age"):
            task.execute()
    else:
        assert task.execute()["before"] == OLD


def test_a_run_by_hand_does_not_ask_the_audit_log(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.log = AssertionError("it was read")
    assert preflight(a_store()).execute()["before"] == OLD


@pytest.mark.parametrize(
    ("hours", "arguments", "over"), [(7, {}, False), (9, {}, True), (9, {"previous_for": timedelta(hours=10)}, False)]
)
def test_how_long_a_previous_secret_is_kept_can_be_told(
    featurebase: Featurebase, memory: WebhookMemory, hours: int, arguments: dict[str, Any], over: bool
) -> None:
    """Eight hours by default."""
    at = (START - timedelta(hours=hours)).isoformat()
    remember(memory, History(WEBHOOK_ID).seeing(OLD, at, refreshed_at=at))
    assert preflight(a_store(), **arguments).execute()["drop_previous"] is over


@pytest.mark.parametrize(("reason", "kept"), [("x" * 600, "x" * 500), (None, ""), ("a\nb", "a b")])
def test_a_reason_is_one_line_of_some_length(
    featurebase: Featurebase, memory: WebhookMemory, reason: str | None, kept: str
) -> None:
    assert preflight(a_store(), reason=reason).execute()["reason"] == kept


def test_a_plan_that_is_gone_is_taken_from_what_rotate_left(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """So a cleared run refreshes once."""
    plan = preflight(a_store()).execute()
    featurebase.api.rotated()
    memory.forget_plan(plan_key("a_dag", "preflight"))
    left = RotationOutcome(RotationPlan.from_json(plan), "answered", fingerprint("1")).as_json()
    task = {"try_number": 2, "results": {"rotate": left}}
    assert preflight(a_store(), task=task, rotate_task_id="rotate").execute() == plan
