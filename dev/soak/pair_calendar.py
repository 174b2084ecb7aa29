"""Plays the calendar with pairs: rotations months apart, what people do in between, and drains that audits begin."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dev.soak.calendar import PAIR_BY_HAND, year
from dev.soak.calendar_part import CHANGES, PREVIOUS_OVER, Playing
from dev.soak.core_part import prepare_process
from dev.soak.dag_run import DagRun
from dev.soak.pair_calendar_findings import judge_pair_calendar
from dev.soak.pair_part import pair_dag, pair_entry
from dev.soak.timeline import Written
from dev.soak.world import SoakedPair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import DAG

    from dev.soak.calendar import Happening
    from dev.soak.calendar_findings import Turn
    from dev.soak.pair_calendar_findings import PairCalendarFigures
    from dev.soak.world import SoakedWebhook, SoakWorld

PENDING = timedelta(seconds=3)
"""The tasks wait in real time, in which nobody moves the clock."""
MORE_AUDITS = 2
LOST_TASKS = ("cut_over", "verify_delivery", "report", "outcome")


@dataclass(frozen=True)
class PairCalendarPart:
    """A year of rotations of pairs, audits and drains.

    :param months: how many of them are played.
    :param until: monotonic seconds after which nothing more is begun.
    """

    months: float
    until: float

    def __call__(self, world: SoakWorld, step: Callable[[], None]) -> PairCalendarFigures:
        """Play it in this process, and judge when the last retry of the last event is over."""
        prepare_process(world)
        began = time.monotonic()
        writes = {pair.name: [Written(0, 0, pair.stored())] for pair in world.pairs}
        playing = _PlayingPairs(world)
        playing.writes = writes
        asyncio.run(playing.run(pair_year(playing.clock.now(), self.months), step, until=self.until))
        figures = judge_pair_calendar(world, playing.turns, writes)
        figures.days, figures.runs = round(playing.days, 1), playing.runs
        figures.seconds = round(time.monotonic() - began, 1)
        return figures


def pair_year(begin: datetime, months: float) -> list[Happening]:
    """What happens to pairs. None is rotated daily: its stores might not be drained in between."""
    return [one for one in year(begin, months=months, by_hand=PAIR_BY_HAND) if one.lane != "daily"]


class _PlayingPairs(Playing[SoakedPair]):
    older_run_ends_well = False
    """A later plan has replaced it, so it must not move the deliveries."""
    writes: dict[str, list[Written]]

    def subjects(self) -> Sequence[SoakedPair]:
        return self.world.pairs

    def entry(self, subject: SoakedPair) -> dict[str, Any]:
        return pair_entry(subject, self.world, **CHANGES)

    def dag(self, entry: dict[str, Any]) -> DAG:
        return pair_dag(entry, pending=PENDING)

    def live(self, subject: SoakedPair) -> SoakedWebhook:
        return next(half for half in subject.halves if self.world.status(half) == "active")

    async def rotate(self, turn: Turn) -> None:
        """After ``previous_for`` both places hold the live secret; after another one, the second is empty.

        ``previous_for`` begins with the last delivery of the paused half, which may be a retry hours after the pause.
        """
        await super().rotate(turn)
        turn.drain.append(turn.at_the_end)
        for _ in range(MORE_AUDITS):
            self.clock.to(self.clock.now() + PREVIOUS_OVER)
            await self.audit(turn, healing=True)
            turn.drain.append(self._lanes[turn.happening.lane].stored())
        turn.at_the_end = turn.drain[-1]

    async def refresh(self, turn: Turn, webhook: SoakedPair) -> None:
        what, live = turn.happening.what, self.live(webhook)
        (standby,) = (half for half in webhook.halves if half is not live)
        if what == "triggered, then reverted":
            await self.run_dag(turn, webhook, DagRun(f"manual__{turn.happening.name}"))
            self.clock.to(turn.happening.at + timedelta(hours=4))
            await self.run_dag(turn, webhook, DagRun(f"manual__{turn.happening.name}__back", mode="revert"))
        elif what == "standby refreshed at Featurebase":
            self.world.refresh(standby)
        elif what == "both set active at Featurebase":
            self.world.set_status(standby, "active")
            self.clock.to(turn.happening.at + timedelta(hours=3))
            await self.audit(turn, healing=True)
            self.emit(webhook, fails=(0, 0))
            self.world.set_status(standby, "paused")
        elif what == "run lost after activate":
            run = DagRun(f"manual__{turn.happening.name}", states=dict.fromkeys(LOST_TASKS, "failed"))
            await self.run_dag(turn, webhook, run, ends_well=False)
            self.emit(webhook, fails=(0, 0, 1))
            self.clock.to(turn.happening.at + timedelta(hours=3))
            await self.audit(turn, healing=True)
        else:
            await super().refresh(turn, webhook)

    async def run_dag(self, turn: Turn, webhook: SoakedPair, run: DagRun, *, ends_well: bool = True) -> None:
        """Note the writes, too."""
        told = len(run.told)
        await super().run_dag(turn, webhook, run, ends_well=ends_well)
        self.writes[webhook.name] += [
            Written(int(line["began"]), int(line["at"]), (line["fingerprint"], line["previous"]))
            for line in run.told[told:]
            if line["kind"] == "wrote"
        ]
