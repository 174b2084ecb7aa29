"""One act of the demo: a rotation by one strategy, while events flow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dev.airflow.processes import DemoError, wait_for
from dev.demo.figures import Figures, make_figures
from dev.demo.timeline import make_timeline

if TYPE_CHECKING:
    from dev.airflow.local_airflow import LocalAirflow
    from dev.airflow.world import Receiver, World
    from dev.demo.story import Story

EVENTS_PER_SECOND = 20.0
EVENT_SECONDS = 170.0
RUN_SECONDS = 150.0
SPEED = 30.0


@dataclass(frozen=True)
class Act:
    """A rotation by one strategy.

    :param strategy: ``refresh`` or ``overlap``.
    :param receiver: the receiver, and its webhooks.
    """

    strategy: str
    dag_id: str
    receiver: Receiver

    def play(self, world: World, airflow: LocalAirflow, story: Story) -> tuple[Figures, list[str]]:
        """Trigger the Dag while events flow, and report.

        :returns: the figures, and what is not as it should be.
        :raises DemoError: there is nothing to report.
        """
        story.act(self.strategy)
        story.step(f"{EVENTS_PER_SECOND:.0f} events a second flow from Featurebase to the receiver")
        world.emit(per_second=EVENTS_PER_SECOND, seconds=EVENT_SECONDS, topic=self.receiver.topic)
        calls_before = len(world.requests())
        airflow.api.unpause(self.dag_id)
        run_id = airflow.api.trigger(self.dag_id, {"mode": "rotate", "reason": "make demo"})
        story.step(f"Triggered {self.dag_id} through Airflow's REST API")
        for task_id, state in airflow.api.follow(self.dag_id, run_id, seconds=RUN_SECONDS):
            story.task(task_id, state)
        run = airflow.api.run(self.dag_id, run_id)
        story.step(f"The Dag run ended: {run['state']}")
        time.sleep(2)
        world.stop_emitting()
        wait_for(
            "the delivery of every event", lambda: all(event["delivered"] for event in self._events(world)), seconds=30
        )
        calls = world.requests()[calls_before:]
        rotation: dict[str, Any] = airflow.api.xcom(self.dag_id, run_id, "report")
        used_at = self._first_use(calls, rotation)
        events, deliveries = self._events(world), self._deliveries(world)
        figures = make_figures(
            events=events,
            deliveries=deliveries,
            received=world.received(self.receiver),
            used_at=used_at,
            fingerprint=rotation["after"],
            api_calls=len(calls),
            seconds=_seconds_of(run),
        )
        timeline = make_timeline(events, deliveries, refreshed_at=used_at, fingerprint=rotation["after"])
        tasks = airflow.api.tasks(self.dag_id, run_id)
        story.report(self.strategy, rotation=rotation, timeline=timeline, figures=figures, tasks=tasks, speed=SPEED)
        return figures, self._problems(rotation, figures, run["state"], airflow)

    def _first_use(self, calls: list[dict[str, Any]], rotation: dict[str, Any]) -> int:
        """Server time (Unix milliseconds) of the call after which Featurebase signed with the new secret.

        For a single webhook this is its refresh. The refreshed half of a pair signs nothing until it is set active.
        """
        changes = [call for call in calls if call["committed"]]
        refreshes = [call for call in changes if call["path"].endswith("/secret")]
        if len(refreshes) != 1:
            raise DemoError(f"{len(refreshes)} secrets were refreshed, not one: {rotation['advice']}")
        used = refreshes
        if self.strategy == "overlap":
            refreshed = refreshes[0]["path"].removesuffix("/secret")
            used = [call for call in changes if call["method"] == "PATCH" and call["path"] == refreshed]
        if not used:
            raise DemoError(f"the deliveries did not move: {rotation['advice']}")
        return int(used[0]["at"])

    def _events(self, world: World) -> list[dict[str, Any]]:
        return [event for event in world.events() if event["topic"] == self.receiver.topic]

    def _deliveries(self, world: World) -> list[dict[str, Any]]:
        return [attempt for attempt in world.deliveries() if attempt["webhookId"] in self.receiver.webhook_ids]

    def _problems(self, rotation: dict[str, Any], figures: Figures, state: str, airflow: LocalAirflow) -> list[str]:
        problems = []
        if state != "success":
            problems.append(f"the Dag run ended as {state}; read {airflow.home}/logs")
        if figures.lost:
            problems.append(f"{figures.lost} events were never accepted; read {self.receiver.secret_file.parent}")
        if rotation["outcome"] != "rotated":
            problems.append(f"the outcome is {rotation['outcome']!r}: {rotation['advice']}")
        if rotation["before"] == rotation["after"]:
            problems.append("the secret did not change")
        if any(store["fingerprint"] != rotation["after"] for store in rotation["stores"]):
            problems.append("a store does not hold the new secret")
        if self.strategy == "overlap":
            if figures.refused:
                problems.append(f"{figures.refused} deliveries were refused, where none may be")
            if figures.known_after_ms is None or figures.known_after_ms > 0:
                problems.append("Featurebase used the new secret before the receiver accepted it")
            first, second = self.receiver.webhook_ids
            if rotation["pair"]["statuses"] != {first: "paused", second: "active"}:
                problems.append(f"the deliveries did not move: {rotation['pair']['statuses']}")
        return [f"strategy {self.strategy}: {problem}" for problem in problems]


def _seconds_of(run: dict[str, Any]) -> float:
    begun, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (ended - begun).total_seconds()
