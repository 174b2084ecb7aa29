"""What every operator does around its own work: errors and stats, its connection, and other tasks' results."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.operators.base import FeaturebaseOperator, is_later_try, pulled, result_of
from featurebase_provider.rotation.errors import PlanUnreadable, StoreUnreachable
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.support.running_task import RunningTask
from tests.unit.operators.conftest import HOST, Featurebase
from tests.unit.rotation.fakes import WEBHOOK_ID, a_plan

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

    def standing(self, context: Any) -> str:
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
    with pytest.raises(AirflowFailException, match=WEBHOOK_ID) as caught:
        running(lambda operator, context: operator.plan(context)).execute()
    assert isinstance(caught.value.__cause__, PlanUnreadable)


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
    task = running(lambda operator, context: (result_of(context, task_id), pulled(context, task_id)), {"text": "x"})
    assert task.execute() == (result, mapping)


@pytest.mark.parametrize(("number", "later"), [(1, False), (2, True), (0, False)])
def test_a_later_try_knows_that_it_is_one(number: int, later: bool) -> None:
    assert running(lambda operator, context: is_later_try(context), try_number=number).execute() is later
