"""Featurebase and config stores in memory that stop at every call, and judge what is asked of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation import clock
from featurebase_provider.rotation.errors import StoreConflict
from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.formats.json import JsonFormat
from tests.properties.airflow_model import DagRun, TaskTry
from tests.properties.stepping import current_try, stop_here
from tests.world.fakes import ArmedMemory, Clock, FakeFeaturebase, MemoryStore, api_unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from featurebase_provider.featurebase.audit_log import Action, AuditEntry
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability

GRACE = 60.0
LONGEST_LAG = 20.0
LAG_OF_WITNESSED = 150.0
"""Seconds for which reads may be stale where the audit log shows each refresh at once; longer than the grace."""
PREFLIGHT = 3.0
"""Seconds that a read by preflight takes."""
LONGEST_WATCHED = GRACE - LONGEST_LAG
"""Seconds after which a refresh that nobody waits for any more may commit."""

THEIR_TEXT = '{"theirs": 1.5, "somebody": {"else\'s": 0}}'
"""What is in the text of a store beside the secret."""
TEXT = JsonFormat("text", ("current",), ("previous",))


class Judge:
    """Knows the truth, and collects what breaks a rule; an assertion in a port would pass for a store's fault."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.foreign: dict[str, str] = {}

    def says(self, violation: str) -> None:
        running = current_try()
        if not self.violations:  # what follows from one is no news
            self.violations.append(f"{running.name if running else 'the world'}: {violation}")


class SteppedClock(Clock):
    """One clock for all tries, each of which sleeps by itself."""

    @property
    def in_a_try(self) -> _TrysClock:
        return _TrysClock(self)


class _TrysClock(clock.Clock):
    """Tries that sleep let others go on meanwhile."""

    def __init__(self, of_all: SteppedClock) -> None:
        super().__init__(wall=of_all.wall)
        self.monotonic = of_all.monotonic  # type: ignore[method-assign]
        self._of_all = of_all

    def sleep(self, seconds: float) -> None:
        until = self._of_all.now + seconds
        stop_here()
        self._of_all.sleep(max(0.0, until - self._of_all.now))


class JudgedFeaturebase(FakeFeaturebase):
    """Knows which Dag run sent which refresh, and what each try could know when it did."""

    def __init__(self, clock: Clock, judge: Judge, *, bumps_updated_at: bool) -> None:
        super().__init__(clock, bumps_updated_at=bumps_updated_at)
        self.judge = judge

    def age_of(self, secret: SigningSecret | None) -> int | None:
        """The secret's place in the order of all that were issued; None for what Featurebase never issued."""
        issued = list(dict.fromkeys(webhook.fingerprint for webhook in self.history))
        return issued.index(secret.fingerprint) if secret is not None and secret.fingerprint in issued else None

    def get_webhook(self, webhook_id: str) -> Webhook:
        stop_here()
        running = current_try()
        if isinstance(running, TaskTry) and running.task == "preflight":
            # What came before the plan is further back than its time may be off, which the log's reader allows for.
            self.clock.sleep(PREFLIGHT)
        answer = super().get_webhook(webhook_id)
        if isinstance(running, TaskTry):
            running.read_stale = answer.secret != self.secret
            running.read = answer.fingerprint
        return answer

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterator[AuditEntry]:
        stop_here()
        running = current_try()
        assert isinstance(running, TaskTry)
        plan = running.dag_run.plan
        assert plan is not None
        if plan.is_emergency:
            self.judge.says("asked the audit log in an emergency")
        running.asked_log = True
        for entry in super().audit_log(action, since):
            running.saw_a_refresh |= entry.created_at >= datetime.fromisoformat(plan.planned_at)
            yield entry

    def refresh_secret(self, webhook_id: str) -> Webhook:
        stop_here()
        running = current_try()
        assert isinstance(running, TaskTry)
        run, plan = running.dag_run, running.dag_run.plan
        assert plan is not None
        replaces = (
            running.number == 1 or running.read in plan.leaked if plan.is_emergency else running.read == plan.before
        )
        if not replaces:
            self.judge.says(f"sent a refresh although it read {running.read}, not the plan's {plan.before}")
        if running.saw_a_refresh:
            self.judge.says("sent a refresh although the audit log shows one since the plan")
        if running.number > 1 and run.kind == "normal" and not running.asked_log:
            self.judge.says("sent a refresh in a later try without a look at the audit log")
        if running.unready and run.kind != "emergency":
            self.judge.says(f"sent a refresh although {running.unready} could not be prepared")
        if self.post_script and isinstance(self.post_script[0], float):
            late = self.post_script.popleft()
            self.clock.at(late, lambda: self.commit_for(run))
            run.commits_late |= late > LONGEST_WATCHED
            raise api_unreachable("POST")
        before = self.committed
        try:
            answer = super().refresh_secret(webhook_id)
        finally:
            run.commits += self.committed - before
            self.judge_lag(run)
            running.read_stale = False
            stop_here()
        return answer

    def commit_for(self, run: DagRun) -> None:
        self.committed += 1
        run.commits += 1
        self.judge_lag(run)
        self.rotated()

    def judge_lag(self, run: DagRun) -> None:
        """An emergency asks no log, and so can't know what reads don't show within its grace."""
        run.commits_late |= run.kind == "emergency" and self.lag > LONGEST_LAG


