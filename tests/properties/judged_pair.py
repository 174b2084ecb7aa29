"""Both webhooks of a pair, the stores and their receivers, in memory; every call stops and every change is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from tests.properties.airflow_model import TaskTry
from tests.properties.judged_half import RETRIED_FOR, Half
from tests.properties.judged_world import JudgedArmed, JudgedStore
from tests.properties.stepping import current_try, stop_here
from tests.world.fakes import WEBHOOK_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from featurebase_provider.featurebase.audit_log import Action, AuditEntry
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.store import SecretPair, StoredValue
    from tests.properties.judged_world import Judge, SteppedClock

FIRST, SECOND = WEBHOOK_ID, "507f1f77bcf86cd799439012"
IDS = (FIRST, SECOND)
SLOTS = ("current", "previous")


class JudgedPair:
    """The API of both webhooks.

    :param keeps_retries: whether a webhook that is paused goes on with retries and events that wait.
    :param cached_for: seconds for which a paused webhook goes on delivering.
    :param log: whether the audit log can be read, or the error with which Featurebase answers.
    """

    def __init__(
        self,
        clock: SteppedClock,
        judge: Judge,
        *,
        bumps_updated_at: bool,
        refuses_paused: bool,
        keeps_retries: bool,
        cached_for: float,
        log: Exception | None,
    ) -> None:
        self.clock, self.judge = clock, judge
        self.late_for = max(RETRIED_FOR if keeps_retries else 0.0, cached_for)
        self.log_problem = log
        self.stores: dict[str, PairStore] = {}
        self.owed: dict[str, float] = {}
        """Until when deliveries signed by a paused half may arrive, by fingerprint."""
        self.traffic = False
        """Whether events happen all the time."""
        self.receivers_answer = True
        self.persons_acts = 0
        self.none_by: tuple[TaskTry, int] | None = None
        """The try that paused the last active half, and what persons had done by then; until one is active again."""
        self.halves = {
            webhook_id: Half(
                clock,
                webhook_id,
                name,
                status=status,
                changed=self.changed,
                bumps_updated_at=bumps_updated_at,
                refuses_paused=refuses_paused,
            )
            for webhook_id, name, status in ((FIRST, "a", ACTIVE), (SECOND, "b", PAUSED))
        }

    @property
    def active(self) -> list[Half]:
        return [half for half in self.halves.values() if half.is_active]

    @property
    def secrets(self) -> set[str]:
        """Fingerprints of the secrets of both halves."""
        return {half.secret.fingerprint for half in self.halves.values() if not half.gone}

    # What tasks call.

    def get_webhook(self, webhook_id: str) -> Webhook:
        stop_here()
        if self.traffic:
            self.an_event_happens()
        answer = self.halves[webhook_id].get_webhook(webhook_id)
        if isinstance(running := current_try(), TaskTry):
            running.reads[webhook_id] = answer
        return answer

    def refresh_secret(self, webhook_id: str) -> Webhook:
        stop_here()
        running, half = current_try(), self.halves[webhook_id]
        assert isinstance(running, TaskTry)
        run, plan = running.dag_run, running.dag_run.plan
        assert plan is not None
        seen = running.reads.get(webhook_id)
        if seen is None or seen.status != PAUSED:
            self.judge.says("sent a refresh although it did not read that the half is paused")
        elif seen.fingerprint != plan.before:
            self.judge.says(f"sent a refresh although it read {seen.fingerprint}, not the plan's {plan.before}")
        if self.clock.now < self.owed.get(half.secret.fingerprint, 0.0) and seen == half.current:
            self.judge.says("sent a refresh although deliveries that the half has signed may still arrive")
        if running.unready:
            self.judge.says(f"sent a refresh although {running.unready} could not be prepared")
        if half.post_script and isinstance(half.post_script[0], float):
            run.commits_late = True
        before, half.late_race = half.committed, seen != half.current or half.late_race
        self.owed.pop(half.secret.fingerprint, None)
        try:
            answer = half.refresh_secret(webhook_id)
        finally:
            run.commits += half.committed - before
            stop_here()
        running.reads[webhook_id] = answer
        return answer

    def update_webhook(self, webhook_id: str, *, status: Literal["active", "paused"]) -> Webhook:
        stop_here()
        running, half = current_try(), self.halves[webhook_id]
        assert isinstance(running, TaskTry)
        (other,) = (one for one in self.halves.values() if one is not half)
        seen = running.reads.get(other.current.id)
        if status == PAUSED and (seen is None or seen.status != ACTIVE):
            self.judge.says("paused a half although it did not read that the other one is active")

        def commit() -> Webhook:
            was_active, looked = bool(self.active), running.reads.get(webhook_id)
            self.before_status(half, status)
            if looked is None or looked.secret != half.secret:  # refreshed since the task has looked
                self.excuse(half.secret.fingerprint)
            webhook = half.set_status(status)
            if was_active and not self.active:
                self.none_by = running, self.persons_acts
            return webhook

        try:
            answer = half.update_webhook(webhook_id, status, commit)
        finally:
            stop_here()
        running.reads[webhook_id] = answer
        return answer

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterator[AuditEntry]:
        stop_here()
        if self.log_problem is not None:
            raise self.log_problem
        entries = [entry for half in self.halves.values() for entry in half.refreshes()]
        for entry in sorted(entries, key=lambda entry: entry.created_at, reverse=True):
            if action in (None, entry.action) and (since is None or entry.created_at >= since):
                yield entry

    # What else changes webhooks.

    def an_event_happens(self) -> None:
        for half in self.active:
            secret = half.secret.fingerprint
            accepted = all(secret in store.receiver.accepts for store in self.stores.values())
            half.deliver(500 if not self.receivers_answer else 200 if accepted else 401)

    def before_status(self, half: Half, status: str) -> None:
        """From a pause on, deliveries that the half has signed may still arrive for a while."""
        secret = half.secret.fingerprint
        if half.is_active and status != ACTIVE and half.delivered:
            self.owed[secret] = self.clock.now + self.late_for

    def a_person_sets(self, half: Half, status: str) -> None:
        self.persons_acts += 1
        self.before_status(half, status)
        if status == ACTIVE:
            self.excuse(half.secret.fingerprint)
        half.late_race = status == ACTIVE
        half.set_status(status)

    def a_person_refreshes(self, half: Half) -> None:
        self.persons_acts += 1
        self.owed.pop(half.secret.fingerprint, None)
        half.late_race, race = True, half.late_race
        half.rotated()
        half.late_race = race

    def a_person_deletes(self, half: Half) -> None:
        self.persons_acts += 1
        self.owed.pop(half.secret.fingerprint, None)
        half.gone = True

    def excuse(self, secret: str) -> None:
        """A person makes a secret valid that stores or receivers lack: until it gets there, that is not our doing."""
        for store in self.stores.values():
            if secret not in store.held:
                store.excused.add(secret)
            store.receiver.excuse({secret})

    def changed(self, half: Half, *, refreshed: bool) -> None:
        if refreshed and half.is_active and half.late_race:
            self.excuse(half.secret.fingerprint)
        self.check()

    # What must hold.

    def check(self) -> None:
        """Every active half's secret is in every store and accepted by every receiver; retries are, too."""
        for half in self.active:
            secret = half.secret.fingerprint
            for store in self.stores.values():
                if secret not in store.held | store.excused:
                    self.judge.says(f"{store.label} lacks the secret {secret} of the active half {half.name}")
                if secret not in store.receiver.accepts | store.receiver.excused:
                    self.judge.says(f"the receiver of {store.label} refuses deliveries of the half {half.name}")
        for secret, until in self.owed.items():
            for store in self.stores.values():
                if self.clock.now < until and secret not in store.held | store.excused:
                    self.judge.says(f"{store.label} lacks {secret}, with which retries may still arrive")
        if self.active:
            self.none_by = None


