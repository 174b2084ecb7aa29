"""Whole Dag runs in a real Airflow database: what a rotation does, and what it leaves behind."""

from __future__ import annotations

import stat
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from tests.world.expectations import PUSHES, asset, everywhere, in_stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it never came to hold"
        time.sleep(0.05)


def test_secret_is_refreshed_once_and_is_everywhere(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Events flow; afterwards both stores hold Featurebase's new secret, and every event was accepted."""
    before = world.secret
    world.secret_file.chmod(0o640)
    airflow.set_variable(world.variable, before, "written by a person")
    entry = world.entry(
        stores=[world.variable_store(description="What the app reads"), world.file_store()],
        verify={"timeout": "PT20S", "poll_interval": "PT0.1S"},
        reactivate=True,
    )
    dag = airflow.load(entry)
    world.control("POST", "/clock", speed=200)
    world.control("POST", "/events", topic="post.created", count=1000, per_second=10)

    run = airflow.start(dag, {"mode": "rotate", "reason": "every month"})
    world.control("DELETE", "/events")

    assert run.state == "success", run.errors
    assert set(run.states.values()) == {"success"}
    assert world.refreshes() == 1
    assert world.secret != before
    assert in_stores(airflow, world) == everywhere(world.secret)
    assert stat.S_IMODE(world.secret_file.stat().st_mode) == 0o640
    variable = airflow.variable(world.variable)
    assert (variable.is_encrypted, variable.description) == (True, "What the app reads")
    assert run.report["outcome"] == "rotated"
    assert run.report["delivery"]["kind"] == "healthy"
    assert run.xcoms["settle"]["reactivated"] is False
    events = world.sandbox.state.journal.events
    eventually(lambda: all(event.delivered for event in events))
    assert len(events) > 10


def test_audit_trail_and_asset_events(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The report says what was done, and the assets tell other Dags; neither holds more than fingerprints."""
    before = world.fingerprint
    run = airflow.start(airflow.load(world.entry()), {"mode": "rotate", "reason": "a new colleague"})

    assert airflow.asset_events(asset(world, "plan")) == [], "plans are in the rotation's memory"
    (secret,) = airflow.asset_events(asset(world, "signing-secret"))
    assert secret == {
        "host": world.url,
        "webhook_id": world.webhook_id,
        "fingerprint": world.fingerprint,
        "refreshed_at": run.xcoms["rotate"]["refreshed_at"],
    }
    (report,) = airflow.asset_events(asset(world, "rotation-report"))
    assert report == run.report
    assert (report["before"], report["after"], report["reason"]) == (before, world.fingerprint, "a new colleague")
    assert {one["label"]: one["fingerprint"] for one in report["stores"]} == {
        "airflow_variable": world.fingerprint,
        "object_storage": world.fingerprint,
    }
    assert all(0 < one["readable_ms"] < 5000 for one in report["stores"])
    assert report["receiver_exposure_ms"] > 0
    assert {row["task_id"] for row in report["tasks"]} == set(run.states) - {"report", "outcome"}


def test_variable_description_names_the_webhook(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Without a configured description the Variable says whose secret it is, by fingerprint."""
    airflow.start(airflow.load(world.entry()))
    description = airflow.variable(world.variable).description
    assert world.webhook_id in description
    assert world.fingerprint in description


def test_dry_run_changes_nothing(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    text = world.secret_file.read_text()
    run = airflow.start(airflow.load(world.entry()), {"mode": "dry_run"})
    assert run.state == "success", run.errors
    assert (run.states["preflight"], run.states["rotate"], run.states["report"]) == ("success", "skipped", "success")
    assert {run.states[task_id] for task_id in PUSHES} == {"skipped"}
    assert (world.refreshes(), world.calls("POST", "/secret"), world.calls("PATCH")) == (0, 0, 0)
    assert world.secret_file.read_text() == text
    assert airflow.variable(world.variable) is None
    assert run.report["outcome"] == "dry_run"
    assert airflow.asset_events(asset(world, "signing-secret")) == []


def test_distribute_after_a_rotation_by_hand(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Mode distribute brings the stores to what Featurebase holds, and refreshes nothing itself."""
    dag = airflow.load(world.entry())
    airflow.start(dag)
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    assert world.secret not in world.secret_file.read_text()

    run = airflow.start(dag, {"mode": "distribute"})

    assert run.state == "success", run.errors
    assert world.refreshes() == 2  # the first run's and the person's
    assert in_stores(airflow, world) == everywhere(world.secret)
    assert run.report["outcome"] == "distributed"


def test_a_second_run_refreshes_again(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A plan is one run's own: the next run by hand makes its own, and refreshes."""
    dag = airflow.load(world.entry())
    first, second = airflow.start(dag), airflow.start(dag)
    assert (first.state, second.state, world.refreshes()) == ("success", "success", 2)
    assert second.report["before"] == first.report["after"]


def test_webhook_by_name(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A webhook may be named by its exact name; preflight finds its id for the tasks that follow."""
    entry = world.entry(webhook_name="Production")
    del entry["webhook_id"]
    run = airflow.start(airflow.load(entry))
    assert run.state == "success", run.errors
    assert (world.refreshes(), run.report["webhook_id"]) == (1, world.webhook_id)
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_inactive_webhook_is_rotated_on_request(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A webhook that was paused before, with allow_inactive: rotated, left paused, and nothing is waited for."""
    world.api("PATCH", f"/v2/webhooks/{world.webhook_id}", json={"status": "paused"})
    run = airflow.start(airflow.load(world.entry(allow_inactive=True, verify={"timeout": "PT1H"})))
    assert run.state == "success", run.errors
    assert (world.refreshes(), world.webhook["status"]) == (1, "paused")
    assert (run.report["outcome"], run.report["delivery"]["kind"]) == ("rotated", "quiet")
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_late_scheduled_run_is_skipped(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Unpausing after a missed tick refreshes nothing, and the report says so."""
    missed = datetime.now(tz=timezone.utc) - timedelta(hours=2)
    run = airflow.start(airflow.load(world.entry()), run_after=missed)
    assert run.state == "success", run.errors
    assert {state for task_id, state in run.states.items() if task_id not in ("report", "outcome")} == {"skipped"}
    assert (run.states["report"], run.report["outcome"]) == ("success", "skipped")
    assert (world.refreshes(), world.calls("*", world.webhook_id)) == (0, 1), "it read the webhook, and so the time"


def test_scheduled_run_in_time_rotates(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = airflow.start(airflow.load(world.entry()), run_after=datetime.now(tz=timezone.utc) - timedelta(minutes=5))
    assert (run.state, world.refreshes()) == ("success", 1)


def test_scheduled_run_leaves_a_young_secret_alone(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A rotation by hand yesterday holds back today's scheduled one (min_age)."""
    dag = airflow.load(world.entry())
    airflow.start(dag)
    run = airflow.start(dag, run_after=datetime.now(tz=timezone.utc))
    assert (run.state, run.states["preflight"], run.report["outcome"]) == ("success", "skipped", "skipped")
    assert world.refreshes() == 1


def test_refresh_is_held_back_when_it_gets_late(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A run that began in time, and waited past late_start before rotate, refreshes nothing."""
    run = airflow.start(airflow.load(world.entry()), run_after=datetime.now(tz=timezone.utc), pause_after="preflight")
    assert run.states["preflight"] == "success"
    airflow.make_late(run, timedelta(hours=2))
    airflow.go_on(run)
    assert (run.state, world.refreshes(), run.report["outcome"]) == ("failed", 0, "nothing_changed")
    assert "late_start" in run.error("rotate")
