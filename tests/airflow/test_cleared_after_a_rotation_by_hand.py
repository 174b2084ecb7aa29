"""A finished run, then a rotation by hand, then a clear: the stores hold what this run wrote, which is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.world.expectations import everywhere, in_stores

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


@pytest.mark.parametrize("first", ["preflight", "rotate", "push.airflow_variable"])
def test_clearing_from_a_task_on_converges(airflow: InProcessAirflow, world: FeaturebaseWorld, first: str) -> None:
    """What rotate knew went with its result; the run's report still tells it."""
    run = airflow.start(airflow.load(world.entry()))
    written = world.secret
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    assert in_stores(airflow, world) == everywhere(written)

    earlier = {"preflight": set(), "rotate": {"preflight"}}.get(first, {"preflight", "rotate"})
    airflow.clear(run, [task_id for task_id in run.dag.task_ids if task_id not in earlier])

    assert run.state == "success", run.errors
    assert world.refreshes() == 2
    assert in_stores(airflow, world) == everywhere(world.secret)