@dataclass
class Receiver:
    """Reads the slots of its store one after the other, and accepts both until it has read both again.

    :param order: in which it reads them.
    :param reads: whether it reads them again at all.
    """

    store: PairStore
    order: tuple[str, str] = ("current", "previous")
    reads: bool = True
    accepts: frozenset[str] = frozenset()
    excused: set[str] = field(default_factory=set)
    """Secrets that it can't accept because of what a person did."""
    _first: frozenset[str] | None = None
    _excusable: set[str] = field(default_factory=set)

    def step(self) -> None:
        """Read the next slot."""
        if not self.reads:
            return
        if self._first is None:
            self._excusable = set(self.store.excused)
            self._first = self._slot(self.order[0])
            return
        self.accepts = self._first | self._slot(self.order[1])
        self._first = None
        self.excused = (self._excusable | self.store.excused) - self.accepts
        self.store.pair.check()

    def settle(self) -> None:
        """Read the second slot, if the first one was read: that takes less time than a task."""
        if self._first is not None:
            self.step()

    def excuse(self, secrets: set[str]) -> None:
        """It can't accept these until it has read both slots again."""
        self.excused |= secrets - self.accepts
        self._excusable |= secrets

    def _slot(self, name: str) -> frozenset[str]:
        value: SigningSecret | None = self.store.value if name == "current" else self.store.previous
        return frozenset({value.fingerprint} if value is not None else ())


