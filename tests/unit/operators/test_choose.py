"""Which branches an emergency has, and what stops all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.airflow_compat import AirflowFailException
from featurebase_provider.config.fields import ALL_WEBHOOKS
from featurebase_provider.operators.choose import ChooseWebhooksOperator
from tests.world.running_task import RunningTask

if TYPE_CHECKING:
    from tests.unit.operators.conftest import Log


def choose(chosen: Any, conf: dict[str, Any] | None = None, **arguments: Any) -> RunningTask:
    operator = ChooseWebhooksOperator(task_id="choose", **{"known": ["a", "b"], **arguments})
    params = {"webhooks": chosen, "reason": ""}
    return RunningTask(operator, params=params, conf={"webhooks": chosen} if conf is None else conf)


@pytest.mark.parametrize(
    ("chosen", "branches"),
    [
        (["a"], ["a"]),
        (["b", "a", "b"], ["b", "a"]),
        (["ALL"], ["a", "b"]),
        (["c", "ALL", "a"], ["a", "b", "c"]),
        (["c", "a"], ["c", "a"]),
        (["a\nb"], ["a b"]),
    ],
)
def test_each_webhook_has_one_branch(chosen: list[str], branches: list[str], said: Log) -> None:
    """One that is not in the file too, whose branch says so."""
    chosen = [ALL_WEBHOOKS if name == "ALL" else name for name in chosen]
    assert choose(chosen).execute() == branches
    unknown = [name for name in branches if name not in "ab"]
    assert len(said.texts["error"]) == (1 if unknown else 0)
    assert all(", ".join(unknown) in text for text in said.texts["error"])
    assert any(", ".join(branches) in text for text in said.texts["warning"])


@pytest.mark.parametrize("chosen", [[], None])
def test_no_choice_is_no_emergency(chosen: Any) -> None:
    with pytest.raises(AirflowFailException, match="no webhook was chosen"):
        choose(chosen).execute()


@pytest.mark.parametrize("conf", [{}, {"reason": ""}, None])
def test_a_run_that_names_no_webhooks_is_told_how(conf: dict[str, Any] | None) -> None:
    """The form's default is not taken for a choice."""
    task = choose(["a"], conf or {})
    if conf is None:
        task.context["dag_run"].conf = None
    with pytest.raises(AirflowFailException, match=r"chosen by the run.*\{\"webhooks\": \[\"production\"\]\}.*: a, b"):
        task.execute()


@pytest.mark.parametrize(
    ("conf", "refused"),
    [
        ({"webhooks": ["b"]}, "webhooks"),
        ({"webhooks": ["a"], "reason": "asked"}, "reason"),
        ({"webhooks": ["a"], "x": 1}, '"x"'),
    ],
)
def test_what_was_not_understood_stops_all(conf: dict[str, Any], refused: str) -> None:
    with pytest.raises(AirflowFailException, match=rf"\(chosen by the run\): .*{refused}"):
        choose(["a"], conf).execute()


def test_a_wrong_file_is_logged_and_stops_nothing(said: Log) -> None:
    assert choose(["a"], file_error="entry c is wrong").execute() == ["a"]
    assert any("entry c is wrong" in text for text in said.texts["error"])
