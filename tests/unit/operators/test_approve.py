"""When an approval is asked for, and what rotate makes of it. tests/airflow/test_approval.py has Airflow's own part."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from airflow.sdk import DAG, BaseNotifier

from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.config import NotifyConfig
from featurebase_provider.operators.approve import ApprovalOperator, ApproveRotationOperator
from featurebase_provider.rotation.approval import Approval, approval_notice, name_of, plan_in_lines
from featurebase_provider.rotation.schedule import RunTiming, why_late
from tests.world.fakes import WEBHOOK_ID, a_plan, fingerprint
from tests.world.running_task import NOW, RunningTask

if TYPE_CHECKING:
    from tests.unit.operators.conftest import Featurebase, Log

PLAN = replace(a_plan(reason="a reason"), stores=("file:///etc/app.env#KEY",))


class Asked(BaseException):
    """Airflow's operator was called."""


@pytest.fixture(autouse=True)
def _airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(operator: Any, context: Any) -> None:
        raise Asked

    monkeypatch.setattr(ApprovalOperator, "execute", ask)


def approving(plan: Any = PLAN) -> RunningTask:
    operator = ApproveRotationOperator(
        task_id="approve", webhook="pro*duction", webhook_id=WEBHOOK_ID, plan_task_id="preflight"
    )
    return RunningTask(operator, results={"preflight": plan.as_json()})


def test_the_question_shows_the_plan(featurebase: Featurebase) -> None:
    task = approving()
    with pytest.raises(Asked):
        task.execute()
    assert task.operator.subject == "Rotate the signing secret of webhook pro*duction?"
    for part in (WEBHOOK_ID, r"pro\*duction", "Reason\\: a reason", "app\\.env", str(PLAN.before).partition(":")[2]):
        assert part in task.operator.body


@pytest.mark.parametrize("mode", ["distribute", "dry_run"])
def test_a_run_that_refreshes_nothing_is_not_asked_about(mode: str, featurebase: Featurebase) -> None:
    assert approving(a_plan(mode=mode)).execute() is None
    assert featurebase.conn_ids == []


def test_a_secret_that_was_refreshed_already_is_not_asked_about(featurebase: Featurebase, said: Log) -> None:
    featurebase.api.rotated()
    assert approving().execute() is None
    assert "No approval is needed" in said


class Hears(BaseNotifier):
    """Keeps what it was told."""

    heard: ClassVar[list[Any]] = []

    def notify(self, context: Any) -> None:
        self.heard.append((context["notice"], context["report"]))


@pytest.mark.parametrize("link", ["https://airflow.example.com/x", ValueError("no base_url")])
def test_the_team_is_told_of_the_question_when_it_stands(
    link: Any, featurebase: Featurebase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's operator calls its notifiers then. Without a link to the UI the plan is told all the same."""

    def ask(operator: Any, context: Any) -> None:
        for notifier in operator.notifiers:
            notifier({**context, "dag": DAG("a_dag", schedule=None)})
        raise Asked

    def link_of(operator: Any, *, context: Any) -> str:
        if isinstance(link, Exception):
            raise link
        return str(link)

    monkeypatch.setattr(ApprovalOperator, "execute", ask)
    monkeypatch.setattr(ApprovalOperator, "generate_link_to_ui_from_context", link_of)
    Hears.heard.clear()
    task = approving()
    entry = {"events": ["approval_needed"], "notifier": f"{__name__}.Hears"}
    task.operator.notify = [NotifyConfig.model_validate(entry)]
    with pytest.raises(Asked):
        task.execute()
    ((notice, report),) = Hears.heard
    assert (notice["event"], report["outcome"]) == ("approval_needed", "approval_needed")
    assert (str(link) in notice["text"]) is isinstance(link, str)
    assert report["plan"]["before"] == PLAN.before


def answer(**facts: Any) -> dict[str, Any]:
    return {"params_input": {}, "responded_at": NOW, "responded_by_user": {"id": "7", "name": "alice"}, **facts}


def test_an_approval_names_who_and_when() -> None:
    result = approving().resume(answer(chosen_options=["Approve"]))
    assert Approval.from_json(result) == Approval("alice", NOW.isoformat(), str(PLAN.before))


def test_a_rejection_skips_and_says_who() -> None:
    with pytest.raises(AirflowSkipException, match="alice rejected the rotation; nothing was changed"):
        approving().resume(answer(chosen_options=["Reject"]))


def test_no_answer_fails_for_good_and_says_that_nothing_changed() -> None:
    with pytest.raises(AirflowFailException, match="nobody approved the rotation within .*; nothing was changed"):
        approving().resume({"error": "too late", "error_type": "timeout"})


def test_a_user_without_a_name_is_named_by_the_id() -> None:
    assert name_of({"id": "7", "name": None}) == "7"
    assert name_of(None).startswith("somebody")


def test_late_counts_from_the_approval() -> None:
    due = datetime(2026, 1, 1, tzinfo=timezone.utc)
    timing = RunTiming(True, due, approved_at=due + timedelta(days=2))
    soon, late = due + timedelta(days=2, minutes=5), due + timedelta(days=2, hours=2)
    assert why_late(timing, now=soon, late_start=timedelta(hours=1)) is None
    assert "was approved at 2026-01-03" in str(why_late(timing, now=late, late_start=timedelta(hours=1)))


def test_the_notice_has_the_plan_the_limit_and_the_link() -> None:
    notice = approval_notice(PLAN, "production", until="2026-01-18T10:30+00:00", link="https://airflow/x")
    assert notice.event == "approval_needed"
    for part in (*plan_in_lines(PLAN, "production"), "2026-01-18T10:30", "https://airflow/x"):
        assert part in notice.text


def test_fingerprints_of_other_plans_do_not_count() -> None:
    """An approval is for one secret."""
    assert Approval.from_json({"by": "alice", "at": "today", "before": fingerprint("1")}) is None
