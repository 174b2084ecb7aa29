"""A plan keeps its baseline, never its proofs: what a cleared run needs is proven again before it refreshes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.world.expectations import everywhere, in_stores

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run


def refused(airflow: InProcessAirflow, world: FeaturebaseWorld) -> Run:
    """A run that planned, and whose refresh Featurebase refused."""
    world.fault("status", status=403)
    run = airflow.start(airflow.load(world.entry()))
    assert (run.states["preflight"], run.states["rotate"], world.refreshes()) == ("success", "failed", 0)
    return run


def test_a_store_that_became_read_only_stops_a_cleared_run(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = refused(airflow, world)
    baseline = run.xcoms["preflight"]["before"]
    world.secret_file.chmod(0o444)
    airflow.clear(run)
    assert (run.states["preflight"], world.refreshes(), world.calls("POST", "/secret")) == ("failed", 0, 1)
    assert "stores are not ready" in run.error("preflight")
    world.secret_file.chmod(0o640)
    airflow.clear(run)
    assert run.state == "success", run.errors
    assert (world.refreshes(), run.report["before"]) == (1, baseline)
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_a_receiver_that_is_gone_stops_a_cleared_run(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = refused(airflow, world)
    world.move("http://127.0.0.1:9/webhook")
    airflow.clear(run)
    assert (run.states["preflight"], world.refreshes(), world.calls("POST", "/secret")) == ("failed", 0, 1)
    assert "the probe with the current secret did not pass" in run.error("preflight")


def test_a_webhook_that_was_paused_stops_a_cleared_run(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = refused(airflow, world)
    world.force(status="suspended")
    airflow.clear(run)
    assert (run.states["preflight"], world.refreshes()) == ("failed", 0)
    assert "'suspended', not active" in run.error("preflight")


def test_after_the_refresh_nothing_has_to_be_proven(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The way out is forward: one store is dead, and the run that is cleared brings the other one there."""
    run = airflow.start(airflow.load(world.entry()), pause_after="rotate")
    folder = world.secret_file.parent
    folder.rename(folder.with_name("away"))
    airflow.clear(run)
    assert (run.states["preflight"], run.states["rotate"], world.refreshes()) == ("success", "success", 1)
    assert airflow.variable(world.variable).val == world.secret
