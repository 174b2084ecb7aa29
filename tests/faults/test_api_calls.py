"""Each API call of a rotation meets each fault: done, safely not started, or converging on a retry; never worse."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import (
    AFTER_THE_REFRESH,
    BY_HAND,
    CALLS,
    DONE,
    NOT_STARTED,
    Call,
    Fault,
    expected,
    faults_of,
)
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
    from collections.abc import Iterator

    from airflow.sdk import DAG

    from tests.world.in_process_airflow import InProcessAirflow, Run

SHORT, SHORT_READ = "refresh", "compare"
"""The calls of the short form: the refresh with every fault, and one read with a passing one."""
HEALED = ("401", "503", "html")
"""Faults after which a run that was not started is cleared too; it is the same for all of them."""


class Stage:
    """A world, and a Dag for it, on which the cases of one call follow each other."""

    def __init__(self, airflow: InProcessAirflow, call: Call, world: FaultyWorld) -> None:
        self.airflow, self.call, self.world = airflow, call, world
        self.dag: DAG = airflow.load(world.entry(**call.changes))
        self.ended: Run | None = None
        if call.when in AFTER_THE_REFRESH:
            for task in self.dag.tasks:  # cases count on as tries of one run, and the wait would double with each
                task.retry_exponential_backoff = 0
            world.deliver()
            self.ended = airflow.start(self.dag)
            assert self.ended.state == "success", self.ended.errors

    def play(self, fault: Fault) -> Run:
        """A Dag run in which the call goes wrong: before the refresh in every try, later on once."""
        self.world.mark()
        run = self.ended
        if run is None and self.call.pause_after:
            run = self.airflow.start(self.dag, pause_after=self.call.pause_after)
        self._put_up(fault)
        if self.ended is not None:
            return self.airflow.clear(self.ended, self.tasks(fault))
        return self.airflow.go_on(run) if run is not None else self.airflow.start(self.dag)

    def tasks(self, fault: Fault) -> list[str]:
        """What is cleared for a case after the refresh, and again where the case needs a person."""
        is_overlooked = self.call.task == "settle" and fault.effect == "stale"
        return [self.call.task, *(["verify_delivery"] if is_overlooked else [])]

    def _put_up(self, fault: Fault) -> None:
        call, world = self.call, self.world
        if call.when == "poll":  # what the sensor reads before it defers must not decide
            world.deliver_unseen()
        if not fault.how:
            world.force(extra={"newField": {"deep": [1, None]}}, topics=["post.created", "topic.of_tomorrow"])
        if call.task == "settle" and self.ended is not None:  # last: any later change hints at a person
            world.pause(self.ended)
        if not fault.how:
            return
        if call.first:
            world.put_up(**call.first)
        lasts = call.when == "before" and fault.effect == "passing"
        world.put_up(method=call.method, path=call.path, skip=call.skip, count=2 if lasts else 1, **fault.how)


class Stages:
    """One stage for each call, made when it is first needed, and anew after a case that went wrong on it."""

    def __init__(self, airflow: InProcessAirflow, factory: pytest.TempPathFactory) -> None:
        self._airflow, self._factory = airflow, factory
        self._open: dict[str, tuple[Stage, ExitStack]] = {}

    def of(self, call: Call) -> Stage:
        """The stage of this call."""
        if call.key not in self._open:
            with ExitStack() as stack:
                world = stack.enter_context(FaultyWorld(self._airflow, self._factory.mktemp(call.key)))
                self._open[call.key] = (Stage(self._airflow, call, world), stack.pop_all())
        return self._open[call.key][0]

    def drop(self, call: Call) -> None:
        """Never use the stage again, if there is one."""
        with suppress(KeyError):
            self._open.pop(call.key)[1].close()

    def close(self) -> None:
        """Drop them all."""
        for _, stack in self._open.values():
            stack.close()


@pytest.fixture(scope="module")
def stages(airflow: InProcessAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    stages = Stages(airflow, tmp_path_factory)
    yield stages
    stages.close()


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        pytest.param(call, fault, id=f"{call.key}-{fault.key}")
        for call in CALLS
        if IS_FULL or call.key == SHORT
        for fault in faults_of(call)
    ],
)
def test_api_fault(stages: Stages, call: Call, fault: Fault) -> None:
    """The run ends as the rules say, tells what to do, and that brings it home with one refresh in all."""
    stage = stages.of(call)
    try:
        check_case(stage, fault)
    except BaseException:
        stages.drop(call)
        raise


def check_case(stage: Stage, fault: Fault) -> None:
    """Play one case, compare it with the rules and with the documentation."""
    call, world = stage.call, stage.world
    run = stage.play(fault)
    outcome, text = outcome_of(run, world, refreshed=stage.ended is not None), message_of(run, call.task)
    assert world.control("GET", "/faults") == [], "the call never came"
    check_always(run, world)
    if outcome == NOT_STARTED:
        assert run.report["outcome"] == "nothing_changed"
        assert world.new_writes() == 0
    # The triggerer hands on no words: there the status is in its log, and in the retry's message if it lasts.
    if "status" in fault.how and outcome != DONE and call.when != "poll":
        assert f"answered {fault.how['status']}" in text, text
    row = Row(call.words, fault.words, outcome, normalised(text, world))

    if outcome == BY_HAND or (outcome == NOT_STARTED and fault.key in HEALED):
        stage.airflow.clear(run, stage.tasks(fault) if stage.ended else sorted({*failed_tasks(run), call.task}))
        check_always(run, world)
    if outcome != NOT_STARTED or fault.key in HEALED:
        check_converged(run, world)
    if fault.effect in ("lost", "late"):  # it must not meet the next case
        world.wait_for_effect(call.method)

    settle_with_table(row)
    assert outcome == expected(call, fault), text
    check_message(outcome, text)


@pytest.mark.parametrize(
    "call",
    [call for call in CALLS if call.method == "GET" and (IS_FULL or call.key == SHORT_READ)],
    ids=lambda call: call.key,
)
def test_a_passing_fault_of_a_read_is_the_clients_own_matter(stages: Stages, call: Call) -> None:
    """With retries of the client, which is the default, a single 503 fails no try."""
    stage = stages.of(call)
    stage.world.connect(max_retries=2)
    try:
        run = stage.play(Fault("503", "503", "harmless", {"kind": "status", "status": 503}))
        assert outcome_of(run, stage.world) == DONE
        check_converged(run, stage.world)
    finally:
        stages.drop(call)
