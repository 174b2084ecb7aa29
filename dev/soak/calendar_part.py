"""Plays the calendar in one world: runs months apart, with the clock moved on between them."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dev.soak.calendar import LANES, Lane, year
from dev.soak.calendar_findings import Turn, judge_calendar
from dev.soak.core_part import entry_for, prepare_process
from dev.soak.dag_run import DagRun, SmallAirflow
from dev.soak.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import DAG

    from dev.soak.calendar import Happening
    from dev.soak.calendar_findings import CalendarFigures
    from dev.soak.world import SoakedPair, SoakedWebhook, SoakWorld

CHANGES: dict[str, Any] = {
    "verify": {"timeout": "PT20S", "poll_interval": "PT0.2S"},
    "min_age": "PT12H",  # a day would hold every second daily run: it comes a second too early
}
EVENTS_PER_SECOND = 5.0
RETRIES_OVER = timedelta(hours=7, minutes=15)
"""After this no delivery that was signed before a refresh is tried any more."""
PREVIOUS_OVER = timedelta(hours=9)
"""After this a kept previous secret has had its time (``previous_for`` is PT8H)."""

SubjectT = TypeVar("SubjectT", bound="SoakedWebhook | SoakedPair")


@dataclass(frozen=True)
class CalendarPart:
    """A year of rotations, audits and pauses.

    :param months: how many of them are played.
    """

    months: float

    def __call__(self, world: SoakWorld, step: Callable[[], None]) -> CalendarFigures:
        """Play it in this process, and judge when the last retry of the last event is over."""
        prepare_process(world)
        began = time.monotonic()
        playing = Playing(world)
        asyncio.run(playing.run(year(playing.clock.now(), months=self.months), step))
        return judge_calendar(
            world, playing.turns, days=playing.days, runs=playing.runs, seconds=time.monotonic() - began
        )


class Playing(Generic[SubjectT]):
    """Plays what happens to the webhooks of a world, one after the other."""

    older_run_ends_well = True
    """Whether a cleared run ends well although the secret was refreshed since."""

    def __init__(self, world: SoakWorld) -> None:
        self.world, self.clock = world, Clock(world)
        variables = Variables(world.folder / "variables")
        subjects = self.subjects()
        self._lanes: dict[Lane, SubjectT] = dict(zip(LANES, subjects, strict=True))
        entries = [self.entry(subject) for subject in subjects]
        self.airflows = {
            subject.name: SmallAirflow(self.dag(entry), world.folder / f"{subject.name}.log", variables)
            for subject, entry in zip(subjects, entries, strict=True)
        }
        self._audits = SmallAirflow(_audit_dag(entries), world.folder / "audit.log", variables)
        self._past: dict[str, list[DagRun]] = {subject.name: [] for subject in subjects}
        self.turns: list[Turn] = []
        self.runs = 0
        self.days = 0.0

    def subjects(self) -> Sequence[SubjectT]:
        """The webhooks, or the pairs, one for each lane."""
        return self.world.webhooks  # type: ignore[return-value]

    def entry(self, subject: SubjectT) -> dict[str, Any]:
        """Its entry in the rotation file."""
        return entry_for(self.live(subject), self.world.combination, **CHANGES)

    def dag(self, entry: dict[str, Any]) -> DAG:
        """The entry's Dag."""
        from featurebase_provider.dag_factory import rotation_dag

        return rotation_dag(entry)

    def live(self, subject: SubjectT) -> SoakedWebhook:
        """The webhook that delivers."""
        return subject  # type: ignore[return-value]

    async def run(self, happenings: Sequence[Happening], step: Callable[[], None], *, until: float = math.inf) -> None:
        """Play it.

        :param until: monotonic seconds after which nothing more is begun.
        """
        begin = self.clock.now()
        for happening in happenings:
            if time.monotonic() > until:
                break
            turn = Turn(happening)
            if happening.rotates:
                await self.rotate(turn)
            else:
                await self._hold(turn)
            self.turns.append(turn)
            step()
        self.days = (self.clock.now() - begin).total_seconds() / 86_400
        # The last healing run may have just ended: its events are to be told, too, before they are judged.
        self.clock.to(self.clock.now() + RETRIES_OVER)

    async def rotate(self, turn: Turn) -> None:
        """Let events happen that are in the midst of their retries when the secret is refreshed; then look on."""
        at, webhook = turn.happening.at, self._lanes[turn.happening.lane]
        self.clock.to(at - timedelta(minutes=50))
        self.emit(webhook, fails=(0, 2, 2, 3, 3))
        self.clock.to(at - timedelta(seconds=30))
        self.emit(webhook, fails=(0, 2, 3, 3))
        self.clock.to(at)
        turn.before, (_, turn.previous_before) = self.world.current(self.live(webhook)), webhook.stored()
        refreshes = self._refreshes(webhook)
        await self.refresh(turn, webhook)
        turn.refreshes = self._refreshes(webhook) - refreshes
        turn.after, turn.when_written = self.world.current(self.live(webhook)), webhook.stored()
        written = self.clock.now()
        self.clock.to(written + timedelta(hours=1))
        await self.audit(turn, healing=False)
        self.clock.to(max(at + RETRIES_OVER, self.clock.now()))
        turn.when_retries_are_over = webhook.stored()
        self.clock.to(written + PREVIOUS_OVER)
        await self.audit(turn, healing=True)
        turn.at_the_end = webhook.stored()

    async def refresh(self, turn: Turn, webhook: SubjectT) -> None:
        """Do what is to happen."""
        happening = turn.happening
        if happening.what == "on schedule":
            await self.run_dag(turn, webhook, DagRun(f"scheduled__{happening.name}", due=happening.at))
        elif happening.what == "triggered":
            await self.run_dag(turn, webhook, DagRun(f"manual__{happening.name}"))
        else:
            self.world.refresh(self.live(webhook))
            self.clock.to(happening.at + timedelta(minutes=5))
            self.emit(webhook, fails=(0, 0))
            if happening.what == "at Featurebase, then distributed":
                self.clock.to(happening.at + timedelta(minutes=20))
                await self.run_dag(turn, webhook, DagRun(f"manual__{happening.name}", mode="distribute"))
            else:
                self.clock.to(happening.at + timedelta(hours=3))
                await self.audit(turn, healing=True)

    async def _hold(self, turn: Turn) -> None:
        happening, webhook = turn.happening, self._lanes[turn.happening.lane]
        live = self.live(webhook)
        if happening.what == "tick while the webhook was paused":
            self.clock.to(happening.at - timedelta(days=1))
            self.world.set_status(live, "paused")
        self.clock.to(happening.at)
        turn.before, turn.when_written = self.world.current(live), webhook.stored()
        refreshes = self._refreshes(webhook)
        if happening.what == "older run cleared":
            run = self._past[webhook.name][-1]
            self.airflows[webhook.name].clear(run)
            await self.run_dag(turn, webhook, run, ends_well=self.older_run_ends_well)
        else:
            run = DagRun(f"scheduled__{happening.name}", due=happening.due or happening.at)
            await self.run_dag(turn, webhook, run, ends_well=False)
            turn.held_by = run.states["preflight"]
        turn.refreshes = self._refreshes(webhook) - refreshes
        turn.after, turn.at_the_end = self.world.current(live), webhook.stored()
        if happening.what == "tick while the webhook was paused":
            self.clock.to(happening.at + timedelta(days=1))
            self.world.set_status(live, "active")

    async def run_dag(self, turn: Turn, webhook: SubjectT, run: DagRun, *, ends_well: bool = True) -> None:
        """Run a webhook's Dag while events happen, and count what it did."""
        airflow, told = self.airflows[webhook.name], len(run.told)
        airflow.ahead = self.clock.ahead
        if ends_well:
            body = {"topic": webhook.topic, "count": 1_000_000, "per_second": EVENTS_PER_SECOND}
            self.world.control("POST", "/events", body)
        await airflow.run(run)
        self.world.stop_emitting()
        self.runs += 1
        if run not in self._past[webhook.name] and run.mode == "rotate" and ends_well:
            self._past[webhook.name].append(run)
        turn.problems += [f"a task crashed: {line['error']}" for line in run.told[told:] if line["kind"] == "crashed"]
        if ends_well and run.failed:
            turn.problems.append(f"the run did not end well: {run.errors[-3:]}")

    async def audit(self, turn: Turn, *, healing: bool) -> None:
        """Audit everything, and have mended what can be mended, or find it a problem."""
        from featurebase_provider.audit.report import AuditReport

        run = DagRun(f"audit__{self.clock.now():%Y-%m-%dT%H%M}")
        self._audits.ahead = self.clock.ahead
        await self._audits.run(run)
        self.runs += 1
        if run.failed or run.crashes:
            turn.problems.append(f"the audit did not end well: {run.errors[-1:]}{run.crashes}")
            return
        found = [one for one in AuditReport.from_json(run.xcoms["audit"]).open if one.heals]
        turn.audits += 1
        if found and not healing:
            turn.problems.append(f"an audit found {', '.join(f'{one.kind} ({one.where})' for one in found)}")
            return
        turn.healed += [one.kind for one in found]
        for name in dict.fromkeys(str(one.webhook) for one in found):
            webhook = next(one for one in self._lanes.values() if one.name == name)
            await self.run_dag(turn, webhook, DagRun(f"{run.run_id}__heal", mode="distribute"))

    def emit(self, webhook: SubjectT, *, fails: Sequence[int]) -> None:
        """Let events happen the first attempts of which fail that often, whatever they are signed with."""
        for often in fails:
            item = {"object": "post", "id": "1", "fails": often}
            self.world.control("POST", "/events", {"topic": webhook.topic, "item": item})

    def _refreshes(self, webhook: SubjectT) -> int:
        return sum(line["webhookId"] in webhook.ids for line in self.world.control("GET", "/secrets"))


class Clock:
    """The world's time."""

    def __init__(self, world: SoakWorld) -> None:
        self._world = world
        self.ahead = 0.0

    def now(self) -> datetime:
        """The moment that it is there."""
        return datetime.now(tz=timezone.utc) + timedelta(seconds=self.ahead)

    def to(self, moment: datetime) -> None:
        """Move it on to this moment; what comes due before then is delivered first. One that has passed is now."""
        seconds = max(0.0, (moment - self.now()).total_seconds())
        self.ahead = float(self._world.control("POST", "/clock", {"advance": seconds})["ahead"])


def _audit_dag(entries: Sequence[dict[str, Any]]) -> DAG:
    """The audit alone: what it finds is looked at here."""
    from airflow.sdk import DAG

    from featurebase_provider.operators.audit import AuditWebhooksOperator

    with DAG("featurebase_audit", schedule=None) as dag:
        AuditWebhooksOperator(
            task_id="audit",
            webhooks=entries,
        )
    return dag
