"""Airflow goes by the states of tasks, and a person may set them: a store left behind fails the run all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airflow.marks import mark_run, mark_task
from tests.world.emergency import load
from tests.world.expectations import PUSHES, everywhere, in_stores

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run

AFTER_THE_PUSHES = ["distributed", "probe", "verify_delivery", "report", "outcome"]


def left_behind(airflow: InProcessAirflow, world: FeaturebaseWorld) -> Run:
    """A run before its pushes, one store of which rotate could not write."""
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    world.secret_file.chmod(0o444)
    return airflow.go_on(run, pause_after="rotate")


@pytest.mark.parametrize("state", ["failed", "success"])
def test_run_that_is_marked_while_a_store_is_left(
    airflow: InProcessAirflow, world: FeaturebaseWorld, state: str
) -> None:
    run = left_behind(airflow, world)
    mark_run(run, state)
    airflow.go_on(run)
    assert (run.state, run.report["outcome"], world.refreshes()) == ("failed", "incomplete", 1)
    assert {run.states[task_id] for task_id in PUSHES} == {"skipped"}
    assert "outcome is incomplete" in run.error("outcome")
    assert "can't be restored" in run.error("outcome")

    world.secret_file.chmod(0o640)
    airflow.clear(run, [*PUSHES, *AFTER_THE_PUSHES])
    assert (run.state, world.refreshes()) == ("success", 1), run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize("state", ["skipped", "success"])
def test_push_that_is_marked_while_its_store_is_left(
    airflow: InProcessAirflow, world: FeaturebaseWorld, state: str
) -> None:
    run = left_behind(airflow, world)
    mark_task(run, PUSHES[1], state)
    airflow.go_on(run)
    assert (run.state, run.report["outcome"]) == ("failed", "incomplete")
    assert run.states[PUSHES[1]] == state


def test_report_that_is_marked(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Without a report nothing says how the run ended."""
    run = left_behind(airflow, world)
    mark_task(run, "report", "success")
    airflow.go_on(run)
    assert run.state == "failed"
    assert "Clear the report task" in run.error("outcome")


@pytest.mark.parametrize("state", ["failed", "success"])
def test_emergency_that_is_marked_while_a_store_is_left(
    airflow: InProcessAirflow, world: FeaturebaseWorld, state: str
) -> None:
    dag = load(airflow, world.entry(probe=None))
    world.secret_file.chmod(0o444)
    run = airflow.start(dag, {"webhooks": [world.name]}, pause_after="webhook.rotate[0]")
    mark_run(run, state)
    airflow.go_on(run)
    assert (run.state, world.refreshes()) == ("failed", 1)
    assert "1 of 1 webhooks are not done" in run.error("summary")
