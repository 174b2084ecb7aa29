"""Never an old secret over a newer one, whatever Featurebase's times and reads are like; and nobody is locked out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.operators import preflight
from featurebase_provider.rotation.history import History
from tests.airflow.test_memory import prefix
from tests.world.emergency import ALL
from tests.world.emergency import load as load_emergency
from tests.world.expectations import everywhere, in_stores

if TYPE_CHECKING:
    from datetime import datetime

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


def rotate_by_hand(world: FeaturebaseWorld) -> None:
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")


def test_one_stale_read_brings_no_old_secret_back(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A refresh moves no updatedAt, somebody rotates by hand, and the run that distributes is shown the old secret."""
    world.behave(updated_at="stays")
    airflow.start(airflow.load(world.entry()))
    rotate_by_hand(world)
    run = airflow.start(airflow.load(world.entry()), {"mode": "distribute"}, pause_after="preflight")
    world.fault("stale_read", method="GET", count=1)
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)
    later = airflow.start(airflow.load(world.entry()))
    assert later.state == "success", later.errors
    emergency = airflow.start(load_emergency(airflow, world.entry()), ALL)
    assert emergency.state == "success", emergency.errors
    assert world.refreshes() == 4
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize(
    "switches",
    [
        {"timestamps": "get_seconds"},
        {"timestamps": "seconds"},
        {"updated_at": "stays"},
        {"reads": ["fresh", "stale", "fresh"]},
        {"reads": ["fresh", "stale", "fresh"], "updated_at": "stays"},
    ],
    ids=lambda switches: " ".join(f"{key}={value}" for key, value in switches.items()),
)
def test_a_rotation_whatever_times_and_reads_are_like(
    airflow: InProcessAirflow, world: FeaturebaseWorld, switches: dict[str, Any]
) -> None:
    """Twice, so that there is something older to be shown; no push needs a second try."""
    world.behave(**switches)
    for count in (1, 2):
        run = airflow.start(airflow.load(world.entry(refresh_grace="PT10S")))
        assert run.state == "success", run.errors
        assert (world.refreshes(), max(run.tries.values())) == (count, 1)
        assert in_stores(airflow, world) == everywhere(world.secret)


def test_a_push_cleared_after_a_later_rotation_writes_what_is_current(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    """It is shown the secret of its own run, which the later one has replaced."""
    dag = airflow.load(world.entry())
    first = airflow.start(dag)
    airflow.start(dag)
    world.fault("stale_read", method="GET", count=2)
    airflow.clear(first, ["push.object_storage"])
    assert first.states["push.object_storage"] == "success", first.errors
    assert in_stores(airflow, world) == everywhere(world.secret)


def remember(airflow: InProcessAirflow, world: FeaturebaseWorld, at: datetime) -> None:
    """A report was wrong: it has called the current secret replaced, and an old one current."""
    history = History(world.webhook_id).seeing("sha256:old", at.isoformat(), replaced=[world.fingerprint])
    record = {"by": "airflow-provider-featurebase", "version": 1, "webhook_id": world.webhook_id, **history.as_json()}
    airflow.set_variable(f"{prefix(world)}history", json.dumps(record))


def test_what_featurebase_goes_on_showing_calls_a_wrong_report_back(
    airflow: InProcessAirflow, world: FeaturebaseWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "STALE_SECONDS", 1.0)
    airflow.set_variable(world.variable, world.secret)
    remember(airflow, world, world.now - timedelta(minutes=11))
    run = airflow.start(airflow.load(world.entry()))
    assert run.state == "success", run.errors
    assert (world.refreshes(), run.report["outcome"]) == (1, "rotated")


def test_a_wrong_report_never_locks_an_emergency_out(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    airflow.set_variable(world.variable, world.secret)
    remember(airflow, world, world.now)
    run = airflow.start(load_emergency(airflow, world.entry()), ALL)
    assert run.state == "success", run.errors
    assert world.refreshes() == 1
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize("hours", [3, -3])
def test_clocks_hours_apart(airflow: InProcessAirflow, world: FeaturebaseWorld, hours: int) -> None:
    """Featurebase's clock counts: a scheduled run is in time by it, and the worker's own tells nothing."""
    if hours < 0:
        pytest.skip("the sandbox's clock moves on only; tests/unit has the other way round")
    world.wait(timedelta(hours=hours))
    run = airflow.start(airflow.load(world.entry(probe=None)), run_after=world.now)
    assert run.states["rotate"] == "success", run.errors
    assert world.refreshes() == 1
