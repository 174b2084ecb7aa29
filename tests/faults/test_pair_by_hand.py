"""A person changes a half of a pair between any two tasks of a run: nothing is lost by the run's doing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.rotation.errors import HALF_DELETED
from featurebase_provider.rotation.pair_report import NONE_DELIVERS
from tests.faults.pair_runs import check_drained, check_no_secret
from tests.faults.table import IS_FULL

if TYPE_CHECKING:
    from tests.faults.pair_stage import PairStage

GAPS = ("preflight", "rotate", "distributed", "probe", "activate", "cut_over")
"""The tasks after which a person does something."""
ACTS = ("refresh", "pause", "activate", "delete")
HALVES = ("live", "standby")
CASES = [(gap, act, half) for gap in GAPS for act in ACTS for half in HALVES]
SHORT = [("rotate", "refresh", "live"), ("activate", "pause", "standby"), ("distributed", "delete", "live")]


@pytest.mark.parametrize(("gap", "act", "half"), CASES if IS_FULL else SHORT)
def test_a_person_changes_a_half(pair_stage: PairStage, gap: str, act: str, half: str) -> None:
    """The run breaks no rule; in the end the stores hold the secret of what delivers, and what a person set stays."""
    world = pair_stage.begin()
    run = pair_stage.airflow.start(pair_stage.dag, pause_after=gap)
    with world.by_hand():
        world.act(act, world.half(half))
    left = world.statuses
    pair_stage.airflow.go_on(run)

    world.judge.check()
    check_no_secret(run, world)
    assert run.states["report"] == "success", run.errors
    if act == "delete":
        told = json.dumps([run.errors, run.report], default=str)
        assert "remove it from the rotation file" not in told, "the other webhook of the pair still has secrets"
        assert run.state == "success" or HALF_DELETED in told
    if "active" not in left:
        assert "active" not in world.statuses, "what a person paused was set active"
        assert run.state == "failed" or (gap == "cut_over" and NONE_DELIVERS in run.report["advice"])
    if act == "pause" and left.count("paused") and gap in ("activate", "cut_over"):
        paused = world.ids.index(world.half(half))
        assert world.statuses[paused] == "paused", "what a person paused was set active"
    healing = pair_stage.run("distribute")
    if world.sandbox.state.webhooks.all():
        assert healing.state == "success", healing.errors
        needed = {webhook.secret for webhook in world.sandbox.state.webhooks.all() if webhook.status == "active"}
        for place in world.places:
            assert needed <= set(place.slots), "a store lacks the secret of a webhook that delivers"
    world.judge.check()
    if act == "refresh" and world.statuses.count("active") == 1:
        check_drained(pair_stage)


@pytest.mark.parametrize("gap", [*GAPS, "outcome"] if IS_FULL else ["probe", "cut_over"])
def test_revert_works_at_any_point(pair_stage: PairStage, gap: str) -> None:
    """A run that is left where it is can be taken back: the old half delivers, and no delivery is refused."""
    world = pair_stage.begin()
    live = world.secret_of(world.webhook_id)
    run = pair_stage.airflow.start(pair_stage.dag, pause_after=gap)
    back = pair_stage.run("revert")
    if gap == "preflight":
        assert run.state == "running"
    assert back.state == "success", (run.errors, back.errors)
    assert world.statuses == ["active", "paused"]
    assert [place.value for place in world.places] == [live, live]
    pair_stage.airflow.go_on(run)
    assert world.statuses == ["active", "paused"], "a run that was overtaken moved the deliveries"
    world.judge.check()
    check_no_secret(back, world)
    check_drained(pair_stage)
