"""The webhook is deleted while a run is under way: said as such, and nothing is written for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.runs import FaultyWorld
    from tests.world.in_process_airflow import InProcessAirflow


@pytest.mark.parametrize(("ended", "fails"), [("preflight", "rotate"), ("rotate", "push.scripted")])
def test_webhook_deleted_between_two_tasks(
    airflow: InProcessAirflow, world: FaultyWorld, ended: str, fails: str
) -> None:
    """A retry can't help, and the report does not send anybody to a store or to the rotate task."""
    run = airflow.start(airflow.load(world.entry()), pause_after=ended)
    written = list(world.place.history)
    world.api("DELETE", f"/v2/webhooks/{world.webhook_id}")
    airflow.go_on(run)
    assert (run.state, run.tries[fails], run.states["report"]) == ("failed", 1, "success")
    for text in (f"GET /v2/webhooks/{world.webhook_id}", "404", "If the webhook was deleted"):
        assert text in run.error(fails)
    assert run.report["outcome"] == "webhook_gone"
    assert "remove it from the rotation file" in run.report["advice"]
    assert world.place.history == written
