"""Each API call of a pair's run meets each fault: no delivery is refused, and the run comes home or is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, NOT_STARTED, Fault
from tests.faults.pair_calls import CALLS, FRESH, TAKEN_BACK, PairCall, allowed, faults_of
from tests.faults.pair_runs import (
    bring_home,
    check_home,
    check_pair_message,
    check_taken_back,
    message_of_pair,
    normalised_pair,
    outcome_of_pair,
)
from tests.faults.runs import Row
from tests.faults.table import IS_FULL, settle_with_table

if TYPE_CHECKING:
    from tests.faults.pair_stage import PairStage

SHORT = {
    "look_live": ("404", "stale"),
    "refresh": ("drop",),
    "push_live": ("404", "stale"),
    "activate": ("hang", "drop", "later"),
    "pause": ("503_committed", "later"),
    "alone_standby": ("404", "503"),
}
"""The calls and faults of the short form."""
HEALED = ("404", "400")
"""Faults after which the run is brought home; it is the same for all that a retry does not mend."""


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        pytest.param(call, fault, id=f"{call.key}-{fault.key}")
        for call in CALLS
        for fault in faults_of(call)
        if IS_FULL or fault.key in SHORT.get(call.key, ())
    ],
)
def test_pair_call(pair_stage: PairStage, call: PairCall, fault: Fault) -> None:
    """The rules of a pair hold, the message says what to do, and that brings the run home."""
    world = pair_stage.world
    run = pair_stage.play(call, fault)
    outcome, text = outcome_of_pair(run, world, refreshed=call.task not in FRESH), message_of_pair(run, call.task)
    assert world.control("GET", "/faults") == [], "the call never came"
    world.judge.check()
    if outcome == NOT_STARTED:
        assert run.report["outcome"] == "nothing_changed"
    if outcome == TAKEN_BACK:
        check_taken_back(run, world)
    row = Row(call.words, fault.words, outcome, normalised_pair(text, world))
    if outcome in (TAKEN_BACK, BY_HAND) and fault.key in HEALED:
        bring_home(pair_stage.airflow, run, outcome)
        check_home(run, world)
    elif outcome in (DONE, BY_AIRFLOW) and fault.effect in ("lost", "late"):
        check_home(run, world)
    if fault.effect in ("lost", "late"):  # it must not meet the next case
        world.wait_for_effect(call.method)
    world.judge.check()
    settle_with_table(row)
    assert outcome in allowed(call, fault), text
    check_pair_message(outcome, text)


def test_every_call_of_a_run_is_in_the_matrix(pair_stage: PairStage) -> None:
    """Task by task, the calls of a run are those of the table."""
    world = pair_stage.begin()
    seen: dict[str, list[tuple[str, str]]] = {}
    with world.noting_tasks(seen):
        run = pair_stage.airflow.start(pair_stage.dag)
    assert run.state == "success", run.errors
    for task in {call.task for call in CALLS}:
        for method, half in set(seen[task]):
            made = seen[task].count((method, half))
            listed = [call for call in CALLS if (call.task, call.method, call.half) == (task, method, half)]
            polls = task in ("cut_over", "verify_delivery")  # how often depends on the machine
            expected = len({call.skip for call in listed})
            assert made == expected or (polls and made > expected), (task, method, half)
