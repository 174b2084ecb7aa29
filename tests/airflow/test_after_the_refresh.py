"""There is no way back: what a run does about stores, receivers and deliveries that fail after the refresh."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.world.expectations import PUSHES, asset, everywhere, file_with, in_stores

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run


def test_failed_push_leaves_the_run_failed_and_the_report_done(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    """One store went read-only after preflight: the other has the secret, and clearing the push mends the rest."""
    old_text = world.secret_file.read_text()
    dag = airflow.load(world.entry())
    run = airflow.start(dag, pause_after="preflight")
    world.secret_file.chmod(0o444)
    airflow.go_on(run)

    assert run.state == "failed"
    assert world.refreshes() == 1
    assert [run.states[task_id] for task_id in PUSHES] == ["success", "failed"]
    assert (run.states["rotate"], run.states["distributed"], run.states["report"]) == (
        "success",
        "upstream_failed",
        "success",
    )
    assert "read-only" in run.error("push.object_storage")
    assert airflow.variable(world.variable).val == world.secret
    assert world.secret_file.read_text() == old_text
    assert run.report["outcome"] == "incomplete"
    assert "can't be restored" in run.report["advice"]
    assert "clear its push task" in run.report["advice"]
    assert airflow.asset_events(asset(world, "signing-secret")) == []

    world.secret_file.chmod(0o640)
    airflow.clear(run, ["push.object_storage", "distributed", "probe", "verify_delivery", "report", "outcome"])
    assert run.state == "success", run.errors
    assert (world.refreshes(), run.report["outcome"]) == (1, "rotated")
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_rotation_by_hand_between_two_pushes(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The stores hold two secrets: no asset event goes out, and clearing the pushes brings them together."""
    run = airflow.start(airflow.load(world.entry()), pause_after=PUSHES[0])
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    airflow.go_on(run)
    assert (run.state, run.states["distributed"], run.report["outcome"]) == ("failed", "failed", "incomplete")
    assert "Clear the push tasks" in run.error("distributed")
    assert airflow.asset_events(asset(world, "signing-secret")) == []

    airflow.clear(run, [*PUSHES, "distributed", "probe", "verify_delivery", "report", "outcome"])
    assert run.state == "success", run.errors
    assert world.refreshes() == 2  # the run's and the person's
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_store_that_was_changed_behind_our_back(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Last of all every store is compared with Featurebase once more: one that differs fails the run."""
    run = airflow.start(airflow.load(world.entry()), pause_after="probe")
    world.secret_file.write_text(file_with("whsec_restored_from_a_backup"))
    airflow.go_on(run)
    assert (run.state, run.states["verify_delivery"]) == ("failed", "failed")
    for text in ("object_storage", "mode=distribute", world.fingerprint):
        assert text in run.error("verify_delivery")
    assert "whsec_" not in run.error("verify_delivery")


def test_refresh_between_push_and_probe_is_not_blamed_on_the_receiver(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    """A refresh that comes after the pushes: the probe sends nothing, and says what brings the run home."""
    run = airflow.start(airflow.load(world.entry()), pause_after="distributed")
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    airflow.go_on(run)
    assert (run.state, run.states["probe"], run.report["outcome"]) == ("failed", "failed", "incomplete")
    assert "Clear the push tasks" in run.error("probe")
    assert "fix the receiver" not in run.error("probe")

    airflow.clear(run, [*PUSHES, "distributed", "probe", "verify_delivery", "report", "outcome"])
    assert run.state == "success", run.errors
    assert world.refreshes() == 2  # the run's and the person's
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize(("probe", "state"), [(None, "skipped"), (True, "success")])
def test_quiet_deliveries(airflow: InProcessAirflow, world: FeaturebaseWorld, probe: bool | None, state: str) -> None:
    """Nothing was delivered: verification is skipped, unless the probe has shown that the receiver accepts."""
    run = airflow.start(airflow.load(world.entry(probe=probe)))
    assert (run.state, run.states["verify_delivery"]) == ("success", state)
    assert (run.report["outcome"], run.report["delivery"]["kind"]) == ("rotated", "quiet")


def failing(airflow: InProcessAirflow, world: FeaturebaseWorld, **changes: Any) -> Run:
    """A run after which the receiver still verifies with the old secret, as its file is no store."""
    entry = world.entry(
        stores=[world.variable_store()], verify={"timeout": "PT20S", "poll_interval": "PT0.1S"}, **changes
    )
    dag = airflow.load(entry)
    # So few that the sandbox does not pause the webhook (after 50 failures) before anybody has looked.
    world.control("POST", "/events", topic="post.created", count=1000, per_second=3)
    return airflow.start(dag)


def test_failing_deliveries_fail_the_run(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The receiver refuses the new secret: Featurebase's own figures end the run, with its code."""
    run = failing(airflow, world, probe=None)
    assert (run.state, run.states["verify_delivery"], run.states["report"]) == ("failed", "failed", "success")
    assert "401" in run.error("verify_delivery")
    assert "can't be restored" in run.error("verify_delivery")
    assert (run.report["outcome"], run.report["delivery"]["kind"]) == ("failed", "failing")
    assert world.refreshes() == 1


def test_failing_probe_fails_the_run(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The receiver took the old secret before the refresh, and does not take the new one after it."""
    run = failing(airflow, world)
    assert (run.state, run.states["probe"], run.states["verify_delivery"]) == ("failed", "failed", "upstream_failed")
    assert "refuses the signature" in run.error("probe")
    assert run.report["probe"]["result"] == "refused"
    assert world.refreshes() == 1


def pause(world: FeaturebaseWorld, code: int = 401) -> None:
    """What Featurebase does to a webhook whose deliveries fail."""
    now = datetime.now(tz=timezone.utc).isoformat()
    world.force(
        status="paused",
        lastStatus={"code": code, "message": "Request failed", "timestamp": now},
        health={"consecutiveFailures": 7, "errorsSinceLastSuccess": 7},
    )


def test_webhook_paused_by_the_rotation_is_set_active_again(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Featurebase paused it for failures after the refresh: settle undoes that, and keeps the figures."""
    run = airflow.start(airflow.load(world.entry(reactivate=True)), pause_after="distributed")
    pause(world)
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert world.webhook["status"] == "active"
    assert run.xcoms["settle"]["reactivated"] is True
    health = run.xcoms["settle"]["health_before"]
    assert (health["consecutive_failures"], health["last_code"]) == (7, 401)


def test_webhook_paused_by_a_person_stays_paused(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """No delivery has failed since the refresh, so making it active is not the rotation's business."""
    run = airflow.start(airflow.load(world.entry(reactivate=True)), pause_after="distributed")
    world.api("PATCH", f"/v2/webhooks/{world.webhook_id}", json={"status": "paused"})
    airflow.go_on(run)
    assert (run.state, run.states["settle"], run.states["report"]) == ("failed", "failed", "success")
    assert "set it active in Featurebase" in run.error("settle")
    assert world.webhook["status"] == "paused"


LONE_SENSOR = """\
from datetime import timedelta
from airflow.sdk import DAG
from featurebase_provider.sensors.webhook_delivery_health import WebhookDeliveryHealthSensor

with DAG({name!r}, schedule=None) as dag:
    WebhookDeliveryHealthSensor(
        task_id="verify", webhook_id={webhook_id!r}, featurebase_conn_id={conn_id!r}, deferrable={deferrable},
        wait=timedelta(seconds=20), poll_interval=0.1,
    )
"""


@pytest.mark.parametrize("deferrable", [True, False])
def test_sensor_alone(airflow: InProcessAirflow, world: FeaturebaseWorld, deferrable: bool) -> None:
    """In a Dag of one's own, deferred or on the worker, it waits for the next success from now on."""
    text = LONE_SENSOR.format(
        name=world.name, webhook_id=world.webhook_id, conn_id=world.conn_id, deferrable=deferrable
    )
    dag = airflow.load_file(world.name, text)[world.name]
    world.control("POST", "/events", topic="post.created", count=1000, per_second=10)
    run = airflow.start(dag)
    assert (run.state, run.xcoms["verify"]["kind"]) == ("success", "healthy")
