"""The Dag run ends as its report says, whatever marks people have set."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.operators.outcome import RotationOutcomeOperator
from tests.world.fakes import WEBHOOK_ID
from tests.world.running_task import RunningTask


def judging(report: Any) -> RunningTask:
    operator = RotationOutcomeOperator(
        task_id="outcome", webhook="production", webhook_id=WEBHOOK_ID, report_task_id="report"
    )
    return RunningTask(operator, results={"report": report})


@pytest.mark.parametrize("outcome", ["rotated", "distributed", "dry_run", "skipped"])
def test_what_is_done_is_a_success(outcome: str, stats: list[tuple[str, dict[str, str]]]) -> None:
    assert judging({"outcome": outcome}).execute() == outcome
    assert stats == [("featurebase.outcome", {"webhook": "production", "result": "done"})]


@pytest.mark.parametrize("report", [{"outcome": "incomplete", "advice": "Mend store a."}, None])
def test_what_is_not_done_fails_the_run(report: Any) -> None:
    """A report that is not there says nothing good either."""
    with pytest.raises(AirflowFailException, match="production.*Mend store a" if report else "production"):
        judging(report).execute()
