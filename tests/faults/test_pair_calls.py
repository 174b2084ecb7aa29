"""Each API call of a pair's run meets each fault: no delivery is refused, and the run comes home or is taken back."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, NOT_STARTED, Fault
from tests.faults.pair_calls import ACTIVATE, CALLS, FRESH, PAUSE, TAKEN_BACK, PairCall, allowed, faults_of
from tests.faults.pair_runs import (
    bring_home,
    check_home,
    check_pair_message,
    check_taken_back,
    normalised_pair,
    outcome_of_pair,
)
from tests.faults.pair_world import FaultyPair, State
from tests.faults.runs import Row, message_of
from tests.faults.table import IS_FULL, settle_with_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world.in_process_airflow import InProcessAirflow, Run

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


class PairStage:
    """A pair and a Dag for it, on which the cases of one call follow each other."""

    def __init__(self, airflow: InProcessAirflow, call: PairCall, world: FaultyPair) -> None:
        self.airflow, self.call, self.world = airflow, call, world
        self.dag = world.load(**call.changes)
        self._begin = world.snapshot()
        self._before: State = self._begin
        self._ended: Run | None = None
        if call.task not in FRESH:
            self._ended = airflow.start(self.dag, pause_after=self._task_before())
            self._before = world.snapshot()
            airflow.go_on(self._ended)
            assert self._ended.state == "success", self._ended.errors

    def _task_before(self) -> str:
        order = list(self.dag.task_dict)
        return order[order.index(self.call.task) - 1]

    def play(self, fault: Fault) -> Run:
        """A Dag run in which the call goes wrong: before the refresh in every try, later on once."""
        world, call = self.world, self.call
        world.put_back(self._before)
        run = self._ended
        if run is None and call.task == "rotate":
            run = self.airflow.start(self.dag, pause_after="preflight")
        if call.when == "poll":
            world.deliver_late()
        world.begin_case()
        lasts = call.when == "before" and fault.effect == "passing"
        how = {"method": call.method, "half": call.half, "suffix": call.suffix, "skip": call.skip}
        world.put_up(**how, **fault.how)
        if lasts:  # the next try's first call of this kind fails too
            world.put_up(**{**how, "skip": 0}, **fault.how)
        if self._ended is not None:
            return self.airflow.clear(self._ended, self._tasks(fault))
        return self.airflow.go_on(run) if run is not None else self.airflow.start(self.dag)

    def _tasks(self, fault: Fault) -> list[str]:
        """What is cleared: all that comes after it too, if a failure changes what these do."""
        order = list(self.dag.task_dict)
        return order[order.index(self.call.task) :] if fault.effect in ("refused", "lost", "late") else [self.call.task]


class PairStages:
    """One stage for each call, made when it is first needed, and anew after a case that went wrong on it."""

    def __init__(self, airflow: InProcessAirflow, factory: pytest.TempPathFactory) -> None:
        self._airflow, self._factory = airflow, factory
        self._open: dict[str, tuple[PairStage, ExitStack]] = {}

    def of(self, call: PairCall) -> PairStage:
        """The stage of this call."""
        if call.key not in self._open:
            with ExitStack() as stack:
                world = stack.enter_context(FaultyPair(self._airflow, self._factory.mktemp(call.key)))
                self._open[call.key] = (PairStage(self._airflow, call, world), stack.pop_all())
        return self._open[call.key][0]

    def drop(self, call: PairCall) -> None:
        """Never use the stage again, if there is one."""
        with suppress(KeyError):
            self._open.pop(call.key)[1].close()

    def close(self) -> None:
        """Drop them all."""
        for _, stack in self._open.values():
            stack.close()


@pytest.fixture(scope="module")
def stages(airflow: InProcessAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairStages]:
    stages = PairStages(airflow, tmp_path_factory)
    yield stages
    stages.close()


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        pytest.param(call, fault, id=f"{call.key}-{fault.key}")
        for call in CALLS
        for fault in faults_of(call)
        if IS_FULL or fault.key in SHORT.get(call.key, ())
    ],
)
def test_pair_call(stages: PairStages, call: PairCall, fault: Fault) -> None:
    """The rules of a pair hold, the message says what to do, and that brings the run home."""
    stage = stages.of(call)
    try:
        check_case(stage, fault)
    except BaseException:
        stages.drop(call)
        raise


def check_case(stage: PairStage, fault: Fault) -> None:
    """Play one case, compare it with the rules and with the documentation."""
    call, world = stage.call, stage.world
    run = stage.play(fault)
    outcome, text = outcome_of_pair(run, world), message_of(run, call.task)
    assert world.control("GET", "/faults") == [], "the call never came"
    world.judge.check()
    if outcome == NOT_STARTED:
        assert run.report["outcome"] == "nothing_changed"
    if outcome == TAKEN_BACK:
        check_taken_back(run, world)
    row = Row(call.words, fault.words, outcome, normalised_pair(text, world))
    if outcome in (TAKEN_BACK, BY_HAND) and fault.key in HEALED:
        bring_home(stage.airflow, run, outcome)
        check_home(run, world)
    elif outcome in (DONE, BY_AIRFLOW) and fault.effect in ("lost", "late"):
        check_home(run, world)
    if fault.effect in ("lost", "late"):  # it must not meet the next case
        world.wait_for_effect(call.method)
    world.judge.check()
    settle_with_table(row)
    assert outcome in allowed(call, fault), text
    check_pair_message(outcome, text)


def test_every_call_of_a_run_is_in_the_matrix(airflow: InProcessAirflow, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Task by task, the calls of a run are those of the table."""
    with FaultyPair(airflow, tmp_path_factory.mktemp("calls")) as world:
        dag = world.load()
        seen: dict[str, list[tuple[str, str]]] = {}
        with world.noting_tasks(seen):
            run = airflow.start(dag)
        assert run.state == "success", run.errors
        for task in {call.task for call in CALLS}:
            for method, half in set(seen[task]):
                made = seen[task].count((method, half))
                listed = [call for call in CALLS if (call.task, call.method, call.half) == (task, method, half)]
                assert made == len({call.skip for call in listed}), (task, method, half)
