"""One combination's rotations without Airflow's daemons: every webhook again and again, under faults and deaths."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.airflow.world import API_KEY
from dev.soak.combinations import KEY, PREVIOUS_KEY, retry_span
from dev.soak.dag_run import DagRun, SmallAirflow
from dev.soak.faults import draw
from dev.soak.findings import Rotation
from dev.soak.judging import judge
from dev.soak.rotating import Rotating, now_ms
from dev.soak.task_process import watch_http
from dev.soak.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.soak.combinations import Combination
    from dev.soak.faults import Disturbance
    from dev.soak.findings import Figures
    from dev.soak.world import SoakedWebhook, SoakWorld

CONN_ID = "soak"
CALL_TIMEOUT = 1.0
"""Seconds that a call of the API may take. With it, the grace below and the pause between tries, a try that got no
answer and the next one's watch take about 5.2 s; what commits later meets a second refresh."""
ENTRY: dict[str, Any] = {
    "featurebase_conn_id": CONN_ID,
    "retries": 3,
    "refresh_grace": "PT2S",
    "push_retries": 5,
    "probe": {"timeout": "PT10S", "interval": "PT0.1S", "steady": "PT0S"},
    "verify": {"timeout": "PT20S", "poll_interval": "PT0.3S"},
}
MARGIN = 1.5


def entry_for(webhook: SoakedWebhook, combination: Combination, **changes: Any) -> dict[str, Any]:
    """The webhook's entry in the rotation file."""
    store = {"type": "object_storage", "path": str(webhook.secret_file), "format": "dotenv", "key": KEY}
    if combination.keeps_previous:
        store["previous_key"] = PREVIOUS_KEY
    return {**ENTRY, "name": webhook.name, "webhook_id": webhook.id, "stores": [store], **changes}


def connection(world: SoakWorld) -> dict[str, Any]:
    """The Airflow connection to the combination's Featurebase."""
    return {"conn_type": "featurebase", "host": world.url, "password": API_KEY, "extra": {"timeout": CALL_TIMEOUT}}


def prepare_process(world: SoakWorld) -> None:
    """Make this process and those forked from it find the world's Featurebase, and watch what they call."""
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(connection(world))
    watch_http()


@dataclass(frozen=True)
class CorePart:
    """Rotates the webhooks of a world so many times.

    :param rotations: how many in all.
    :param speed: of the sandbox's retries. Two refreshes of a webhook are further apart than the retries of an event
        last, as they are in real life.
    """

    rotations: int
    speed: float
    seed: int
    events_per_second: float

    def __call__(self, world: SoakWorld, step: Callable[[], None]) -> Figures:
        """Rotate in this process, and judge when the last retry of the last event is over."""
        prepare_process(world)
        began = time.monotonic()
        world.emit(per_second=self.events_per_second)
        rotating = _World(world, rotations=self.rotations, speed=self.speed, seed=self.seed, step=step)
        asyncio.run(rotating.run())
        return judge(world, rotating.finished, seconds=time.monotonic() - began)


class _World:
    """Rotates each webhook of a world again and again."""

    def __init__(self, world: SoakWorld, *, rotations: int, speed: float, seed: int, step: Callable[[], None]) -> None:
        self._world, self._rotations, self._seed, self._step = world, rotations, seed, step
        self._apart = retry_span(speed) + MARGIN
        self.finished: list[Rotation] = []

    async def run(self) -> None:
        per_webhook, more = divmod(self._rotations, len(self._world.webhooks))
        await asyncio.gather(
            *(
                self._rotate_often(number, webhook, per_webhook + (number < more))
                for number, webhook in enumerate(self._world.webhooks)
            )
        )
        self._world.stop_emitting()
        await asyncio.sleep(self._apart)

    async def _rotate_often(self, number: int, webhook: SoakedWebhook, rotations: int) -> None:
        from featurebase_provider.dag_factory import rotation_dag

        rng = random.Random(f"{self._seed}:{self._world.combination.name}:{webhook.name}")  # noqa: S311 - a test's dice
        dag = rotation_dag(entry_for(webhook, self._world.combination))
        variables = Variables(self._world.folder / "variables")
        airflow = SmallAirflow(dag, self._world.folder / f"{webhook.name}.log", variables)
        await asyncio.sleep(number * self._apart / len(self._world.webhooks))
        for index in range(rotations):
            rotation = await _Rotating(self._world, webhook, airflow, draw(rng), f"manual__{index}").run()
            self.finished.append(rotation)
            self._step()
            quiet_from = max([rotation.began, *rotation.commits_expected]) / 1000 + self._apart
            await asyncio.sleep(max(0.0, quiet_from - time.time()))


class _Rotating(Rotating):
    """One rotation with everything that goes wrong in it, until it is over."""

    def __init__(
        self, world: SoakWorld, webhook: SoakedWebhook, airflow: SmallAirflow, plan: Disturbance, run_id: str
    ) -> None:
        super().__init__(world, airflow, Rotation(webhook.id, run_id, began=now_ms(), quiet=plan.is_quiet))
        self._webhook, self._plan = webhook, plan
        self._dag_run = DagRun(run_id)

    async def run(self) -> Rotation:
        rotation, run = self.rotation, self._dag_run
        for fault in self._plan.faults:
            self.inject(self._webhook, fault)
        await self.airflow.run(run, kill=self._plan.kill)
        await self.bring_home(run)
        if self._plan.clear_all:
            await self.clear_all(run)
        self.take(run)
        await self.settle_faults()
        await self._audit()
        if run.failed:
            rotation.problems.append(f"the run did not end well: {run.errors[-3:]}")
        rotation.outcome = str((run.xcoms.get("report") or {}).get("outcome"))
        rotation.after, rotation.previous = self._webhook.stored()
        rotation.ended = now_ms()
        return rotation

    def to_clear(self, run: DagRun) -> list[str]:
        """What the last message asks to be cleared: the failed tasks, or the push tasks."""
        last = [error for error in run.errors if not error.startswith("outcome")][-1:]
        late = run.failed == ["outcome"] or any("Clear the" in error and "push" in error for error in last)
        return self.pushes if late else run.failed

    async def _audit(self) -> None:
        """Compare as the daily audit does, and have a store that differs brought up to date."""
        rotation = self.rotation
        for _ in range(3):
            current = self.world.current(self._webhook)
            stored, previous = self._webhook.stored()
            if stored == current:
                if previous == current:
                    rotation.problems.append("the previous secret is the current one")
                return
            await self.distribute("heal")
            rotation.healed += 1
        rotation.problems.append("the store differs from Featurebase at the end")
