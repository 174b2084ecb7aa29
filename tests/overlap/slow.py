"""Receivers that are slow to know a new secret, and a rotation by each strategy with one of them."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.overlap.replicas import Replicas
from tests.world.pair import PREVIOUS_KEY, PairWorld

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow, Run

SCALE = 10
"""How many times shorter than in the words below every duration is: what receivers take, and what the file sets."""
EVENTS_PER_SECOND = 20.0
MINUTE = 60.0 / SCALE
FASTEST = 100_000.0
"""The speed of retries after the run, so that the test need not wait for them."""


@dataclass(frozen=True)
class SlowReceiver:
    """A kind of receiver.

    :param words: for the table.
    :param replicas: how many, behind a balancer that picks one at random for each connection.
    :param reload_minutes: how often each reads the file again; infinity: never.
    :param restarts: whether somebody who listens to the asset ``signing-secret`` restarts the replicas.
    :param two_secrets: whether it accepts two secrets.
    :param seeds: of all that is random: the balancer, the moments of reloads and restarts.
    """

    words: str
    replicas: int = 1
    reload_minutes: float = math.inf
    restarts: bool = False
    two_secrets: bool = True
    seeds: tuple[int, ...] = (1,)

    @property
    def learns(self) -> bool:
        """Whether it knows both secrets some time after they were published."""
        return self.two_secrets and (self.restarts or math.isfinite(self.reload_minutes))

    def restart_after(self, dice: random.Random) -> list[float]:
        """Seconds from the event until each replica is replaced; the last of several after five minutes."""
        if self.replicas == 1:
            return [dice.uniform(0.1, 0.5) * MINUTE]
        early = sorted(dice.uniform(0.0, 1.0) * MINUTE for _ in range(self.replicas - 1))
        return [*early, 5 * MINUTE]


RECEIVERS = (
    SlowReceiver("reloads its secrets once a minute", reload_minutes=1.0, seeds=(1, 2, 3)),
    SlowReceiver(
        "three replicas behind a random balancer; two are restarted within a minute, the third after five",
        replicas=3,
        restarts=True,
        seeds=(1, 2, 3),
    ),
    SlowReceiver("reads its secrets only at its start; restarted by who listens to the asset event", restarts=True),
    SlowReceiver("reads its secrets only at its start; nobody restarts it"),
    SlowReceiver("holds one secret only; reloads it at once", reload_minutes=0.0, two_secrets=False),
)


@dataclass(frozen=True)
class Played:
    """What one rotation did to the deliveries.

    :param refused: delivery attempts that were not accepted, probes not counted.
    :param lost: how many things happened of which no delivery was accepted.
    :param duplicates: further accepted deliveries of things of which one was accepted.
    :param statuses: of both webhooks in the end.
    """

    run: Run
    refused: list[str]
    lost: int
    duplicates: int
    statuses: list[str]


class SlowWorld(PairWorld):
    """A pair of webhooks that deliver to a slow receiver; the first one serves as a single webhook, too."""

    def __init__(self, folder: Path, kind: SlowReceiver, seed: int) -> None:
        super().__init__(folder)
        self._kind, self._dice = kind, random.Random(seed)
        self._seed = seed

    def __enter__(self) -> SlowWorld:
        super().__enter__()
        kind = self._kind
        self.replicas = self._open.enter_context(
            Replicas(
                self.secret_file,
                count=kind.replicas,
                reload_seconds=kind.reload_minutes * MINUTE if kind.reload_minutes else 0.0,
                previous_key=PREVIOUS_KEY if kind.two_secrets else None,
                seed=self._seed,
            )
        )
        for webhook_id in self.ids:
            settings = {"url": f"{self.replicas.url}/webhook", "requestConfig": {"timeoutMs": 30_000}}
            self.api("PATCH", f"/v2/webhooks/{webhook_id}", json=settings)
        self.control("POST", "/clock", speed=SCALE)
        self.behave(pause_after=0)  # when Featurebase pauses a webhook that fails is not documented
        return self

    def play(self, airflow: InProcessAirflow, strategy: str) -> Played:
        """Rotate while events flow; whoever listens to the asset event restarts the receiver."""
        dag = airflow.load(self._entry(strategy))
        with self.events(EVENTS_PER_SECOND):
            if math.isfinite(self._kind.reload_minutes):
                time.sleep(self._dice.uniform(0.0, self._kind.reload_minutes) * MINUTE)
            run = airflow.start(dag, pause_after="distributed")
            if self._kind.restarts:
                assert airflow.asset_events(f"featurebase://webhooks/{self.name}/signing-secret"), run.errors
                self.replicas.restart(self._kind.restart_after(self._dice))
            run = airflow.go_on(run)
        statuses = self.statuses
        self._settle()
        told: dict[int, int] = {}
        for event in self.control("GET", "/events"):
            told[event["emission"]] = told.get(event["emission"], 0) + bool(event["delivered"])
        return Played(
            run,
            refused=self.refused,
            lost=list(told.values()).count(0),
            duplicates=sum(times - 1 for times in told.values() if times > 1),
            statuses=statuses,
        )

    def _entry(self, strategy: str) -> dict[str, Any]:
        """The defaults of each strategy, shortened; first_delivery and pending are as short as a file allows."""
        is_pair = strategy == "overlap"
        waits = {
            "probe": {"timeout": "PT60S", "interval": "PT0.2S", "steady": "PT12S" if is_pair else "PT1S"},
            "verify": {"timeout": "PT6S", "poll_interval": "PT1.5S"},
        }
        return self.pair_entry(**waits) if is_pair else self.entry(stores=[self.pair_store()], **waits)

    def _settle(self) -> None:
        """Let every retry happen that is still due."""
        self.control("POST", "/clock", speed=FASTEST)
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            events = self.control("GET", "/events")
            active = dict(zip(self.ids, self.statuses, strict=True))
            due = [event for event in events if not event["delivered"] and event["attempts"] < 4]
            if not any(active.get(event["webhookId"]) == "active" for event in due):
                return
            time.sleep(0.2)
        raise AssertionError("deliveries did not come to an end")
