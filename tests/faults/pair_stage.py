"""A pair and its Dag, on which cases follow each other: before each, everything is as it was before a task of a run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.operators import cut_over
from featurebase_provider.triggers.cut_over import CutOverTrigger
from tests.faults.pair_calls import FRESH
from tests.faults.pair_world import FaultyPair
from tests.faults.store_faults import STORE_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import DAG

    from tests.faults.cases import Fault
    from tests.faults.pair_calls import PairCall
    from tests.faults.pair_world import State
    from tests.world.in_process_airflow import InProcessAirflow, Run


NOT_DONE = ("failed", "upstream_failed")
"""Task states that an earlier case may have left."""


class PairStage:
    """One pair, one Dag, and one run of it that has ended well, for the cases that go on with its later tasks.

    :param timeout: seconds that a call of the first store may take.
    """

    def __init__(self, airflow: InProcessAirflow, world: FaultyPair, *, timeout: float) -> None:
        self.airflow, self.world = airflow, world
        stores = world.entry_of_pair()["stores"]
        stores[0]["timeout"] = timeout
        self._stores = stores
        self.dag: DAG = world.load(stores=stores)
        self.order = list(self.dag.task_dict)
        self._begin: State = world.snapshot()
        self._before: dict[str, State] = {}
        self._ended: Run | None = None

    def begin(self) -> FaultyPair:
        """Bring everything back to what it was at first."""
        self._set_right()
        self.world.start_anew(self._begin)
        self.world.begin_case()
        return self.world

    def run(self, mode: str) -> Run:
        """A whole run in another mode; of a Dag of its own, since a run in this process leaves its mode in the Dag."""
        return self.airflow.start(self.world.load(stores=self._stores), {"mode": mode})

    def play(self, call: PairCall, fault: Fault, switches: Mapping[str, Any] | None = None) -> Run:
        """A Dag run in which the call goes wrong: before the refresh in every try, later on once.

        :param switches: what Featurebase's documentation leaves open, where it isn't as usual.
        """
        world = self.world
        if call.task in FRESH:
            self.begin()
            run = self.airflow.start(self.dag, pause_after="preflight") if call.task == "rotate" else None
            world.begin_case()
            self._behave(switches)
            self._put_up(call, fault)
            return self.airflow.go_on(run) if run is not None else self.airflow.start(self.dag)
        ended = self._ended or self._end()
        self._put_back(self._before[call.task])
        self._behave(switches)
        if call.when == "poll":
            world.deliver_late()
            return self._play_poll(ended, call, fault)
        self._put_up(call, fault)
        changes_what_follows = fault.effect in ("refused", "lost", "late")
        was_left_failed = any(state in NOT_DONE for state in ended.states.values())
        return self.airflow.clear(
            ended, self._from(call.task) if changes_what_follows or was_left_failed else [call.task]
        )

    def _behave(self, switches: Mapping[str, Any] | None) -> None:
        if switches:
            self.world.behave(**switches)

    def _play_poll(self, ended: Run, call: PairCall, fault: Fault) -> Run:
        """Let the call go wrong once the triggerer watches, not the worker."""
        wait = CutOverTrigger._wait

        async def beginning(trigger: CutOverTrigger, *args: Any) -> str:
            self._put_up(call, fault)
            return await wait(trigger, *args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cut_over, "WATCHES_FIRST", 0.0)
            patch.setattr(CutOverTrigger, "_wait", beginning)
            return self.airflow.clear(ended, self._from(call.task))

    def _from(self, task: str) -> list[str]:
        return self.order[self.order.index(task) :]

    def _end(self) -> Run:
        """Make the run, and keep what everything was like before each of its tasks."""
        self.begin()
        run = self.airflow.start(self.dag, pause_after="preflight")
        for done, following in zip(self.order, self.order[1:], strict=False):
            if run.states.get(done) != "success":  # it may have run beside an earlier one
                self.airflow.go_on(run, pause_after=done)
            self._before[following] = self.world.snapshot()
        self.airflow.go_on(run)
        assert run.state == "success", run.errors
        self._ended = run
        return run

    def _put_back(self, state: State) -> None:
        self._set_right()
        self.world.put_back(state)
        self.world.begin_case()

    def _set_right(self) -> None:
        """Let the store, Featurebase's API and its behaviour be as usual."""
        place = self.world.place
        place.down = place.read_only = False
        place.shows, place.before, place.after = None, {}, {}
        self.world.control("DELETE", "/faults")
        self.world.behave_as_usual()

    def _put_up(self, call: PairCall, fault: Fault) -> None:
        how = {"method": call.method, "half": call.half, "suffix": call.suffix}
        self.world.put_up(**how, skip=call.skip, **fault.how)
        if call.when == "before" and fault.effect == "passing":  # the next try's first such call fails too
            self.world.put_up(**how, **fault.how)


class PairStages:
    """The stage of this process, and a new one once Featurebase's clock was moved on, which nothing moves back."""

    def __init__(self, airflow: InProcessAirflow, factory: pytest.TempPathFactory) -> None:
        self._airflow, self._factory = airflow, factory
        self._open = ExitStack()
        self._stage: PairStage | None = None

    def current(self) -> PairStage:
        """The stage, made when it is first needed."""
        if self._stage is None or self._stage.world.sandbox.state.clock.ahead:
            self.close()
            world = self._open.enter_context(FaultyPair(self._airflow, self._factory.mktemp("pair")))
            self._stage = PairStage(self._airflow, world, timeout=STORE_TIMEOUT)
        return self._stage

    def close(self) -> None:
        """End what surrounds it."""
        self._open.close()
