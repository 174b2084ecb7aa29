"""What a report is made of, whatever became of the run."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.operators.assets import report_asset
from featurebase_provider.operators.report import RotationReportOperator
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.found import Found
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import recall
from featurebase_provider.rotation.past import past_runs
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.unit.operators.conftest import HOST, rendered
from tests.world.fakes import START, WEBHOOK_ID, a_plan, a_webhook, api_unreachable, fingerprint
from tests.world.running_task import NOW, RunningTask

if TYPE_CHECKING:
    from featurebase_provider.rotation.memory import WebhookMemory
    from tests.unit.operators.conftest import Featurebase, Log

OLD, NEW = fingerprint("0"), fingerprint("1")
WRITTEN = StoreOutcome("a", "memory://a", "written", NEW, 12.0)
ROTATED = RotationOutcome(
    a_plan(), "answered", NEW, refreshed_at=START.isoformat(), distributed_at=START.isoformat(), stores={"a": WRITTEN}
)
ALL: dict[str, Any] = {
    "preflight": a_plan(reason="asked").as_json(),
    "rotate": ROTATED.as_json(),
    "push.a": asdict(WRITTEN),
    "probe": {"result": "accepted", "receiver_exposure_ms": 34.0, "detail": "it did"},
    "verify": {"kind": "healthy", "detail": "it is"},
}
STATES = dict.fromkeys(["preflight", "rotate", "push.a", "probe", "verify"], "success")


def reporting(
    results: dict[str, Any] | None = None,
    states: dict[str, str | None] | None = None,
    arguments: dict[str, Any] | None = None,
    **task: Any,
) -> RunningTask:
    usual: dict[str, Any] = {
        "webhook": "production",
        "webhook_id": WEBHOOK_ID,
        "featurebase_conn_id": "fb_of_mine",
        "preflight_task_id": "preflight",
        "rotate_task_id": "rotate",
        "push_task_ids": {"a": "push.a"},
        "probe_task_id": "probe",
        "verify_task_id": "verify",
        "mode": "rotate",
        "reason": "as asked",
    }
    operator = RotationReportOperator(task_id="report", **{**usual, **(arguments or {})})
    return RunningTask(
        operator,
        results=ALL if results is None else results,
        states={**(STATES if states is None else states), "report": "running"},
        **task,
    )


def test_a_run_that_did_all_is_told_whole(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, stats: list[tuple[str, dict[str, str]]]
) -> None:
    """In the log, as result, and as the event of an asset."""
    featurebase.api.rotated()
    found = Found(WEBHOOK_ID, HOST, "active", OLD)
    task = reporting(
        findings={"preflight": {"why": None, "found": found.as_json()}},
        durations={"preflight": 1.5, "rotate": 2.5},
    )
    report = task.execute()
    names = ("webhook", "dag_id", "run_id", "outcome", "webhook_id", "host", "mode", "reason", "before", "after", "how")
    assert [report[name] for name in names] == [
        "production",
        "a_dag",
        "manual__1",
        "rotated",
        WEBHOOK_ID,
        HOST,
        "rotate",
        "asked",
        OLD,
        NEW,
        "answered",
    ]
    assert (report["at"], report["refreshed_at"]) == (START.isoformat(), START.isoformat())
    assert (report["receiver_exposure_ms"], report["status"]) == (34.0, "active")
    assert (report["probe"], report["delivery"]) == (ALL["probe"], ALL["verify"])
    assert (report["stores"], report["found"]) == ([asdict(WRITTEN)], found.as_json())
    assert [(row["task_id"], row["state"], row["seconds"]) for row in report["tasks"]] == [
        ("preflight", "success", 1.5),
        ("rotate", "success", 2.5),
        ("push.a", "success", None),
        ("probe", "success", None),
        ("verify", "success", None),
    ]
    assert task.emitted == {report_asset("production").name: report}
    first, store, group, text, end = said.texts["info"][-5:]
    assert first == f"production: rotated. {report['advice']}", "what a tired person needs first"
    assert store == f"Store a (memory://a): written, holds {NEW}, readable 12 ms after the refresh"
    assert (group, end) == ("::group::Details", "::endgroup::")
    assert text.startswith("Rotation report\n")
    assert NEW in text
    assert featurebase.conn_ids == ["fb_of_mine"]
    assert stats == [("featurebase.report", {"webhook": "production", "result": "done"})]


def test_what_the_run_saw_is_remembered(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """And beside it what earlier runs knew."""
    featurebase.api.rotated()
    memory.write("history", History(WEBHOOK_ID).knowing(known=["sha256:older"]).as_json())
    reporting().execute()
    history = recall(memory)
    assert history.known[0] == "sha256:older"
    assert history.known[-1] == NEW
    assert history.replaced == {OLD}
    assert len(history.runs) == 1


@pytest.mark.parametrize(
    ("state", "rotated", "runs"),
    [("failed", False, 1), ("upstream_failed", False, 0), ("skipped", False, 0), (None, False, 0), (None, True, 1)],
)
def test_whether_rotate_was_started_is_remembered(
    featurebase: Featurebase, memory: WebhookMemory, state: str | None, rotated: bool, runs: int
) -> None:
    """By what it has left, or by its state: a plan that is lost must not be made anew then."""
    if rotated:
        featurebase.api.rotated()
    results = {name: ALL[name] for name in (("preflight", "rotate") if rotated else ("preflight",))}
    report = reporting(results, {"preflight": "success", "rotate": state}).execute()
    assert len(recall(memory).runs) == runs
    assert report["how"] == ("answered" if rotated else None)


def test_a_try_that_began_and_left_nothing_is_told_apart_from_none(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    """ "This run changed nothing" is said only where rotate has not begun."""
    results = {"preflight": ALL["preflight"]}
    advice = [
        reporting(results, {"preflight": "success", "rotate": state}).execute()["advice"]
        for state in ("failed", "upstream_failed")
    ]
    assert advice[0] != advice[1]
    assert ["This run changed nothing" in one for one in advice] == [False, True]


def test_a_run_that_was_skipped_has_its_reason(featurebase: Featurebase, memory: WebhookMemory, said: Log) -> None:
    """Without a plan, mode and reason are those that the run was asked for; the time is this machine's."""
    word = {"preflight": {"why": "Skipped: too late", "found": None}}
    before = datetime.now(tz=timezone.utc)
    report = reporting({}, {"preflight": "skipped"}, {"reason": "as\nasked"}, findings=word).execute()
    assert (report["outcome"], report["mode"], report["reason"]) == ("skipped", "rotate", "as asked")
    assert report["cause"] == "preflight: Skipped: too late"
    assert "Cause: preflight: Skipped: too late" in said.texts["info"]
    assert before <= datetime.fromisoformat(report["at"]) <= before + timedelta(minutes=1)
    assert featurebase.api.reads == 0


