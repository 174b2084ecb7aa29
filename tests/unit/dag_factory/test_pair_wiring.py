"""The Dag of a pair: its tasks, their order, and its trigger form; a single webhook's Dag is as it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.config import WebhookConfig
from featurebase_provider.dag_factory import rotation_dag
from featurebase_provider.dag_factory.pair import build_pair
from tests.unit.dag_factory.wiring import edges, told
from tests.world.pair_states import A, B

PAIR: dict[str, Any] = {
    "name": "production",
    "strategy": "overlap",
    "webhook_ids": [A, B.upper()],
    "probe": {"timeout": timedelta(minutes=7)},
    "overlap": {"first_delivery": timedelta(minutes=4), "pending": timedelta(hours=2)},
    "previous_for": timedelta(hours=9),
    "stores": [{"type": "object_storage", "path": "/etc/a.env", "key": "K", "previous_key": "K_PREVIOUS"}],
}


@pytest.fixture
def dag() -> Any:
    return rotation_dag(WebhookConfig.model_validate(PAIR))


def test_the_tasks_and_their_order(dag: Any) -> None:
    chain = [
        "preflight", "rotate", "push.object_storage", "distributed", "probe", "activate", "cut_over", "verify_delivery",
        "report", "outcome",
    ]  # fmt: skip
    assert sorted(dag.task_ids) == sorted(chain)
    assert set(zip(chain, chain[1:], strict=False)) | {("push.object_storage", "report")} == edges(dag)


def test_what_the_steps_are_told(dag: Any) -> None:
    for task_id in ("preflight", "rotate", "push.object_storage", "probe", "activate", "cut_over", "report"):
        known = told(dag.task_dict[task_id])
        assert known["webhook_ids"] == (A, B), task_id
        assert known["previous_for"] == timedelta(hours=9), task_id
    known = told(dag.task_dict["cut_over"])
    assert (known["first_delivery"], known["pending"]) == (timedelta(minutes=4), timedelta(hours=2))
    assert known["probe_task_id"] == "probe"
    longest = dag.task_dict["cut_over"].execution_timeout
    assert longest > timedelta(hours=2), "a worker waits as long if the triggerer can't"
    assert told(dag.task_dict["report"])["cut_over_task_id"] == "cut_over"


def test_the_trigger_form_offers_a_way_back_to_pairs_only(dag: Any) -> None:
    single = {"name": "single", "webhook_id": A, "stores": PAIR["stores"]}
    modes = ["rotate", "distribute", "dry_run"]
    assert dag.params.get_param("mode").schema["enum"] == [*modes, "revert"]
    dag_of_one = rotation_dag(WebhookConfig.model_validate(single))
    assert dag_of_one.params.get_param("mode").schema["enum"] == modes


@pytest.mark.parametrize("probe", [True, False])
def test_a_single_webhooks_tasks_are_as_they_were(probe: bool) -> None:
    single: dict[str, Any] = {"name": "single", "webhook_id": A, "stores": PAIR["stores"]}
    if probe:
        single["probe"] = PAIR["probe"]
    found = rotation_dag(WebhookConfig.model_validate(single)).task_ids
    usual = {"preflight", "rotate", "push.object_storage", "distributed", "verify_delivery", "report", "outcome"}
    assert set(found) == usual | ({"probe"} if probe else set())


def test_an_entry_that_is_no_pair_is_refused() -> None:
    single = WebhookConfig.model_validate({"name": "single", "webhook_id": A, "stores": PAIR["stores"]})
    with pytest.raises(ValueError, match="no pair"):
        build_pair(single, mode="rotate", reason="")
