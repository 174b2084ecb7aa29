"""Plays the calendar in one world: runs months apart, with the clock moved on between them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from dev.soak.calendar import LANES, year
from dev.soak.calendar_findings import Turn, judge_calendar
from dev.soak.core_part import entry_for, prepare_process
from dev.soak.dag_run import DagRun, SmallAirflow
from dev.soak.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import DAG

    from dev.soak.calendar_findings import CalendarFigures
    from dev.soak.world import SoakedWebhook, SoakWorld

CHANGES: dict[str, Any] = {
    "verify": {"timeout": "PT20S", "poll_interval": "PT0.2S"},
    "min_age": "PT12H",  # a day would hold every second daily run: it comes a second too early
}
EVENTS_PER_SECOND = 5.0
RETRIES_OVER = timedelta(hours=7, minutes=15)
"""After this no delivery that was signed before a refresh is tried any more."""
PREVIOUS_OVER = timedelta(hours=9)
"""After this a kept previous secret has had its time (``previous_for`` is PT8H)."""


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
        playing = _Playing(world)
        asyncio.run(playing.run(self.months, step))
        return judge_calendar(
            world, playing.turns, days=playing.days, runs=playing.runs, seconds=time.monotonic() - began
        )


class _Playing:
    def __init__(self, world: SoakWorld) -> None:
        self._world = world
        self._clock = _Clock(world)
        variables = Variables(world.folder / "variables")
        self._webhooks = dict(zip(LANES, world.webhooks, strict=True))
        entries = [entry_for(webhook, world.combination, **CHANGES) for webhook in world.webhooks]
        self._airflows = {
            webhook.name: SmallAirflow(_rotation_dag(entry), world.folder / f"{webhook.name}.log", variables)
            for webhook, entry in zip(world.webhooks, entries, strict=True)
        }
        self._audits = SmallAirflow(_audit_dag(entries), world.folder / "audit.log", variables)
        self._past: dict[str, list[DagRun]] = {webhook.name: [] for webhook in world.webhooks}
        self.turns: list[Turn] = []
        self.runs = 0
        self.days = 0.0

    async def run(self, months: float, step: Callable[[], None]) -> None:
        begin = self._clock.now()
        for happening in year(begin, months=months):
            turn = Turn(happening)
            if happening.rotates:
                await self._rotate(turn)
            else:
                await self._hold(turn)
            self.turns.append(turn)
            step()
        self.days = (self._clock.now() - begin).total_seconds() / 86_400

    async def _rotate(self, turn: Turn) -> None:
        """Let events happen that are in the midst of their retries when the secret is refreshed; then look on."""
        at, webhook = turn.happening.at, self._webhooks[turn.happening.lane]
        self._clock.to(at - timedelta(minutes=50))
        self._emit(webhook, fails=(0, 2, 2, 3, 3))
        self._clock.to(at - timedelta(seconds=30))
        self._emit(webhook, fails=(0, 2, 3, 3))
        self._clock.to(at)
        turn.before, (_, turn.previous_before) = self._world.current(webhook), webhook.stored()
        refreshes = self._refreshes(webhook)
        await self._refresh(turn, webhook)
        turn.refreshes = self._refreshes(webhook) - refreshes
        turn.after, turn.when_written = self._world.current(webhook), webhook.stored()
        written = self._clock.now()
        self._clock.to(written + timedelta(hours=1))
        await self._audit(turn, healing=False)
        self._clock.to(max(at + RETRIES_OVER, self._clock.now()))
        turn.when_retries_are_over = webhook.stored()
        self._clock.to(written + PREVIOUS_OVER)
        await self._audit(turn, healing=True)
        turn.at_the_end = webhook.stored()

    async def _refresh(self, turn: Turn, webhook: SoakedWebhook) -> None:
        happening = turn.happening
        if happening.what == "on schedule":
            await self._run(turn, webhook, DagRun(f"scheduled__{happening.name}", due=happening.at))
        elif happening.what == "triggered":
            await self._run(turn, webhook, DagRun(f"manual__{happening.name}"))
        else:
            self._world.refresh(webhook)
            self._clock.to(happening.at + timedelta(minutes=5))
            self._emit(webhook, fails=(0, 0))
            if happening.what == "at Featurebase, then distributed":
                self._clock.to(happening.at + timedelta(minutes=20))
                await self._run(turn, webhook, DagRun(f"manual__{happening.name}", mode="distribute"))
            else:
                self._clock.to(happening.at + timedelta(hours=3))
                await self._audit(turn, healing=True)

    async def _hold(self, turn: Turn) -> None:
        happening, webhook = turn.happening, self._webhooks[turn.happening.lane]
        if happening.what == "tick while the webhook was paused":
            self._clock.to(happening.at - timedelta(days=1))
            self._world.api("PATCH", webhook.path, json={"status": "paused"}).raise_for_status()
        self._clock.to(happening.at)
        turn.before, turn.when_written = self._world.current(webhook), webhook.stored()
        refreshes = self._refreshes(webhook)
        if happening.what == "older run cleared":
            run = self._past[webhook.name][-1]
            self._airflows[webhook.name].clear(run)
            await self._run(turn, webhook, run)
        else:
            run = DagRun(f"scheduled__{happening.name}", due=happening.due or happening.at)
            await self._run(turn, webhook, run, ends_well=False)
            turn.held_by = run.states["preflight"]
        turn.refreshes = self._refreshes(webhook) - refreshes
        turn.after, turn.at_the_end = self._world.current(webhook), webhook.stored()
        if happening.what == "tick while the webhook was paused":
            self._clock.to(happening.at + timedelta(days=1))
            self._world.api("PATCH", webhook.path, json={"status": "active"}).raise_for_status()

    async def _run(self, turn: Turn, webhook: SoakedWebhook, run: DagRun, *, ends_well: bool = True) -> None:
        """Run a webhook's Dag while events happen, and count what it did."""
        airflow, told = self._airflows[webhook.name], len(run.told)
        airflow.ahead = self._clock.ahead
        if ends_well:
            body = {"topic": webhook.topic, "count": 1_000_000, "per_second": EVENTS_PER_SECOND}
            self._world.control("POST", "/events", body)
        await airflow.run(run)
        self._world.stop_emitting()
        self.runs += 1
        if run not in self._past[webhook.name] and run.mode == "rotate" and ends_well:
            self._past[webhook.name].append(run)
        turn.problems += [f"a task crashed: {line['error']}" for line in run.told[told:] if line["kind"] == "crashed"]
        if ends_well and run.failed:
            turn.problems.append(f"the run did not end well: {run.errors[-3:]}")

    async def _audit(self, turn: Turn, *, healing: bool) -> None:
        """Audit everything, and have mended what can be mended, or find it a problem."""
        from featurebase_provider.audit.report import AuditReport

        run = DagRun(f"audit__{self._clock.now():%Y-%m-%dT%H%M}")
        self._audits.ahead = self._clock.ahead
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
            webhook = next(one for one in self._world.webhooks if one.name == name)
            await self._run(turn, webhook, DagRun(f"{run.run_id}__heal", mode="distribute"))

    def _emit(self, webhook: SoakedWebhook, *, fails: Sequence[int]) -> None:
        """Let events happen the first attempts of which fail that often, whatever they are signed with."""
        for often in fails:
            item = {"object": "post", "id": "1", "fails": often}
            self._world.control("POST", "/events", {"topic": webhook.topic, "item": item})

    def _refreshes(self, webhook: SoakedWebhook) -> int:
        return sum(line["webhookId"] == webhook.id for line in self._world.control("GET", "/secrets"))


class _Clock:
    """The world's time."""

    def __init__(self, world: SoakWorld) -> None:
        self._world = world
        self.ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(tz=timezone.utc) + timedelta(seconds=self.ahead)

    def to(self, moment: datetime) -> None:
        """Move it on to this moment; what comes due before then is delivered first. One that has passed is now."""
        seconds = max(0.0, (moment - self.now()).total_seconds())
        self.ahead = float(self._world.control("POST", "/clock", {"advance": seconds})["ahead"])


def _rotation_dag(entry: dict[str, Any]) -> DAG:
    from featurebase_provider.dag_factory import rotation_dag

    return rotation_dag(entry)


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