@pytest.mark.parametrize(("mode", "told"), [("", None), ("x" * 99, "x" * 60), (None, None), ("a\nb", "a b")])
def test_mode_and_reason_are_lines_of_some_length(
    featurebase: Featurebase, memory: WebhookMemory, mode: str | None, told: str | None
) -> None:
    report = reporting({}, {"preflight": "failed"}, {"mode": mode, "reason": "y" * 999 if mode else None}).execute()
    assert (report["mode"], report["reason"]) == (told, "y" * 500 if mode else "")
    assert report["outcome"] == "nothing_changed"


def test_a_task_that_was_killed_left_no_message(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """One that was skipped without a word has nothing to say."""
    featurebase.api.rotated()
    states = {"preflight": "success", "rotate": "success", "push.a": "failed", "probe": "skipped", "verify": "removed"}
    word = {"verify": {"why": "not asked", "found": None}}
    tasks = reporting(states=states, findings=word).execute()["tasks"]
    whys = {row["task_id"]: row["why"] for row in tasks}
    assert whys.pop("push.a").startswith("it left no message")
    assert set(whys.values()) == {None}


def test_a_run_of_which_airflow_tells_nothing_of_preflight_is_reported(
    featurebase: Featurebase, memory: WebhookMemory
) -> None:
    assert reporting({}, {}).execute()["outcome"] == "nothing_changed"


def test_a_plan_that_is_none_names_the_webhook(featurebase: Featurebase, memory: WebhookMemory) -> None:
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: .*invalid"):
        reporting({"preflight": {"a": 1}}).execute()


def test_what_the_run_was_asked_for_may_come_out_of_its_form() -> None:
    asked = {"webhook_id": WEBHOOK_ID, "featurebase_conn_id": "fb", "mode": "dry_run", "reason": "why"}
    arguments = {name: f"{{{{ params.{name} }}}}" for name in asked}
    operator = rendered(reporting(arguments=arguments).operator, **asked)
    assert {name: getattr(operator, name) for name in asked} == asked


def test_a_read_that_shows_what_this_run_has_replaced_is_read_again(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)
    featurebase.api.rotated()
    featurebase.api.read_script.append("stale")
    assert reporting().execute()["outcome"] == "rotated"
    assert featurebase.api.reads == 2


def test_a_status_is_a_word_of_some_length(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    featurebase.api.change(status="x" * 40)
    assert reporting().execute()["status"] == "x" * 20


def test_in_a_dag_with_other_tasks_only_the_rotations_are_told(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """A failure of another is none of the rotation's. They come in the Dag's order, whatever Airflow's is."""
    featurebase.api.rotated()
    states = {"other": "failed", **STATES}
    task = reporting(states=states, arguments={"task_ids": [*STATES, "report"]})
    task.context["dag"].task_dict = dict.fromkeys(["verify", "other", "report", "rotate", "push.a", "probe"])
    report = task.execute()
    assert report["outcome"] == "rotated"
    assert [row["task_id"] for row in report["tasks"]] == ["verify", "rotate", "push.a", "probe", "preflight"]


def test_a_push_overrules_rotate(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """A store that only rotate knows has what rotate saw; one that nobody knows is left out."""
    featurebase.api.rotated()
    seen = {"a": replace(WRITTEN, result="failed"), "b": replace(WRITTEN, label="b"), "c": replace(WRITTEN, label="c")}
    results = {**ALL, "rotate": replace(ROTATED, stores=seen).as_json()}
    pushes = {"a": "push.a", "b": "push.b", "d": "push.d"}
    stores = reporting(results, arguments={"push_task_ids": pushes}).execute()["stores"]
    assert [(one["label"], one["result"]) for one in stores] == [("a", "written"), ("b", "unknown"), ("c", "written")]
    assert "push.b (not run)" in stores[1]["problem"]
    assert stores[1]["target"] == "memory://a"


@pytest.mark.parametrize("gone", [True, False])
def test_a_report_is_written_though_featurebase_cannot_be_read(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, gone: bool
) -> None:
    """By its clock all the same, where it was reached."""
    error = WebhookNotFound("GET", f"/v2/webhooks/{WEBHOOK_ID}", 404) if gone else api_unreachable()
    featurebase.api.read_script.extend([error] * 9)
    report = reporting(states={**STATES, "verify": "failed"}).execute()
    assert (report["outcome"], report["status"]) == ("webhook_gone" if gone else "failed", None)
    assert report["at"] == START.isoformat()
    warning, outcome = said.texts["warning"]
    assert error.summary in warning
    assert "Nothing was changed" not in warning
    assert outcome.startswith(f"production: {'webhook gone' if gone else 'failed'}. ")


def test_a_report_is_written_though_the_connection_is_gone(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then by this machine's clock."""
    from featurebase_provider.hooks.featurebase import FeaturebaseHook

    def gone(hook: FeaturebaseHook) -> Any:
        raise api_unreachable()

    monkeypatch.setattr(FeaturebaseHook, "get_conn", gone)
    before = datetime.now(tz=timezone.utc)
    report = reporting().execute()
    assert before <= datetime.fromisoformat(report["at"]) <= before + timedelta(minutes=1)
    assert report["after"] == NEW


def test_an_answer_without_a_secret_tells_nothing(featurebase: Featurebase, memory: WebhookMemory, said: Log) -> None:
    featurebase.api.read_script.append(a_webhook(None))
    report = reporting().execute()
    assert (report["status"], report["after"]) == (None, NEW)
    assert any("no signing secret" in text for text in said.texts["warning"])


def test_a_secret_that_another_run_has_made_since_is_the_current_one(
    featurebase: Featurebase, memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that shows this run's is stale then."""
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: None)
    featurebase.api.rotated()
    featurebase.api.rotated()
    at = START.isoformat()
    history = History(WEBHOOK_ID).seeing(NEW, at).seeing(fingerprint("2"), at, replaced=[NEW])
    memory.write("history", history.as_json())
    featurebase.api.read_script.append("stale")
    report = reporting().execute()
    assert report["after"] == fingerprint("2")
    assert featurebase.api.reads == 2


@pytest.mark.parametrize("when", ["at once", "at the end"])
def test_a_memory_that_does_not_answer_fails_no_report(
    featurebase: Featurebase, memory: WebhookMemory, said: Log, when: str
) -> None:
    """What is not known is not written anew either."""
    featurebase.api.rotated()
    records: Any = memory.memory

    def out(*_: Any) -> None:
        records.problem = MemoryUnknown(WEBHOOK_ID, "history", "not answered")

    if when == "at once":
        out()
    else:
        featurebase.api.on_read = out
    assert reporting().execute()["outcome"] == "rotated"
    assert len([text for text in said.texts["warning"] if "not answered" in text]) == 1
    assert records.writes == []
    assert records.records == {}


def test_alone_in_its_dag_a_report_covers_every_task(featurebase: Featurebase, memory: WebhookMemory) -> None:
    featurebase.api.rotated()
    states: dict[str, str | None] = {**STATES, "other": "failed"}
    assert reporting(states=states).execute()["outcome"] == "failed"


def test_a_run_that_began_long_ago_is_named_by_its_start(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Its mark in the history is the one that rotate leaves: a run is remembered once."""
    featurebase.api.rotated()
    reporting(run_after=NOW).execute()
    reporting(run_after=NOW).execute()
    reporting(run_after=NOW + timedelta(days=1)).execute()
    assert len(recall(memory).runs) == 2


def test_a_run_is_recorded_for_the_audits_report(featurebase: Featurebase, memory: WebhookMemory) -> None:
    """Who, why and with what exposure; a run that reports again counts once."""
    featurebase.api.rotated()
    task = reporting()
    assert task.execute()["task_id"] == "report"
    task.execute()
    (run,) = past_runs(memory) or ()
    assert (run.outcome, run.mode, run.reason, run.exposure_ms) == ("rotated", "rotate", "asked", 12.0)
    assert (run.receiver_exposure_ms, run.by, run.map_index) == (34.0, "manual", None)


def test_a_dry_run_is_not_recorded(featurebase: Featurebase, memory: WebhookMemory) -> None:
    plan = a_plan(mode="dry_run").as_json()
    assert reporting({"preflight": plan}, {"preflight": "success"}).execute()["outcome"] == "dry_run"
    assert past_runs(memory) is None
