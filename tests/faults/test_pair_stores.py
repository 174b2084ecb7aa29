"""A pair's store, or the memory of its runs, fails at each step: no delivery is refused, and the run comes home."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import BY_HAND, NOT_STARTED
from tests.faults.memory_faults import MemoryFault, outage
from tests.faults.pair_calls import TAKEN_BACK
from tests.faults.pair_runs import (
    bring_home,
    check_home,
    check_pair_message,
    check_taken_back,
    message_of_pair,
    normalised_pair,
    outcome_of_pair,
)
from tests.faults.pair_store_faults import FAULTS, MEMORY_FAULTS, PairStoreFault
from tests.faults.runs import Row
from tests.faults.store_faults import late_writers
from tests.faults.table import IS_FULL, settle_with_table

if TYPE_CHECKING:
    from tests.faults.pair_stage import PairStage

SHORT = ("theirs_during", "down_activate", "plan_at_rotate", "activated_unwritten", "paused_once")


@pytest.mark.parametrize(
    "fault",
    [fault for fault in (*FAULTS, *MEMORY_FAULTS) if IS_FULL or fault.key in SHORT],
    ids=lambda fault: fault.key,
)
def test_pair_store_or_memory(pair_stage: PairStage, fault: PairStoreFault | MemoryFault) -> None:
    """The rules of a pair hold; the message says what to do, and once the store is mended that brings the run home."""
    world = pair_stage.begin()
    run = pair_stage.airflow.start(pair_stage.dag, pause_after=fault.pause_after) if fault.pause_after else None
    refreshed = fault.pause_after not in (None, "preflight")
    if isinstance(fault, PairStoreFault):
        fault.begin(world)
        if not refreshed:
            world.begin_case()  # what somebody else has changed is not the run's doing
    trouble = outage(fault, world) if isinstance(fault, MemoryFault) else nullcontext()  # type: ignore[arg-type]
    with trouble as asked:
        run = pair_stage.airflow.go_on(run) if run is not None else pair_stage.airflow.start(pair_stage.dag)
        for thread in late_writers(world.place):
            thread.join(30)
    assert asked is None or asked, "no record was asked for"
    outcome = outcome_of_pair(run, world, refreshed=refreshed)
    text = message_of_pair(run, str(fault.task))
    row = Row(fault.section, fault.words, outcome, normalised_pair(text, world))
    if isinstance(fault, PairStoreFault):
        with world.by_hand():
            fault.mend(world)
    world.judge.check()
    if outcome == NOT_STARTED:
        assert run.report["outcome"] == "nothing_changed"
        assert world.statuses == ["active", "paused"]
    elif outcome == TAKEN_BACK:
        check_taken_back(run, world)
    if outcome in (TAKEN_BACK, BY_HAND):
        bring_home(pair_stage.airflow, run, outcome)
    if outcome != NOT_STARTED:
        check_home(run, world)
    world.judge.check()
    settle_with_table(row)
    check_pair_message(outcome, text)