@dataclass
class JudgedStore(MemoryStore):
    """A store that is armed, read and written by steps.

    :param conditional: whether a write is refused when the store changed since it was read.
    :param clean_of: fingerprints of leaked secrets that an emergency run has removed.
    :param text: the JSON text in which the secret lies beside somebody else's values; None for a store of its own.
    :param on_a_thread: whether it is read and written on a thread of its own, and so without a stop.
    """

    judge: Judge = field(default_factory=Judge)
    featurebase: FakeFeaturebase | None = None
    conditional: bool = True
    text: str | None = None
    on_a_thread: bool = False
    beside: int = 0
    clean_of: frozenset[str] = frozenset()
    arm_script: list[FeaturebaseError] = field(default_factory=list)

    def arm(self) -> ArmedStore:
        stop_here()
        running = current_try()
        assert isinstance(running, TaskTry)
        if self.arm_script:
            running.unready = self.label
            raise self.arm_script.pop(0)
        return self.armed_by(running)

    def armed_by(self, running: TaskTry) -> JudgedArmed:
        return JudgedArmed(self, running)

    def put(self, value: str | None) -> None:
        super().put(value)
        self.previous = None
        self.write_text()

    def put_beside(self) -> None:
        super().put_beside()
        self.beside += 1
        if self.text is not None:
            self.text = json.dumps({**json.loads(self.text), "somebody": {"else's": self.beside}}, indent=1)

    def write_text(self) -> None:
        if self.text is not None:
            self.text = TEXT.edit(self.text, Contents(self.holds or "", self.holds_previous))

    def check_text(self) -> None:
        if self.text is not None:
            assert TEXT.read(self.text) == Contents(self.holds, self.holds_previous)
            others = {key: value for key, value in json.loads(self.text).items() if key not in ("current", "previous")}
            assert others == {"theirs": 1.5, "somebody": {"else's": self.beside}}


class JudgedArmed(ArmedMemory):
    """
    :param running: the try that uses it; a thread of the store's own has no other way to tell.
    """

    def __init__(self, store: JudgedStore, running: TaskTry) -> None:
        super().__init__(store)
        # On the main thread one goes after the other: the test decides the order.
        self.main_thread_only = not store.on_a_thread  # type: ignore[misc]  # a ClassVar of real stores
        self.store, self.running = store, running

    def prove_writable(self) -> Writability:
        stop_here()
        return super().prove_writable()

    def read(self) -> StoredValue:
        stop_here()
        try:
            return super().read()
        except FeaturebaseError:
            self.running.unready = self.store.label
            raise

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        stop_here()
        store = self.store
        _take(store.write_script)
        if store.conditional and held.version != store.version:
            raise StoreConflict(self.name, "it changed since it was read; nothing was written")
        self.judge_write(pair, held)
        if not store.conditional:  # what came after the reading is lost: nothing can tell such a store's writer
            store.judge.foreign.pop(store.label, None)
        store.value, store.previous = pair.current, pair.previous
        store.mark = mark if store.marked else None
        store.version += 1
        self.running.wrote.add(pair.current.fingerprint)
        store.writes.append(pair.current.fingerprint)
        store.write_text()
        stop_here()
        _take(store.after_write)

    def close(self) -> None:
        self.store.closed += 1

    def judge_write(self, pair: SecretPair, held: StoredValue) -> None:
        store, judge, running = self.store, self.store.judge, self.running
        assert isinstance(store.featurebase, JudgedFeaturebase)
        age, of_held = store.featurebase.age_of(pair.current), store.featurebase.age_of(held.current)
        now = store.featurebase.age_of(store.value) if store.conditional else of_held
        if age is None:
            judge.says(f"{store.label} was given a value that Featurebase never issued")
            return
        if (held.current if not store.conditional else store.value) is not None and now is None:
            judge.says(f"the foreign value in {store.label} was overwritten")
        if now is not None and age < now and not running.read_stale:
            judge.says(f"{store.label} was given secret {age}, older than the {now} that it held")
        plan = running.dag_run.plan
        if plan is not None and plan.mode != "distribute" and pair.current.fingerprint == plan.before:
            judge.says(f"{store.label} was given the secret from before the refresh")
        new = (pair.previous, None if pair.current == held.current else pair.current)
        written = {one.fingerprint for one in new if one is not None}
        if written & running.leaked:
            judge.says(f"{store.label} was given a secret that had leaked")
        if written & store.clean_of and store.conditional and not running.read_stale:
            judge.says(f"{store.label} was given a leaked secret again")
        self._judge_previous(pair, held, age)

    def _judge_previous(self, pair: SecretPair, held: StoredValue, age: int) -> None:
        if pair.previous is None:
            return
        store, judge = self.store, self.store.judge
        assert isinstance(store.featurebase, JudgedFeaturebase)
        of_previous = store.featurebase.age_of(pair.previous)
        if not store.keeps_previous:
            judge.says(f"{store.label} was given a previous secret, and keeps none")
        if pair.previous not in (held.current, held.previous):
            judge.says(f"{store.label} was given a previous secret that it never held")
        if of_previous is None:
            judge.says(f"{store.label} was given a foreign value as the previous secret")
        elif of_previous >= age and not self.running.read_stale:
            judge.says(f"{store.label} was given secret {of_previous} as the one before {age}")


def _take(script: object) -> None:
    step: Callable[[], object] | None = script.popleft() if script else None  # type: ignore[attr-defined]
    if step is not None:
        step()
