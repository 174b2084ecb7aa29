"""The same in a real Airflow: one Airflow, a Featurebase and a webhook for each combination, all daemons."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import DemoError
from dev.airflow.rest import FINAL_STATES
from dev.soak.combinations import retry_span
from dev.soak.core_part import MARGIN, connection, entry_for
from dev.soak.faults import draw
from dev.soak.findings import Figures, Injected, Rotation
from dev.soak.judging import judge
from dev.soak.rotating import MOST_CLEARS
from featurebase_provider.config.models import DAG_ID_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dev.soak.world import SoakWorld

CHANGES = {
    "retry_delay": "PT1S",
    "push_retry_delay": "PT1S",
    "max_retry_delay": "PT5S",
    "verify": {"timeout": "PT30S", "poll_interval": "PT1S"},
}
PROGRESS_SECONDS = 15.0


@dataclass
class _Lane:
    """One combination's rotations, one after the other."""

    world: SoakWorld
    rng: random.Random
    number: int
    left: int
    next_at: float = 0.0
    run_id: str | None = None
    rotation: Rotation | None = None
    finished: list[Rotation] = field(default_factory=list)

    @property
    def dag_id(self) -> str:
        return DAG_ID_PREFIX + self.world.combination.name

    @property
    def over(self) -> bool:
        return not self.left and self.run_id is None and time.monotonic() >= self.next_at


class AirflowPart:
    """Rotates the one webhook of each world so many times.

    :param rotations: in all; the worlds share them.
    :param until: monotonic seconds at which to give up.
    """

    def __init__(
        self,
        folder: Path,
        worlds: Sequence[SoakWorld],
        *,
        dags: Path,
        rotations: int,
        speed: float,
        seed: int,
        until: float,
        say: Callable[[str], None],
    ) -> None:
        self._until, self._say = until, say
        self._apart = retry_span(speed) + MARGIN
        self._lanes = []
        for number, world in enumerate(worlds):
            share = rotations // len(worlds) + (number < rotations % len(worlds))
            rng = random.Random(f"{seed}:airflow:{world.combination.name}")  # noqa: S311 - a test's dice
            self._lanes.append(_Lane(world, rng, number, share))
        rotation_file = folder / "rotation.yaml"
        settings = {"AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file)}
        self._airflow = LocalAirflow(folder / "airflow", dags=dags, settings=settings)
        self._rotation_file = rotation_file

    def run(self, *, events_per_second: float) -> list[Figures]:
        """Start Airflow, rotate, judge, stop it.

        :raises DemoError: Airflow did not start, or time is up.
        """
        entries = []
        for lane in self._lanes:
            (webhook,) = lane.world.webhooks
            changes = {"name": lane.world.combination.name, "featurebase_conn_id": f"soak_{lane.number}", **CHANGES}
            entries.append(entry_for(webhook, lane.world.combination, **changes))
        self._rotation_file.write_text(json.dumps({"webhooks": entries}))
        try:
            self._airflow.start(lambda text: self._say(f"Airflow: {text}"))
            for lane in self._lanes:
                fields = connection(lane.world)
                self._airflow.api.add_connection(
                    f"soak_{lane.number}", **{**fields, "extra": json.dumps(fields["extra"])}
                )
            for lane in self._lanes:
                self._airflow.wait_for_dag(lane.dag_id)
                self._airflow.api.unpause(lane.dag_id)
            began = time.monotonic()
            for lane in self._lanes:
                lane.world.emit(per_second=events_per_second)
            self._rotate_all()
            took = time.monotonic() - began
            return [judge(lane.world, lane.finished, seconds=took) for lane in self._lanes]
        finally:
            for process in self._airflow.processes.values():
                process.kill()
            self._airflow.stop()

    def _rotate_all(self) -> None:
        next_word = 0.0
        while not all(lane.over for lane in self._lanes):
            if time.monotonic() > self._until:
                raise DemoError(f"time is up; rotations in Airflow done: {self._counts()}")
            if time.monotonic() > next_word:
                next_word = time.monotonic() + PROGRESS_SECONDS
                self._say(f"Airflow: rotations done: {self._counts()}")
            for lane in self._lanes:
                try:
                    self._move_on(lane)
                except httpx.TimeoutException:
                    self._say("Airflow: its API did not answer in time; asking again")
            for process in self._airflow.processes.values():
                process.check_alive()
            time.sleep(0.5)

    def _counts(self) -> str:
        return ", ".join(f"{lane.world.combination.name} {len(lane.finished)}" for lane in self._lanes)

    def _move_on(self, lane: _Lane) -> None:
        if lane.run_id is None:
            if lane.left and time.monotonic() >= lane.next_at:
                self._begin(lane)
            return
        state = self._airflow.api.run_state(lane.dag_id, lane.run_id)
        if state not in FINAL_STATES or lane.rotation is None:
            return
        if state == "failed" and lane.rotation.clears < MOST_CLEARS:
            self._clear(lane, lane.rotation, lane.run_id)
            return
        self._end(lane, lane.rotation, lane.run_id, state)

    def _begin(self, lane: _Lane) -> None:
        (webhook,) = lane.world.webhooks
        plan = draw(lane.rng, kills=False, later=False)
        began = int(time.time() * 1000)
        injected = []
        for fault in plan.faults:
            fault_id = lane.world.inject(webhook, fault)
            injected.append(Injected(fault_id, fault.method, fault.name, int(time.time() * 1000), fault.delay))
        lane.run_id = self._airflow.api.trigger(lane.dag_id, {"reason": "make soak"})
        lane.rotation = Rotation(webhook.id, lane.run_id, began=began, quiet=plan.is_quiet, injected=injected)
        lane.left -= 1

    def _clear(self, lane: _Lane, rotation: Rotation, run_id: str) -> None:
        """What the messages of failed tasks ask for."""
        tasks = self._airflow.api.tasks(lane.dag_id, run_id)
        failed = [task_id for task_id, task in tasks.items() if task["state"] == "failed"]
        if {"distributed", "verify_delivery"} & set(failed) or failed == ["outcome"]:
            failed += [task_id for task_id in tasks if task_id.startswith("push.")]
        rotation.clears += 1
        self._airflow.api.clear(lane.dag_id, run_id, failed)

    def _end(self, lane: _Lane, rotation: Rotation, run_id: str, state: str) -> None:
        (webhook,) = lane.world.webhooks
        waiting = lane.world.waiting_faults()
        for injected in rotation.injected:
            injected.met = injected.id not in waiting
            lane.world.remove_fault(injected.id)
        if state == "failed":
            rotation.problems.append(f"the run {run_id} failed in spite of {rotation.clears} clears")
        else:
            report = self._airflow.api.xcom(lane.dag_id, run_id, "report")
            exposures = [one["readable_ms"] for one in report["stores"] if one["readable_ms"] is not None]
            rotation.told_ms, rotation.outcome = max(exposures, default=None), report["outcome"]
        rotation.after, rotation.previous = webhook.stored()
        if rotation.after != lane.world.current(webhook):
            rotation.problems.append("the store differs from Featurebase at the end")
        lane.finished.append(rotation)
        lane.run_id, lane.rotation = None, None
        lane.next_at = time.monotonic() + self._apart
        if not lane.left:
            lane.world.stop_emitting()
