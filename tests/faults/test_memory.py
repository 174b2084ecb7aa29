"""Airflow's Variables fail: a run that could not find its plan again refreshes nothing; later nothing is held up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import DONE, NOT_STARTED
from tests.faults.memory_faults import FAULTS, MemoryFault, outage
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
from tests.faults.table import IS_FULL, settle_with_table

if TYPE_CHECKING:
    from tests.world.in_process_airflow import InProcessAirflow, Run

SHORT = ("plan_at_rotate", "from_refresh")


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if IS_FULL or fault.key in SHORT], ids=lambda fault: fault.key
)
def test_memory_fault(
    airflow: InProcessAirflow, world: FaultyWorld, capfd: pytest.CaptureFixture[str], fault: MemoryFault
) -> None:
    """Before the refresh it stops the run, which changes nothing; after it the run is green, and the log says so."""
    run = faulty_run(airflow, world, fault)
    outcome = outcome_of(run, world)
    check_always(run, world)
    text = message_of(run, str(fault.task))
    if outcome == NOT_STARTED:
        assert run.report["outcome"] == "nothing_changed"
        assert world.place.history == []
        airflow.clear(run, failed_tasks(run))
    elif outcome == DONE:
        text = said(capfd)
    check_converged(run, world)
    check_always(run, world)
    # Whatever was forgotten: the next run takes the store's value for ours, and rotates.
    later = airflow.start(run.dag)
    assert (later.state, world.refreshes()) == ("success", 2), later.errors
    assert world.place.value == world.secret

    settle_with_table(Row(fault.section, fault.words, outcome, normalised(text, world)))
    assert outcome == fault.expected, text
    check_message(outcome, text)


def faulty_run(airflow: InProcessAirflow, world: FaultyWorld, fault: MemoryFault) -> Run:
    """A whole Dag run in which records can't be had for a while."""
    dag = airflow.load(world.entry())
    run = airflow.start(dag, pause_after=fault.pause_after) if fault.pause_after else None
    if fault.is_lost:
        world.fault("drop_response")
    with outage(fault, world) as asked:
        if run is None:
            run = airflow.start(dag, pause_after=fault.task)
        else:
            airflow.go_on(run, pause_after=fault.task)
    assert asked, "no record was asked for"
    return airflow.go_on(run) if run.state == "running" else run


def said(capfd: pytest.CaptureFixture[str]) -> str:
    """What the log says of the records that could not be had: the first sentence on each, and no retry promised."""
    lines = re.findall(r"\] (.*featurebase_rotation__.*?) +\[airflow\.task", "".join(capfd.readouterr()))
    assert lines, "the log does not say so"
    assert not [line for line in lines if "retry" in line.lower()], lines
    return str(lines[0])
