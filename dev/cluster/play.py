"""Triggers all rotations at once, and kills a scheduler, a worker and a triggerer while these have work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dev.airflow.processes import wait_for
from dev.airflow.rest import FINAL_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dev.cluster.airflow import ClusterAirflow
    from dev.cluster.journal import Journal
    from dev.cluster.lanes import Lane

RUN_SECONDS, STEP_SECONDS = 2400.0, 900.0
TASKS_BEFORE, TRIGGERS_BEFORE = 2, 1
"""How much a scheduler and a triggerer have in hand before they are killed."""
POLL_SECONDS = 2.0


class Play:
    """One run of each lane's Dag.

    :param lanes: the first one's refresh is held between its effect and its answer, and its worker killed. In the
        last one that has no pair, nothing happens until a triggerer was killed, so that its task surely waits there.
    """

    def __init__(self, airflow: ClusterAirflow, lanes: Sequence[Lane], journal: Journal) -> None:
        self.airflow, self.lanes, self.journal = airflow, lanes, journal
        self._quiet = [lane for lane in lanes if lane.strategy == "refresh"][-1]
        self.runs: dict[str, str] = {}
        """Run ids by the lanes' names."""
        self.states: dict[str, str] = {}
        """How the runs have ended."""

    def play(self) -> None:
        """Trigger, kill, and wait for the ends.

        :raises DemoError: something did not happen in time.
        """
        held = self.lanes[0]
        path = held.path("/secret")
        held.control("POST", "/faults", kind="latency", method="POST", path=path, seconds=3600, commit=True)
        for lane in self.lanes:
            if lane is not self._quiet:
                lane.emit()
        self.journal.begin()
        for lane in self.lanes:
            self.runs[lane.name] = self.airflow.api.trigger(lane.dag_id, {"mode": "rotate", "reason": "cluster"})
        self.journal.note(f"{len(self.lanes)} runs triggered")
        self._kill_busiest("scheduler", self.airflow.schedulers_work, at_least=TASKS_BEFORE, of="queued by it")
        self._kill_the_worker_of(held)
        self._kill_busiest("triggerer", self.airflow.triggerers_work, at_least=TRIGGERS_BEFORE, of="waiting in it")
        self._quiet.emit()
        wait_for("the end of all runs", self._all_ended, seconds=RUN_SECONDS, every=POLL_SECONDS)

    def _kill_busiest(self, kind: str, work: Callable[[], list[tuple[str, int]]], *, at_least: int, of: str) -> None:
        found: list[tuple[str, int]] = []

        def is_busy() -> bool:
            found[:] = work()
            self._all_ended()
            return bool(found) and found[0][1] >= at_least

        wait_for(f"a busy {kind}", is_busy, seconds=STEP_SECONDS, every=0.5)
        name, count = found[0]
        self.airflow.kill_component(name)
        self.journal.note(f"KILLED {name}; {of}: {count}")

    def _kill_the_worker_of(self, lane: Lane) -> None:
        """Featurebase has the new secret, and nobody else: the answer never arrives."""

        def is_held() -> bool:
            self._all_ended()
            return any(call.committed and call.status is None for call in lane.calls("POST", "/secret"))

        wait_for(f"the refresh of {lane.name}", is_held, seconds=STEP_SECONDS, every=0.1)
        row = self.airflow.api.tasks(lane.dag_id, self.runs[lane.name])["rotate"]
        name = str(row["hostname"])
        there = [
            f"{dag_id.removeprefix('featurebase_rotate__')}.{task}" for dag_id, task in self.airflow.tasks_on(name)
        ]
        self.airflow.kill_component(name)
        lane.let_go()
        self.journal.note(f"KILLED {name}, between the refresh of {lane.name} and its answer")
        self.journal.note(f"       it was running {', '.join(there)}")

    def _all_ended(self) -> bool:
        """Ask how the runs are, and note each that has ended."""
        for name, run_id in self.runs.items():
            if name in self.states:
                continue
            state = self.airflow.api.run_state(f"featurebase_rotate__{name}", run_id)
            if state in FINAL_STATES:
                self.states[name] = state
                self.journal.note(f"{name}: {state}")
        time.sleep(0.1)
        return len(self.states) == len(self.runs)
