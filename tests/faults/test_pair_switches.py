"""A pair's runs and their faults, whichever way Featurebase works where its documentation says nothing."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import BY_HAND
from tests.faults.pair_calls import CALLS, FRESH, TAKEN_BACK, faults_of
from tests.faults.pair_runs import bring_home, check_home, check_taken_back, outcome_of_pair
from tests.faults.table import IS_FULL

if TYPE_CHECKING:
    from tests.faults.pair_stage import PairStage

SWITCHES = {
    "event_ids": {"event_ids": "shared"},
    "delivery_lag": {"delivery_lag": 2.0},
    "matched": {"delivery_lag": 2.0, "matched": "delivery"},
    "config_cache": {"config_cache": 4.0},
    "pausing": {"pausing": "keeps", "delivery_lag": 2.0},
    "same_url": {"same_url": "refused"},
    "stays": {"updated_at": "stays", "timestamps": "seconds"},
    "stale": {"stale_share": 0.3, "seed": 3},
}


@pytest.mark.parametrize("switch", SWITCHES if IS_FULL else ["matched", "config_cache"])
def test_what_featurebase_does_not_document(pair_stage: PairStage, switch: str) -> None:
    """A run and the way back, whichever way Featurebase works: nothing refused, nothing lost."""
    world = pair_stage.begin()
    world.behave(**SWITCHES[switch])
    try:
        run = pair_stage.airflow.start(pair_stage.dag)
        assert run.state == "success", run.errors
        assert world.statuses == ["paused", "active"]
        world.judge.check()
        back = pair_stage.run("revert")
        assert back.state == "success", back.errors
        assert world.statuses == ["active", "paused"]
        world.judge.check()
    finally:
        world.behave_as_usual()


def test_a_paused_webhook_that_can_not_be_refreshed(pair_stage: PairStage) -> None:
    """Then there is no overlap: the run ends before anything changed, and says so."""
    world = pair_stage.begin()
    world.behave(refresh_paused="refused")
    try:
        run = pair_stage.airflow.start(pair_stage.dag)
    finally:
        world.behave_as_usual()
    assert run.state == "failed"
    assert not world.has_changed
    assert run.report["outcome"] == "nothing_changed"
    assert "400" in run.error("rotate")
    world.judge.check()


WITH_EACH_SWITCH = {"push_standby": "404", "activate": "drop", "pause": "later", "alone_standby": "404"}
"""A fault of each part of a run: before the deliveries move, when they begin to, and when they have."""


@pytest.mark.parametrize("switch", SWITCHES if IS_FULL else ["pausing"])
@pytest.mark.parametrize("key", WITH_EACH_SWITCH if IS_FULL else ["activate"])
def test_a_fault_whichever_way_featurebase_works(pair_stage: PairStage, key: str, switch: str) -> None:
    """The same rules hold, and the same steps bring the run home."""
    world = pair_stage.world
    call = next(call for call in CALLS if call.key == key)
    fault = next(fault for fault in faults_of(call) if fault.key == WITH_EACH_SWITCH[key])
    run = pair_stage.play(call, fault, SWITCHES[switch])
    outcome = outcome_of_pair(run, world, refreshed=call.task not in FRESH)
    assert world.control("GET", "/faults") == [], "the call never came"
    world.judge.check()
    if fault.effect == "late":
        world.wait_for_effect(call.method)
    if outcome == TAKEN_BACK:
        check_taken_back(run, world)
    if outcome in (TAKEN_BACK, BY_HAND):
        bring_home(pair_stage.airflow, run, outcome)
    check_home(run, world)
    world.judge.check()


@pytest.mark.parametrize("pausing", ["drops", "keeps"] if IS_FULL else ["drops"])
def test_events_that_failed_unseen_before_the_deliveries_moved(pair_stage: PairStage, pausing: str) -> None:
    """Their retries are due when the old half is paused, and only Featurebase knows of them: no other event is lost."""
    world = pair_stage.begin()
    world.behave(pausing=pausing)
    run = pair_stage.airflow.start(pair_stage.dag, pause_after="probe")
    failed = world.receiver_fails()
    world.wait_for_success()
    world.judge.begin()
    pair_stage.airflow.go_on(run)
    assert run.state == "success", run.errors
    world.judge.check()
    check_home(run, world)
    world.wait(timedelta(seconds=65))
    assert not world.undelivered(failed) or pausing == "drops"


def test_events_that_were_seen_to_fail_before_the_deliveries_moved(pair_stage: PairStage) -> None:
    """The old half delivers until they were tried again, and the report says that some may be lost all the same."""
    world = pair_stage.begin()
    run = pair_stage.airflow.start(pair_stage.dag, pause_after="probe")
    failed = world.receiver_fails()
    world.stop_events()
    world.judge.begin()
    later = threading.Timer(6, world.wait, [timedelta(seconds=65)])  # while cut_over watches
    later.start()
    pair_stage.airflow.go_on(run)
    later.join()
    assert run.state == "success", run.errors
    assert not world.undelivered(failed)
    assert "may be lost" in run.xcoms["cut_over"]["detail"]
    world.judge.check()
