"""The stand-in for Airflow's task runner is as strict as Airflow, so that a test can't pass by its leniency."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias, BaseOperator

from featurebase_provider.airflow_compat import is_paused, task_rows
from tests.world.running_task import RunningTask

OUTLET, OTHER, ALIAS = Asset("outlet"), Asset("other"), AssetAlias("alias")


def running(**facts: Any) -> RunningTask:
    return RunningTask(BaseOperator(task_id="t", outlets=[OUTLET, ALIAS]), **facts)


def test_only_outlets_emit() -> None:
    task = running()
    for asset in (OUTLET, OTHER):
        task.context["outlet_events"][asset].extra = {"a": 1}
    task.context["outlet_events"][ALIAS].add(OTHER, extra={"b": 2})
    assert task.emitted == {"outlet": {"a": 1}, "other": {"b": 2}}
    assert running().emitted == {"outlet": {}}


def test_results_of_a_mapped_task_need_their_index() -> None:
    ti = running(results={"mapped": [1, 2], "plain": 3}).context["ti"]
    assert ti.xcom_pull(task_ids="mapped") == [1, 2]
    assert [ti.xcom_pull(task_ids="mapped", map_indexes=index) for index in (0, 1, 2)] == [1, 2, None]
    assert [ti.xcom_pull(task_ids="plain", map_indexes=index) for index in (-1, 0)] == [3, None]


@pytest.mark.parametrize("branch", [-1, 4])
def test_states_and_durations_are_the_branchs(branch: int) -> None:
    task = running(states={"a": "success", "b": None}, durations={"a": 1.5}, map_index=branch)
    assert task_rows(task.context) == [("a", "success", 1.5), ("b", None, None)]


def test_an_older_airflow_lacks_what_it_lacks() -> None:
    task = running(states={"a": "success"}, durations=None, paused=None)
    assert task_rows(task.context) == [("a", "success", None)]
    assert is_paused(task.context, "a_dag") is None
