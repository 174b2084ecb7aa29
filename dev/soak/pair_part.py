"""One combination's rotations of pairs without Airflow's daemons, under faults, deaths, and people who intervene."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dev.soak.combinations import RETRY_DELAYS, retry_span
from dev.soak.core_part import MARGIN, entry_for, prepare_process
from dev.soak.dag_run import DagRun, SmallAirflow
from dev.soak.findings import Rotation
from dev.soak.pair_faults import draw_pair
from dev.soak.pair_findings import PairNotes, judge_pairs
from dev.soak.rotating import Rotating, now_ms
from dev.soak.task_process import Meanwhile
from dev.soak.timeline import Written
from dev.soak.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import DAG

    from dev.soak.pair_faults import PairDisturbance
    from dev.soak.pair_findings import PairFigures
    from dev.soak.world import SoakedPair, SoakedWebhook, SoakWorld

PROBE_EVENTS = 5
PREVIOUS_FOR = timedelta(seconds=20)
"""Longer than an event's retries last at the usual speed, and long enough to begin the way back within it."""
MOST_DRAINS = 4
MAY_REMAIN = "may still be in"
"""How the report says that a store may still hold a secret that was to be taken back."""


def pair_entry(pair: SoakedPair, world: SoakWorld, **changes: Any) -> dict[str, Any]:
    """The pair's entry in the rotation file."""
    entry = entry_for(
        pair.halves[0],
        world.combination,
        strategy="overlap",
        webhook_ids=list(pair.ids),
        probe={"timeout": "PT10S", "interval": "PT0.1S", "steady": "PT1S"},
        overlap={"first_delivery": "PT1M", "pending": "PT1M"},
        verify={"timeout": "PT2S", "poll_interval": "PT0.3S"},
    )
    del entry["webhook_id"]
    return {**entry, **changes}


def pair_dag(entry: dict[str, Any], **times: timedelta) -> DAG:
    """The pair's Dag, with fewer probe events and shorter times than a rotation file can ask for.

    :param times: the tasks' ``previous_for`` or ``pending``.
    """
    from featurebase_provider.dag_factory import rotation_dag

    dag = rotation_dag(entry)
    for task in dag.tasks:
        options: Any = getattr(task, "probe_options", None)
        if options:
            options["successes"] = PROBE_EVENTS
        for name, value in times.items():
            if hasattr(task, name):
                setattr(task, name, value)
    return dag


@dataclass(frozen=True)
class PairPart:
    """Rotates the pairs of a world so many times.

    :param rotations: how many in all.
    :param speed: of the sandbox's retries. ``previous_for`` is as many times shorter.
    :param until: monotonic seconds after which no rotation is begun.
    """

    rotations: int
    speed: float
    seed: int
    events_per_second: float
    until: float

    def __call__(self, world: SoakWorld, step: Callable[[], None]) -> PairFigures:
        """Rotate in this process, and judge when the last retry of the last event is over."""
        prepare_process(world)
        began = time.monotonic()
        notes = {pair.name: PairNotes(pair, [Written(0, 0, pair.stored())]) for pair in world.pairs}
        world.emit(per_second=self.events_per_second)
        asyncio.run(self._run(world, notes, step))
        return judge_pairs(world, list(notes.values()), seconds=time.monotonic() - began)

    async def _run(self, world: SoakWorld, notes: dict[str, PairNotes], step: Callable[[], None]) -> None:
        per_pair, more = divmod(self.rotations, len(world.pairs))
        await asyncio.gather(
            *(
                self._rotate_often(world, notes[pair.name], per_pair + (number < more), step)
                for number, pair in enumerate(world.pairs)
            )
        )
        world.stop_emitting()
        await asyncio.sleep(retry_span(self.speed) + MARGIN)

    async def _rotate_often(self, world: SoakWorld, notes: PairNotes, rotations: int, step: Callable[[], None]) -> None:
        pair = notes.pair
        rng = random.Random(f"{self.seed}:{world.combination.name}:{pair.name}")  # noqa: S311 - a test's dice
        previous_for = max(PREVIOUS_FOR, timedelta(seconds=retry_span(self.speed) + MARGIN))
        # Long enough for the retry that a receiver's hiccup makes necessary, as PT1H is in real life.
        pending = timedelta(seconds=sum(RETRY_DELAYS[:2]) / self.speed + MARGIN)
        dag = pair_dag(pair_entry(pair, world), previous_for=previous_for, pending=pending)
        airflow = SmallAirflow(dag, world.folder / f"{pair.name}.log", Variables(world.folder / "variables"))
        await asyncio.sleep(number_of(pair) * 2.0)
        for index in range(rotations):
            if time.monotonic() > self.until:
                return
            rotating = _RotatingPair(world, notes, airflow, draw_pair(rng), f"manual__{index}", previous_for)
            await rotating.run()
            step()


