"""The log of a pair's emergency: why a half was not replaced is said once, by the log or by the task's error."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.config import WebhookConfig
from featurebase_provider.featurebase.errors import ApiUnavailable, FeaturebaseError
from featurebase_provider.operators.emergency import EmergencyPlanOperator, EmergencyRotateOperator
from tests.unit.operators.conftest import Log
from tests.unit.operators.pair_world import PairBehindTheHook
from tests.world.pair_states import A, B
from tests.world.running_task import RunningTask

ENTRY = WebhookConfig.model_validate(
    {
        "name": "pair",
        "strategy": "overlap",
        "webhook_ids": [A, B],
        "probe": {"timeout": "PT1M"},
        "refresh_grace": "PT0.1S",
        "stores": [{"type": "airflow_variable", "name": "s", "format": "json", "key": "a", "previous_key": "b"}],
    }
)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> PairBehindTheHook:
    return PairBehindTheHook(monkeypatch)


def plan(pair: PairBehindTheHook) -> RunningTask:
    entry = ENTRY.model_copy(update={"stores": [pair.store]})
    operator = EmergencyPlanOperator(task_id="plan", webhook="pair", webhooks={"pair": entry}, rotate_task_id="rotate")
    return RunningTask(operator)


def rotate(pair: PairBehindTheHook, **task: Any) -> RunningTask:
    entry = ENTRY.model_copy(update={"stores": [pair.store]})
    planned = plan(pair).execute()
    operator = EmergencyRotateOperator(task_id="rotate", webhook="pair", webhooks={"pair": entry}, plan_task_id="plan")
    return RunningTask(operator, results={"plan": planned}, **task)


def said_once(said: Log, error: BaseException) -> None:
    """The error's text is in no line of the log; Airflow logs it."""
    assert not any(str(error) in text for texts in said.texts.values() for text in texts)


def test_a_half_that_is_gone_is_logged_where_the_other_one_is_planned(pair: PairBehindTheHook, said: Log) -> None:
    pair.gone = {B}
    assert list(plan(pair).execute()["halves"]) == [A]
    (line,) = said.texts["error"]
    assert line.startswith(f"Webhook {B} can't be planned: ")


def test_if_neither_half_can_be_planned_the_other_one_is_logged(pair: PairBehindTheHook, said: Log) -> None:
    pair.gone = {A, B}
    with pytest.raises(AirflowFailException) as caught:
        plan(pair).execute()
    (line,) = said.texts["error"]
    assert line.startswith(f"Webhook {B} can't be planned: ")
    said_once(said, caught.value)


def test_a_half_that_is_not_refreshed_is_logged_where_the_run_goes_on(pair: PairBehindTheHook, said: Log) -> None:
    """No retry comes, so the stores do not wait for it; the result says it too."""
    task = rotate(pair)
    pair.gone = {B}
    result = task.execute()
    (line,) = said.texts["error"]
    assert line.startswith(f"Webhook {B} was not refreshed: ")
    assert list(result["problems"]) == [B]


def test_why_neither_half_was_refreshed_is_said_once(pair: PairBehindTheHook, said: Log) -> None:
    task = rotate(pair)
    for half_id, half in pair.halves.items():
        half.read_script.extend([ApiUnavailable("GET", f"/v2/webhooks/{half_id}", 503)] * 9)
    with pytest.raises(FeaturebaseError) as caught:
        task.execute()
    assert len(said.texts["error"]) == 1
    assert said.texts["error"][0].startswith(f"Webhook {B} was not refreshed: ")
    said_once(said, caught.value)
