"""What every operator does around its own work: errors and stats, its connection, and other tasks' results."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.operators import memory as operators_memory
from featurebase_provider.operators import stores
from featurebase_provider.operators.assets import plan_asset, report_asset
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.context import check_conf, is_later_try, pulled, result_of, this_run, timing_of
from featurebase_provider.operators.emergency import EmergencyTask
from featurebase_provider.operators.stores import this_airflow, write_rule
from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown, StoreUnreachable
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import WebhookMemory, plan_key
from featurebase_provider.rotation.one_store import Previous, WriteRule
from featurebase_provider.rotation.plan import ThisRun
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.schedule import RunTiming
from tests.unit.operators.conftest import HOST, Featurebase, Log
from tests.world.fakes import WEBHOOK_ID, a_plan, a_webhook
from tests.world.running_task import NOW, RunningTask

PLAN = a_plan()
ROTATED = RotationOutcome(PLAN, "answered", "sha256:1111111111111111")


class Working(FeaturebaseOperator):
    """Does what it is given."""

    stat = "working"

    def __init__(self, *, work: Any = None, **kwargs: Any) -> None:
        super().__init__(
            task_id="work", webhook="production", webhook_id=WEBHOOK_ID, plan_task_id="preflight", **kwargs
        )
        self.work = work

    def run(self, context: Any) -> Any:
        return self.work(self, context)

    def state_if_it_fails(self, context: Any) -> str:
        return f"As try {context['ti'].try_number} left it"


def running(work: Any, results: dict[str, Any] | None = None, **facts: Any) -> RunningTask:
    return RunningTask(Working(work=work), results or {}, **facts)


def raising(error: BaseException) -> Any:
    def work(operator: Working, context: Any) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "ends_as", "result"),
    [
        (AirflowSkipException("not now"), AirflowSkipException, "skipped"),
        (
            TaskDeferred(trigger=TimeDeltaTrigger(timedelta(1)), method_name="m", timeout=timedelta(1)),
            TaskDeferred,
            "deferred",
        ),
        (WebhookNotFound("GET", "/v2/webhooks/5", 404), AirflowFailException, "failed"),
        (StoreUnreachable("file", "no answer"), StoreUnreachable, "failed"),
        (ZeroDivisionError(), ZeroDivisionError, "failed"),
    ],
)
def test_every_end_is_counted(
    error: BaseException, ends_as: type[BaseException], result: str, stats: list[tuple[str, dict[str, str]]]
) -> None:
    with pytest.raises(ends_as):
        running(raising(error)).execute()
    assert stats == [("featurebase.working", {"webhook": "production", "result": result})]


def test_a_result_is_handed_on(stats: list[tuple[str, dict[str, str]]]) -> None:
    assert running(lambda operator, context: {"a": 1}).execute() == {"a": 1}
    assert stats == [("featurebase.working", {"webhook": "production", "result": "done"})]


def test_an_error_says_what_state_things_are_in() -> None:
    with pytest.raises(AirflowFailException, match="As try 2 left it"):
        running(raising(WebhookNotFound("GET", "/v2/webhooks/5", 404)), try_number=2).execute()


def test_the_tasks_own_connection_is_asked(featurebase: Featurebase) -> None:
    def work(operator: Working, context: Any) -> Any:
        with operator.hook.get_conn() as client:
            return client.settings.base_url, client.get_webhook(operator.webhook_id).id

    task = RunningTask(Working(work=work, featurebase_conn_id="featurebase_other"))
    assert task.execute() == (HOST, WEBHOOK_ID)
    assert featurebase.conn_ids == ["featurebase_other"]


def test_a_duration_is_told_by_webhook(timings: list[tuple[str, float, dict[str, str]]]) -> None:
    running(lambda operator, context: operator.time("exposure", 12.5)).execute()
    assert timings == [("featurebase.exposure", 12.5, {"webhook": "production"})]


def test_plan_and_rotation_are_those_of_this_dag_run() -> None:
    def work(operator: Working, context: Any) -> Any:
        return operator.plan(context), operator.rotation(context, "rotate")

    results = {"preflight": PLAN.as_json(), "rotate": ROTATED.as_json()}
    assert running(work, results).execute() == (PLAN, ROTATED)


def test_who_works_alone_has_no_rotation_and_who_does_not_needs_its_result() -> None:
    """ "It left nothing" is not "there is none": a task after rotate never works by itself."""
    assert running(lambda operator, context: operator.rotation(context, None)).execute() is None
    assert running(lambda operator, context: operator.left_by_rotate(context, "rotate")).execute() is None
    for ask in ("rotation", "rotated"):
        with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}.*left no result; clear rotate"):
            running(lambda operator, context, ask=ask: getattr(operator, ask)(context, "rotate")).execute()


def test_a_missing_plan_names_the_webhook() -> None:
    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}: this Dag run has no recorded plan"):
        running(lambda operator, context: operator.plan(context)).execute()


@pytest.mark.parametrize(
    "error", [WebhookNotFound("GET", "/v2/webhooks/5", 404), StoreUnreachable("file", "no answer")]
)
def test_an_error_is_logged_once_and_without_our_frames(error: Exception) -> None:
    """Airflow logs an exception with its frames and its causes. The message says it all, so one frame is left."""
    with pytest.raises((AirflowFailException, StoreUnreachable)) as caught:
        running(raising(error)).execute()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    ours = [entry.name for entry in caught.traceback if "featurebase_provider" in str(entry.path)]
    assert ours == ["call"]


def test_an_error_that_nobody_foresaw_keeps_its_frames() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        running(raising(ZeroDivisionError())).execute()
    assert caught.traceback[-1].name == "work"


def test_in_a_mapped_group_results_are_those_of_the_same_branch() -> None:
    """Asked without its map index, Airflow gives the results of all branches as a list."""
    results = {"other": [{"n": 0}, {"n": 1}], "alone": {"n": 7}}
    for branch in (0, 1):
        task = running(lambda operator, context: pulled(context, "other"), results, map_index=branch)
        assert task.execute() == {"n": branch}
    assert running(lambda operator, context: pulled(context, "alone"), results).execute() == {"n": 7}


@pytest.mark.parametrize(
    ("task_id", "result", "mapping"), [(None, None, None), ("text", "x", None), ("gone", None, None)]
)
def test_only_a_mapping_is_a_result_to_look_into(task_id: str | None, result: Any, mapping: Any) -> None:
    """And what the task itself has left, which Airflow gives to whoever names no task, is nobody else's."""
    results = {"text": "x", "work": {"its": "own"}}
    task = running(lambda operator, context: (result_of(context, task_id), pulled(context, task_id)), results)
    assert task.execute() == (result, mapping)