def number_of(pair: SoakedPair) -> int:
    """Which of the world's pairs it is."""
    return int(pair.name.rpartition("-")[2])


class _RotatingPair(Rotating):
    """One rotation with everything that goes wrong in it, perhaps the way back, and the drain."""

    def __init__(
        self,
        world: SoakWorld,
        notes: PairNotes,
        airflow: SmallAirflow,
        plan: PairDisturbance,
        run_id: str,
        previous_for: timedelta,
    ) -> None:
        super().__init__(world, airflow, Rotation(notes.pair.name, run_id, began=now_ms(), quiet=plan.is_quiet))
        self._notes, self._pair, self._plan = notes, notes.pair, plan
        self._previous_for = previous_for.total_seconds()
        notes.rotations.append(self.rotation)
        (self._live,) = self._active()
        (self._standby,) = (half for half in self._pair.halves if half is not self._live)

    async def run(self) -> None:
        plan, rotation = self._plan, self.rotation
        for which, fault in plan.faults:
            self.inject(self._live if which == "live" else self._standby, fault)
        before = self._pair.stored()
        run = DagRun(rotation.run_id)
        await self.airflow.run(run, kill=plan.kill, meanwhile=self._by_hand())
        await self._let_late_calls_end()
        self._check_taken_back(run, before)
        stopped = run.failed and any("deliveries of webhook" in error and "fail" in error for error in run.errors)
        intervened = [line for line in run.told if line["kind"] == "meanwhile"]
        if not intervened and not stopped:
            await self.bring_home(run)
        if plan.clear_all and not stopped:
            await self.clear_all(run)
        self.take(run)
        await self.settle_faults()
        rotation.outcome = str((run.xcoms.get("report") or {}).get("outcome"))
        if intervened and plan.by_hand is not None:
            self._notes.by_hand.append(plan.by_hand.name)
            await self._recover()
        elif stopped:
            self._notes.explained.append(f"{rotation.run_id} of {self._pair.name}: {run.errors[-1]}")
            await self._recover()
        elif not run.failed:
            self._check_moved(before)
            if plan.reverts:
                await self._revert()
        else:
            rotation.problems.append(f"the run did not end well: {run.errors[-3:]}")
            await self._recover()
        await self._drain()
        rotation.after, rotation.previous = self._pair.stored()
        rotation.ended = now_ms()

    def to_clear(self, run: DagRun) -> list[str]:
        """What the messages ask for: all after preflight, if the stores were brought back; else what failed."""
        back = ((run.xcoms.get("report") or {}).get("pair") or {}).get("taken_back")
        if back is not None and run.states.get("rotate") == "success":
            return ["rotate"]
        last = [error for error in run.errors if not error.startswith("outcome")][-1:]
        late = run.failed == ["outcome"] or any("push tasks" in error for error in last)
        return self.pushes if late else run.failed

    def take(self, run: DagRun) -> None:
        """Note the writes with both secrets, too."""
        super().take(run)
        self._notes.writes += [
            Written(int(line["began"]), int(line["at"]), (line["fingerprint"], line["previous"]))
            for line in run.told
            if line["kind"] == "wrote"
        ]

    def _by_hand(self) -> dict[str, Meanwhile]:
        by_hand = self._plan.by_hand
        if by_hand is None:
            return {}
        half = self._live if by_hand.half == "live" else self._standby
        return {by_hand.task_id: Meanwhile(by_hand.step, lambda: self._act(by_hand.act, half))}

    def _act(self, act: str, half: SoakedWebhook) -> None:
        if act == "refresh":
            self.world.refresh(half)
        else:
            self.world.set_status(half, "active" if act == "set active" else "paused")

    async def _let_late_calls_end(self) -> None:
        delays = [one.delay for one in self.rotation.injected if one.method != "GET"]
        await asyncio.sleep(max(delays, default=0.0))

    def _check_taken_back(self, run: DagRun, before: tuple[str | None, str | None]) -> None:
        """A run that failed before it set the standby active leaves everything as it was, or says what it left."""
        if run.states.get("activate") != "upstream_failed" or self._plan.by_hand is not None:
            return
        self._notes.taken_back += 1
        current, previous = self._pair.stored()
        if current != before[0]:
            self.rotation.problems.append("a run that failed before activate changed current")
        report = run.xcoms.get("report") or {}
        said = f"{report.get('advice')} {(report.get('pair') or {}).get('taken_back')}"
        if previous not in (None, *before) and MAY_REMAIN not in said:
            self.rotation.problems.append(
                f"a run that failed before activate left {previous} and did not say so: {said}"
            )

    def _check_moved(self, before: tuple[str | None, str | None]) -> None:
        """The deliveries are with the other half, and the stores hold both secrets, each in its place."""
        wanted = (before[0], self.world.current(self._standby))
        if self._active() != [self._standby]:
            self.rotation.problems.append(f"after the run, active is {[half.id for half in self._active()]}")
        # On a slow machine previous_for may be over already, if the finished run was cleared.
        if self._pair.stored() not in (wanted, (wanted[1], wanted[1])):
            self.rotation.problems.append(f"after the run, the store holds {self._pair.stored()}, not {wanted}")

    async def _revert(self) -> None:
        """Go back, which refreshes nothing and leaves the stores as they are."""
        held, secrets = self._pair.stored(), [self.world.current(half) for half in self._pair.halves]
        run = DagRun(f"{self.rotation.run_id}__back", mode="revert")
        await self.airflow.run(run)
        if any("has been drained" in error for error in run.errors):
            self._notes.explained.append(
                f"{run.run_id} of {self._pair.name}: the machine was too slow: {run.errors[0]}"
            )
            return
        await self.bring_home(run)
        self.take(run)
        self._notes.reverted += 1
        if run.failed or self._active() != [self._live]:
            self.rotation.problems.append(f"revert did not go back: {run.errors[-2:]}")
        if (self._pair.stored(), [self.world.current(half) for half in self._pair.halves]) != (held, secrets):
            self.rotation.problems.append("revert changed a secret or a store")

    async def _recover(self) -> None:
        """What the messages and the audit ask of people: one half is active, and the stores hold its secret."""
        await self.distribute("heal")
        self.rotation.healed += 1
        active = self._active()
        if len(active) == 1:
            return
        stays = next((half for half in self._pair.halves if half in active), self._live)
        for half in self._pair.halves:
            wanted = "active" if half is stays else "paused"
            if self.world.status(half) != wanted:
                self.world.set_status(half, wanted)
        await self.distribute("heal")

    async def _drain(self) -> None:
        """Wait until nothing that the paused half signed can arrive, and let the stores forget its secret."""
        (live,) = self._active()
        current = self.world.current(live)
        ends = [(current, None), (current, current)][: 3 - self._plan.drains]
        for _ in range(MOST_DRAINS):
            await asyncio.sleep(self._previous_for)
            await self.distribute("drain")
            self._notes.drains += 1
            if self._pair.stored() in ends:
                return
        self.rotation.problems.append(
            f"the stores were not drained: they hold {self._pair.stored()}, live is {current}"
        )

    def _active(self) -> list[SoakedWebhook]:
        return [half for half in self._pair.halves if self.world.status(half) == "active"]
