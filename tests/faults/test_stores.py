"""A config store fails before, during or after the write: nothing is lost, and never is a newer secret overwritten."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import BY_HAND, NOT_STARTED
from tests.faults.runs import (
    FaultyWorld,
    Row,
    check_always,
    check_converged,
    check_message,
    failed_tasks,
    message_of,
    normalised,
    outcome_of,
)
from tests.faults.store_faults import FAULTS, STORE_TIMEOUT, StoreFault, late_writers
from tests.faults.table import IS_FULL, settle_with_table

if TYPE_CHECKING:
    from tests.world.in_process_airflow import InProcessAirflow, Run

SHORT = ("down_twice", "theirs_during")


def two_stores(world: FaultyWorld) -> list[dict[str, object]]:
    """The store that fails, and one that does not."""
    return [world.scripted_store(0, timeout=STORE_TIMEOUT), world.scripted_store(1, label="other")]


def faulty_run(airflow: InProcessAirflow, world: FaultyWorld, fault: StoreFault) -> Run:
    """A whole Dag run in which the first of two stores fails."""
    dag = airflow.load(world.entry(stores=two_stores(world), **fault.changes))
    run = airflow.start(dag, pause_after=fault.pause_after) if fault.pause_after else None
    fault.begin(world)
    run = airflow.go_on(run) if run else airflow.start(dag)
    for thread in late_writers(world.place):
        thread.join(30)
    return run


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if IS_FULL or fault.key in SHORT], ids=lambda fault: fault.key
)
def test_store_fault(airflow: InProcessAirflow, world: FaultyWorld, fault: StoreFault) -> None:
    """The other store never waits for it, and mending the store and clearing what failed brings the run home."""
    run = faulty_run(airflow, world, fault)
    outcome, text = outcome_of(run, world), message_of(run, fault.task)
    check_always(run, world)
    assert world.other.value == world.secret
    if outcome == NOT_STARTED:
        assert run.report["outcome"] == "nothing_changed"
    row = Row(fault.section, fault.words, outcome, normalised(text, world))

    if outcome in (NOT_STARTED, BY_HAND):
        fault.mend(world)
        airflow.clear(run, sorted({*failed_tasks(run), *fault.clear}))
    check_converged(run, world)
    check_always(run, world)

    settle_with_table(row)
    assert outcome == fault.expected, text
    check_message(outcome, text)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_write_that_arrives_after_a_newer_secret(
    airflow: InProcessAirflow, world: FaultyWorld, conditional: bool
) -> None:
    """A conditional write does nothing then. Where a store has none, the last comparison tells, and says the way on."""
    gate = threading.Event()
    world.place.conditional = conditional
    run = airflow.start(airflow.load(world.entry(stores=two_stores(world))), pause_after="preflight")
    world.place.before["write"] = deque([lambda: gate.wait(60) and None])
    airflow.go_on(run, pause_after="rotate")
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    airflow.go_on(run, pause_after="distributed")
    assert world.place.value == world.secret == world.issued[2]
    gate.set()
    for thread in late_writers(world.place):
        thread.join(30)
    assert world.place.value == world.issued[2 if conditional else 1]
    airflow.go_on(run)
    if conditional:
        assert run.state == "success", run.errors
        check_always(run, world, refreshes=2)
        return
    assert run.states["verify_delivery"] == "failed"
    assert "mode=distribute" in run.error("verify_delivery")
    airflow.clear(run, ["push.scripted", *failed_tasks(run)])
    assert run.state == "success", run.errors
    assert world.place.value == world.secret


def test_a_refresh_that_arrives_after_its_own_retry(airflow: InProcessAirflow, world: FaultyWorld) -> None:
    """What no client can exclude: a second refresh. It is reported, and every store gets the newest secret."""
    run = airflow.start(airflow.load(world.entry(stores=two_stores(world))), pause_after="preflight")
    world.put_up(method="POST", path="/v2/webhooks/{id}/secret", kind="hang")
    airflow.go_on(run, pause_after="rotate")
    assert run.tries["rotate"] == 2
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")  # the first try's, as Featurebase sees it
    airflow.go_on(run)
    assert run.state == "success", run.errors
    check_always(run, world, refreshes=2)
    assert [place.value for place in world.places] == [world.secret] * 2
    assert run.report["after"] == world.fingerprint