@pytest.mark.parametrize(("number", "later"), [(1, False), (2, True), (0, False)])
def test_a_later_try_knows_that_it_is_one(number: int, later: bool) -> None:
    assert running(lambda operator, context: is_later_try(context), try_number=number).execute() is later


OPERATORS = [
    found
    for name in (
        "audit",
        "choose",
        "distributed",
        "emergency",
        "emergency_report",
        "outcome",
        "preflight",
        "probe",
        "push",
        "report",
        "rotate",
        "settle",
    )
    for found in vars(importlib.import_module(f"featurebase_provider.operators.{name}")).values()
    if isinstance(found, type) and found.__module__.endswith(f".{name}") and issubclass(found, BaseOperator)
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_what_is_called_templated_is(operator: type[BaseOperator]) -> None:
    """Airflow renders just these arguments; the docstring of an operator, or of one that it builds on, names them."""
    said = {
        name
        for one in operator.__mro__
        if one.__module__.startswith("featurebase_provider.")
        for name in re.findall(r":param (\w+):(?:(?!:param|:returns|:raises).)*?\(templated\)", one.__doc__ or "", re.S)
    }
    if issubclass(operator, EmergencyTask):
        said -= {"webhook_id", "featurebase_conn_id", "webhook_name"}  # which the branch's entry in the file tells
    assert set(operator.template_fields) == said


class NoDefaults(FeaturebaseOperator):
    """Finds out by itself which webhook is meant."""

    finds_webhook = True


def test_a_task_must_be_told_which_webhook_is_meant() -> None:
    with pytest.raises(ValueError, match="FeaturebaseOperator t has no webhook_id"):
        FeaturebaseOperator(task_id="t")
    for operator in (FeaturebaseOperator(task_id="t", plan_task_id="preflight"), NoDefaults(task_id="t")):
        assert (operator.webhook_id, operator.featurebase_conn_id) == ("", "featurebase_default")


def test_a_template_that_renders_to_nothing_is_refused(stats: list[tuple[str, dict[str, str]]]) -> None:
    """Before anything is asked."""
    operator = FeaturebaseOperator(task_id="t", webhook_id="{{ params.id }}")
    operator.webhook_id = ""
    with pytest.raises(AirflowFailException, match=r"^webhook \(none\): webhook_id is empty once rendered"):
        RunningTask(operator).execute()
    assert stats == [("featurebase.task", {"webhook": "", "result": "failed"})]


def test_an_operator_without_work_of_its_own_is_no_success() -> None:
    with pytest.raises(NotImplementedError):
        RunningTask(FeaturebaseOperator(task_id="t", webhook_id=WEBHOOK_ID)).execute()


def test_results_are_kept_whatever_the_dags_defaults_say() -> None:
    assert FeaturebaseOperator(task_id="t", webhook_id=WEBHOOK_ID, do_xcom_push=False).do_xcom_push is True


def test_a_task_without_a_webhook_takes_the_plans(stats: list[tuple[str, dict[str, str]]]) -> None:
    operator = Working(work=lambda operator, context: operator.webhook_id)
    operator.webhook_id, operator.webhook = "", None
    assert RunningTask(operator, {"preflight": PLAN.as_json()}).execute() == WEBHOOK_ID
    assert stats == [("featurebase.working", {"webhook": WEBHOOK_ID, "result": "done"})]
    operator.webhook_id = ""
    assert RunningTask(operator).execute() == ""


@pytest.mark.parametrize(
    ("results", "ask", "problem"),
    [
        (
            {"preflight": a_plan(a_webhook(id="5" * 24)).as_json()},
            "plan",
            f"plan in this Dag run belongs to .*{'5' * 24}",
        ),
        ({"preflight": {"a": 1}}, "plan", "invalid"),
        ({"rotate": replace(ROTATED, plan=a_plan(a_webhook(id="5" * 24))).as_json()}, "rotated", "5" * 24),
        ({"rotate": {"plan": PLAN.as_json()}}, "rotated", "invalid"),
    ],
)
def test_a_plan_of_another_webhook_is_not_followed(results: dict[str, Any], ask: str, problem: str) -> None:
    def work(operator: Working, context: Any) -> Any:
        return operator.plan(context) if ask == "plan" else operator.rotated(context, "rotate")

    with pytest.raises(AirflowFailException, match=f"{WEBHOOK_ID}.*{problem}"):
        running(work, results).execute()


def test_an_id_in_capitals_is_the_same_webhook() -> None:
    def work(operator: Working, context: Any) -> Any:
        operator.webhook_id = WEBHOOK_ID.upper()
        return operator.plan(context)

    assert running(work, {"preflight": PLAN.as_json()}).execute() == PLAN


def test_what_rotate_left_names_its_plan() -> None:
    def work(operator: Working, context: Any) -> Any:
        return [operator.plan_left_by_rotate(context, task_id) for task_id in ("rotate", "gone", None)]

    assert running(work, {"rotate": ROTATED.as_json()}).execute() == [PLAN, None, None]


def test_a_task_that_finds_the_webhook_by_itself_takes_the_plan_that_rotate_names() -> None:
    """It has no id yet that the plan's could differ from."""

    def work(operator: Working, context: Any) -> Any:
        operator.webhook_id = ""
        return operator.plan_left_by_rotate(context, "rotate")

    assert running(work, {"rotate": ROTATED.as_json()}).execute() == PLAN


def test_earlier_runs_are_known_by_their_plans_of_this_and_other_tasks(memory: WebhookMemory) -> None:
    """Even where they died before they left a history."""
    plans = {key: a_plan(a_webhook(f"whsec_{key}")) for key in (plan_key("a_dag", "preflight"), "other", "third")}
    for key, plan in plans.items():
        memory.keep_plan(key, plan)

    def work(operator: Working, context: Any) -> Any:
        return operator.recall(context, memory, plan_keys=["other"]).known

    first, second, _ = (plan.before for plan in plans.values())
    assert set(running(work).execute()) == {first, second}


def test_earlier_runs_are_known_by_the_events_of_the_webhooks_assets(
    memory: WebhookMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is where version 0.1.0 left them."""
    left = {
        asset("production").name: [{"webhook_id": WEBHOOK_ID, "before": before}]
        for asset, before in ((report_asset, "sha256:reported"), (plan_asset, "sha256:planned"))
    }
    monkeypatch.setattr(operators_memory, "asset_event_extras", lambda asset, newest: left.get(asset.name))
    known = running(lambda operator, context: operator.recall(context, memory).known).execute()
    assert set(known) == {"sha256:reported", "sha256:planned"}


def test_a_plans_name_is_that_of_its_preflight_and_branch() -> None:
    def of(**facts: Any) -> Any:
        return running(lambda operator, context: operator.plan_key(context), **facts).execute()

    assert of() == plan_key("a_dag", "preflight")
    assert of(dag_id="b") == plan_key("b", "preflight")
    assert of(map_index=2) == plan_key("a_dag", "preflight", 2)


@pytest.mark.parametrize(
    ("states", "runs", "started"),
    [
        ({"rotate": "success"}, False, True),
        ({"rotate": "up_for_retry"}, False, True),
        ({"rotate": "restarting"}, False, True),
        ({"rotate": "deferred"}, False, True),
        ({"rotate": "upstream_failed"}, False, False),
        ({"rotate": None}, True, True),
        ({"other": "success"}, False, False),
    ],
)
def test_whether_rotate_was_started_is_told_by_airflow_or_by_the_history(
    states: dict[str, str | None], runs: bool, started: bool
) -> None:
    def work(operator: Working, context: Any) -> Any:
        history = History(WEBHOOK_ID, runs=(this_run(context).mark,) if runs else ())
        return operator.rotate_was_started(context, "rotate", history)

    assert running(work, states=states).execute() is started


def test_who_asks_is_named_by_dag_run_and_try() -> None:
    def asked(**facts: Any) -> Any:
        return running(lambda operator, context: this_run(context), **facts).execute()

    at = NOW.isoformat()
    assert asked() == ThisRun("a_dag", "manual__1", started=at, run_after=at, later_try=False, cleared=False)
    later = asked(dag_id="b", run_id="r", try_number=2, clear_number=1)
    assert later == ThisRun("b", "r", started=at, run_after=at, later_try=True, cleared=True)
    task = running(lambda operator, context: this_run(context))
    task.context["dag_run"].start_date = task.context["dag_run"].run_after = None
    assert task.execute() == ThisRun("a_dag", "manual__1")
    del task.context["dag_run"].clear_number  # before 3.2
    assert task.execute() == ThisRun("a_dag", "manual__1")


@pytest.mark.parametrize("run_type", ["manual", "scheduled", "backfill"])
def test_when_a_run_was_due_is_told_by_its_type(run_type: str) -> None:
    """As a text, or as Airflow's enumeration."""
    for told in (run_type, SimpleNamespace(value=run_type)):
        task = running(lambda operator, context: timing_of(context))
        task.context["dag_run"].run_type = told
        assert task.execute() == RunTiming(run_type == "scheduled", NOW, backfill=run_type == "backfill")


def test_a_store_may_be_written_on_the_terms_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "this_airflow", lambda: "https://airflow.example")
    plan = a_plan(known=["sha256:k"], leaked=["sha256:l"], drop_previous=True)
    assert write_rule(plan, also_known=["sha256:also"]) == WriteRule(
        webhook_id=WEBHOOK_ID,
        managed_from="https://airflow.example",
        known=frozenset({plan.before, "sha256:k", "sha256:also"}),
        previous=Previous.EXPIRED,
        replaces=plan.before,
        leaked=frozenset({"sha256:l"}),
    )
    assert write_rule(a_plan(mode="distribute")).replaces is None


@pytest.mark.parametrize("base_url", ["https://airflow.example", ""])
def test_an_airflow_is_named_by_its_base_url_or_else_its_host(monkeypatch: pytest.MonkeyPatch, base_url: str) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    monkeypatch.setattr("socket.gethostname", lambda: "worker-1")
    assert this_airflow() == (base_url or "worker-1")


def test_a_param_of_the_dag_is_no_slip_of_the_pen() -> None:
    """Of its author's own, whatever it looks like."""

    def work(operator: Working, context: Any) -> None:
        check_conf(context, "production", {"mode": "rotate"}, strict=False)

    task = running(work, conf={"moode": 1})
    with pytest.raises(AirflowFailException, match="production: .*moode"):
        task.execute()
    task.context["dag"].params = {"moode": 2}
    assert task.execute() is None
    del task.context["dag_run"].conf
    assert task.execute() is None


def test_a_number_stays_a_text_where_a_dag_renders_native_objects() -> None:
    """An id of 24 digits is a text, and so is a number; what is no text is rendered as Airflow does."""
    digits = "5" * 24
    with DAG("d", render_template_as_native_obj=True, schedule=None) as dag:
        operator = FeaturebaseOperator(task_id="t", webhook_id="{{ digits }}")
    context: Any = {"dag": dag, "digits": digits, "number": int(digits)}
    assert operator.render_template("{{ digits }}", context) == operator.render_template("{{ number }}", context)
    assert operator.render_template("{{ digits }}", context) == digits
    assert operator.render_template(["{{ digits }}"], context) == [digits]


class Nested:
    """What Airflow renders field by field, and which holds itself."""

    template_fields = ("text", "me")

    def __init__(self) -> None:
        self.text, self.me = "{{ number }}", self


def test_what_holds_itself_is_rendered_once() -> None:
    with DAG("d", schedule=None) as dag:
        operator = FeaturebaseOperator(task_id="t", webhook_id=WEBHOOK_ID)
    nested = Nested()
    operator.render_template(nested, {"dag": dag, "number": 7})  # type: ignore[typeddict-unknown-key]
    assert (nested.text, nested.me) == ("7", nested)


def test_airflow_can_draw_our_tasks() -> None:
    assert re.fullmatch("#[0-9a-f]{6}", FeaturebaseOperator.ui_color)


def test_a_problem_with_the_memory_says_what_to_do_where_no_retry_helps(said: Log) -> None:
    running(
        lambda operator, context: operator.warn_unknown(MemoryUnknown(WEBHOOK_ID, "history", "no answer"))
    ).execute()
    running(lambda operator, context: operator.warn_unknown(MemorySpoilt(WEBHOOK_ID, "history", "is odd"))).execute()
    may_pass, spoilt = said.texts["warning"]
    assert may_pass.endswith("continues without it")
    assert not spoilt.endswith("continues without it")