@dataclass
class PairStore(JudgedStore):
    """A store that keeps two secrets, and the receiver that reads it.

    :param excused: secrets of active halves that it lacks because of what a person did.
    :param by_hand: how often a person has changed it.
    """

    keeps_previous: bool = True
    pair: JudgedPair = field(kw_only=True)
    excused: set[str] = field(default_factory=set)
    by_hand: int = 0

    def __post_init__(self) -> None:
        self.value = self.pair.halves[FIRST].secret
        self.receiver = Receiver(self, accepts=frozenset(self.held))
        self.pair.stores[self.label] = self

    @property
    def held(self) -> set[str]:
        return {one.fingerprint for one in (self.value, self.previous) if one is not None}

    def armed_by(self, running: TaskTry) -> JudgedArmed:
        return PairArmed(self, running)

    def write_text(self) -> None:
        super().write_text()
        self.excused -= self.held
        self.pair.check()

    def a_person_puts(self, current: SigningSecret | None, previous: SigningSecret | None) -> None:
        self.pair.persons_acts += 1
        self.by_hand += 1
        needed = self.pair.secrets | set(self.pair.owed)
        self.excused |= needed
        self.receiver.excuse(needed)
        self.value, self.previous, self.mark = current, previous, None
        self.version += 1
        self.write_text()
        self.excused &= needed - self.held


class PairArmed(JudgedArmed):
    store: PairStore

    def judge_write(self, pair: SecretPair, held: StoredValue) -> None:
        store, world, running = self.store, self.store.pair, self.running
        shown = {webhook.fingerprint for webhook in running.reads.values()}
        stale = any(webhook != world.halves[webhook_id].current for webhook_id, webhook in running.reads.items())
        for value in (pair.current, pair.previous):
            if value is not None and value not in (held.current, held.previous) and value.fingerprint not in shown:
                world.judge.says(f"{store.label} was given {value.fingerprint}, which Featurebase did not show it last")
        live = [half.secret for half in world.active]
        if any(webhook.secret != world.halves[webhook_id].secret for webhook_id, webhook in running.reads.items()):
            store.excused |= {one.fingerprint for one in live if one not in (pair.current, pair.previous)}
        if held.current in live and pair.current != store.value and not stale:
            world.judge.says(f"the live half's secret was moved from its place in {store.label}")
        if store.label in world.judge.foreign:
            world.judge.says(f"the foreign value in {store.label} was overwritten")


def pair_stores(pair: JudgedPair, kinds: dict[str, dict[str, Any]]) -> dict[str, PairStore]:
    return {label: PairStore(label, judge=pair.judge, pair=pair, **kind) for label, kind in kinds.items()}
