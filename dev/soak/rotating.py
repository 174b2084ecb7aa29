"""What every rotation of the soak without Airflow's daemons has: faults, tasks that people clear, notes of it all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from dev.soak.dag_run import DagRun
from dev.soak.findings import Injected

if TYPE_CHECKING:
    from dev.soak.dag_run import SmallAirflow
    from dev.soak.faults import Fault
    from dev.soak.findings import Rotation
    from dev.soak.world import SoakedWebhook, SoakWorld

MOST_CLEARS = 8
PERSON_SECONDS = 0.3
COMMITS_LATER = 1.0
"""Seconds by which a busy sandbox may commit a refresh later than it was told to."""


class Rotating:
    """One rotation, and what is noted of it.

    :param airflow: runs the webhook's Dag.
    """

    def __init__(self, world: SoakWorld, airflow: SmallAirflow, rotation: Rotation) -> None:
        self.world, self.airflow, self.rotation = world, airflow, rotation
        self.pushes = [task_id for task_id in airflow.dag.task_dict if task_id.startswith("push.")]
        self._runs = 0

    def inject(self, webhook: SoakedWebhook, fault: Fault) -> None:
        """Let a call of the webhook go wrong."""
        fault_id = self.world.inject(webhook, fault)
        self.rotation.injected.append(Injected(fault_id, fault.method, fault.name, now_ms(), fault.delay))

    def to_clear(self, run: DagRun) -> list[str]:
        """What the messages of a run that failed ask to be cleared."""
        raise NotImplementedError

    async def bring_home(self, run: DagRun) -> None:
        """Do what the last message asks for, as often as it takes."""
        for _ in range(MOST_CLEARS):
            if not run.failed:
                return
            await asyncio.sleep(PERSON_SECONDS)
            self.airflow.clear(run, self.to_clear(run))
            run.clears += 1
            await self.airflow.run(run)

    async def clear_all(self, run: DagRun) -> None:
        """Clear the whole run once it has ended, as somebody may."""
        self.airflow.clear(run)
        await self.airflow.run(run)
        await self.bring_home(run)
        self.rotation.cleared_again = True

    async def distribute(self, why: str) -> None:
        """Have a further run of the Dag bring the stores up to date."""
        run = DagRun(f"{self.rotation.run_id}__{why}{self._runs}", mode="distribute")
        self._runs += 1
        await self.airflow.run(run)
        await self.bring_home(run)
        self.take(run)
        if run.failed:
            self.rotation.problems.append(f"distribute did not end well: {run.errors[-3:]}")

    async def settle_faults(self) -> None:
        """Wait until no refresh can take effect late any more; a fault that no call met is not left to the next run."""
        waiting = self.world.waiting_faults()
        for injected in self.rotation.injected:
            injected.met = injected.id not in waiting
            self.world.remove_fault(injected.id)
        last = max(self.rotation.commits_expected, default=0) / 1000
        await asyncio.sleep(max(0.0, last + COMMITS_LATER - time.time()))

    def take(self, run: DagRun) -> None:
        """Note what a run told."""
        rotation = self.rotation
        rotation.kills += run.kills
        rotation.clears += run.clears
        rotation.errors += run.errors
        rotation.problems += [f"a task crashed: {error}" for error in run.crashes]
        rotation.sent += [int(line["at"]) for line in run.told if line["kind"] == "sent"]
        rotation.writes += [(int(line["at"]), line["fingerprint"]) for line in run.told if line["kind"] == "wrote"]


def now_ms() -> int:
    """Unix milliseconds."""
    return int(time.time() * 1000)
