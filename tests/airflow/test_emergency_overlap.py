"""An emergency while a normal rotation is under way: the leaked secret is left in no store, current or previous."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.world.emergency import ALL, load

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

STEPS = [
    "preflight", "rotate", "push.airflow_variable", "push.object_storage", "distributed", "probe", "verify_delivery",
    "report",
]  # fmt: skip


def keeping(world: FeaturebaseWorld, **changes: Any) -> dict[str, Any]:
    """An entry whose stores keep the previous secret."""
    stores = [
        world.variable_store(format="json"),
        world.file_store(previous_key="FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"),
    ]
    return world.entry(
        **{"stores": stores, "probe": {"timeout": "PT5S", "interval": "PT0.1S", "steady": "PT0S"}, **changes}
    )


def held(airflow: InProcessAirflow, world: FeaturebaseWorld) -> dict[str, tuple[str, str | None]]:
    """Current and previous secret in each store."""
    variable = json.loads(airflow.variable(world.variable).val)
    lines = dict(line.split("=", 1) for line in world.secret_file.read_text().splitlines() if "=" in line)
    return {
        "variable": (variable["current"], variable.get("previous")),
        "file": (lines["FEATUREBASE_WEBHOOK_SECRET"], lines.get("FEATUREBASE_WEBHOOK_SECRET_PREVIOUS") or None),
    }


def everywhere(current: str, previous: str | None = None) -> dict[str, tuple[str, str | None]]:
    """What both stores are to hold."""
    return {"variable": (current, previous), "file": (current, previous)}


@pytest.mark.parametrize("step", STEPS)
def test_emergency_after_each_step_of_a_rotation(airflow: InProcessAirflow, world: FeaturebaseWorld, step: str) -> None:
    """The rotation goes on to its end; a later one keeps only what came after the emergency."""
    airflow.set_variable(world.variable, json.dumps({"current": world.secret}))
    normal = airflow.load(keeping(world))
    run = airflow.start(normal, pause_after=step)
    emergency = airflow.start(load(airflow, keeping(world)), ALL)
    assert emergency.state == "success", emergency.errors
    assert held(airflow, world) == everywhere(world.secret)
    airflow.go_on(run)
    assert held(airflow, world) == everywhere(world.secret)
    if run.state == "failed":
        # It was overtaken after a push: no store is wrong, but what its tasks recorded no longer agrees.
        assert step in ("push.airflow_variable", "push.object_storage", "distributed", "verify_delivery"), run.errors
        assert all("Clear the push tasks" in errors[-1] for errors in run.errors.values()), run.errors
        airflow.clear(run)
    assert run.state == "success", run.errors
    assert held(airflow, world) == everywhere(world.secret)
    assert world.refreshes() == (1 if step == "preflight" else 2)

    after = world.secret
    later = airflow.start(normal)
    assert later.state == "success", later.errors
    assert held(airflow, world) == everywhere(world.secret, after)


@pytest.mark.parametrize("step", ["choose", "webhook.plan[0]", "webhook.rotate[0]", "webhook.push[0]"])
def test_rotation_after_each_step_of_an_emergency(
    airflow: InProcessAirflow, world: FeaturebaseWorld, step: str
) -> None:
    """The other way round: whoever refreshes first, the secret from before is over, and nobody keeps it."""
    leaked = world.secret
    airflow.set_variable(world.variable, json.dumps({"current": leaked}))
    normal = airflow.load(keeping(world))
    run = airflow.start(load(airflow, keeping(world)), ALL, pause_after=step)
    rotation = airflow.start(normal)
    assert rotation.state == "success", rotation.errors
    if step != "choose":
        assert leaked not in json.dumps(held(airflow, world))
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert held(airflow, world) == everywhere(world.secret)
    report = run.xcoms["webhook.report[0]"]
    assert (report["outcome"], report["after"]) == ("rotated", world.fingerprint)
    if step == "webhook.plan[0]":
        assert (report["how"], world.refreshes()) == ("already_done", 1)
        assert "no longer the plan's" in report["notes"][0]


def test_store_that_slept_through_the_emergency(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """It still holds the leaked secret when a later rotation finds it, which replaces it and does not keep it."""
    leaked = world.secret
    airflow.set_variable(world.variable, json.dumps({"current": leaked}))
    folder, away = world.secret_file.parent, world.secret_file.parent.with_name("away")
    folder.rename(away)
    emergency = airflow.start(load(airflow, keeping(world)), ALL)
    assert emergency.state == "failed"
    away.rename(folder)
    assert leaked in world.secret_file.read_text()
    between = world.secret

    run = airflow.start(airflow.load(keeping(world, probe=None)))
    assert run.state == "success", run.errors
    assert held(airflow, world) == {"variable": (world.secret, between), "file": (world.secret, None)}


def test_distribute_does_not_hand_out_a_leaked_secret(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The emergency's refresh failed, so Featurebase still holds what has leaked: no store is given it anew."""
    airflow.set_variable(world.variable, "")
    world.fault("status", status=403, count=1)
    emergency = airflow.start(load(airflow, world.entry(probe=None)), ALL)
    assert (emergency.state, world.refreshes()) == ("failed", 0)
    run = airflow.start(airflow.load(world.entry()), {"mode": "distribute"})
    assert run.state == "failed"
    assert "an emergency run recorded as leaked" in run.error("push.airflow_variable")
    assert airflow.variable(world.variable).val == ""
    airflow.clear(emergency)
    assert (emergency.state, world.refreshes()) == ("success", 1), emergency.errors
    assert world.secret in airflow.variable(world.variable).val


def test_purged_events_do_not_resurrect_a_secret(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The plan of a run that was made after the emergency carries on what has leaked."""
    leaked = world.fingerprint
    airflow.start(load(airflow, world.entry(probe=None)), ALL)
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    assert leaked in run.xcoms["preflight"]["leaked"]
