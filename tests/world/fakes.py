"""Featurebase, a config store and the time, in memory, each misbehaving on request."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.audit_log import Action, AuditEntry
from featurebase_provider.featurebase.errors import ApiUnavailable, ApiUnreachable
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation import clock
from featurebase_provider.rotation.errors import MemoryUnknown, StoreConflict, StoreRefused
from featurebase_provider.rotation.memory import WebhookMemory
from featurebase_provider.rotation.modes import Mode
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.plan import RotationPlan, ThisRun, make_plan
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WEBHOOK_ID = "507f1f77bcf86cd799439011"
START = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)

PostFault = Literal["lost_before", "lost_after", "old_answer", "old_answer_after", "no_secret", "no_secret_after"]


class Clock(clock.Clock):
    """A clock that moves when somebody sleeps, and does what is due on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def server_now(self) -> datetime:
        return START + timedelta(seconds=self.now - 1000)

    def wall(self) -> float:
        return self.server_now().timestamp()

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        self._due.append((self.now + seconds, action))

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while ready := [one for one in self._due if one[0] <= end]:
            first = min(ready, key=lambda one: one[0])
            self._due.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = end


def a_webhook(secret: str | None = "whsec_0", **changes: Any) -> Webhook:
    """A webhook as Featurebase shows it."""
    facts: dict[str, Any] = {
        "id": WEBHOOK_ID,
        "name": "Production Webhook",
        "url": "https://receiver.example/hook",
        "secret": secret,
        "topics": ("post.created",),
        "status": "active",
        "created_at": START - timedelta(days=90),
        "updated_at": START - timedelta(days=30),
    }
    return Webhook.model_validate({**facts, **changes})


def a_logged_refresh(at: datetime, webhook_id: str = WEBHOOK_ID, **facts: Any) -> AuditEntry:
    """A refresh as Featurebase's audit log shows it, by an API key called ``by hand``."""
    entry = {
        "id": f"entry-{at.isoformat()}",
        "action": "webhook.secret_rotated",
        "created_at": at,
        "actor": {"type": "api_key", "apiKey": {"id": "k", "name": "by hand"}},
        "resource": {"id": webhook_id},
        **facts,
    }
    return AuditEntry.model_validate(entry)


def api_unreachable(method: str = "GET", *, was_sent: bool = True) -> ApiUnreachable:
    return ApiUnreachable(method, f"/v2/webhooks/{WEBHOOK_ID}", detail="ReadTimeout", was_sent=was_sent)


class FakeFeaturebase:
    """The API of one webhook; every committed state is kept in ``history``.

    :param bumps_updated_at: whether a refresh changes ``updatedAt``, which is not documented.
    :param name: stands in all its secrets.
    """

    def __init__(self, clock: Clock, *, bumps_updated_at: bool = True, name: str = "", **webhook: Any) -> None:
        self.clock = clock
        self.bumps_updated_at = bumps_updated_at
        self.name = f"whsec_{name}"
        older = {**webhook, "updated_at": START - timedelta(days=60)}
        self.history = [a_webhook(f"{self.name}older", **older), a_webhook(f"{self.name}0", **webhook)]
        self.reads = self.posts = self.committed = 0
        self.read_script: deque[Exception | Webhook | Literal["stale"] | None] = deque()
        """What becomes of the next reads: an error, that answer, a stale one, or (None) the truth."""
        self.post_script: deque[PostFault | float | Exception] = deque()
        """What becomes of the next refreshes: a fault, an error, or (seconds) lost and committed that much later."""
        self.lag = 0.0
        """Seconds for which reads go on showing the state before a new secret was committed."""
        self.stale_until = 0.0
        self.on_read: Callable[[int], object] = lambda count: None
        self.log: list[AuditEntry] | Exception = []
        """The audit log, newest first, or the error that reading it raises."""
        self.log_lag: float | None = None
        """Seconds until the log shows a refresh; None if nobody enters refreshes into it."""
        self.log_reads = 0
        self._numbers = itertools.count(1)

    @property
    def current(self) -> Webhook:
        return self.history[-1]

    @property
    def secret(self) -> SigningSecret:
        assert self.current.secret is not None
        return self.current.secret

    def change(self, **changes: Any) -> Webhook:
        self.history.append(self.current.model_copy(update=changes))
        return self.current

    def rotated(self) -> Webhook:
        """Commit a new secret, as any refresh does, whoever sent it."""
        self.stale_until = max(self.stale_until, self.clock.now + self.lag)
        now = self.clock.server_now()
        if self.log_lag is not None and not isinstance(self.log, Exception):
            self.log.insert(0, a_logged_refresh(now))
        updated_at = now if self.bumps_updated_at else self.current.updated_at
        return self.change(secret=SigningSecret(f"{self.name}{next(self._numbers)}"), updated_at=updated_at)

    def get_webhook(self, webhook_id: str) -> Webhook:
        assert webhook_id == self.current.id
        self.reads += 1
        self.on_read(self.reads)
        answer = self.read_script.popleft() if self.read_script else None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Webhook):
            return answer
        if answer == "stale" or self.clock.now < self.stale_until:
            return self.history[-2]
        return self.current

    def refresh_secret(self, webhook_id: str) -> Webhook:
        assert webhook_id == self.current.id
        self.posts += 1
        self.clock.sleep(0.1)
        fault = self.post_script.popleft() if self.post_script else None
        if fault is None:
            return self._commit()
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, float):
            self.clock.at(fault, self._commit)
            raise api_unreachable("POST")
        before = self.current
        if fault.endswith("_after"):
            self._commit()
        if fault.startswith("lost"):
            raise ApiUnavailable("POST", f"/v2/webhooks/{webhook_id}/secret", 504)
        return before if fault.startswith("old_answer") else before.model_copy(update={"secret": None})

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterator[AuditEntry]:
        self.log_reads += 1
        if isinstance(self.log, Exception):
            raise self.log
        newest = self.clock.server_now() - timedelta(seconds=self.log_lag or 0.0)
        for entry in self.log:
            visible = self.log_lag is None or entry.created_at <= newest
            if visible and action in (None, entry.action) and (since is None or entry.created_at >= since):
                yield entry

    def _commit(self) -> Webhook:
        self.committed += 1
        return self.rotated()


@dataclass
class MemoryStore:
    """A configured store whose place is its own memory.

    :param marked: whether the place has metadata that carries our mark.
    :param marks_later: whether that is left to what follows a write.
    :param readable: whether it shows what it holds.
    :param finished: whether what belongs to a write is done; the next write does it.
    :param owned: why the place is another program's.
    """

    label: str = "memory"
    adopt: bool = False
    timeout: float = 5.0
    keeps_previous: bool = False
    marked: bool = False
    marks_later: bool = False
    readable: bool = True
    finished: bool = True
    owned: StoreRefused | None = None
    main_thread_only: bool = False
    type: str = "memory"
    value: SigningSecret | None = None
    previous: SigningSecret | None = None
    mark: StoreMark | None = None
    version: int = 0
    writes: list[str] = field(default_factory=list)
    """Fingerprints in the order written."""
    arm_error: Exception | None = None
    close_error: Exception | None = None
    closed: int = 0
    connect_script: deque[Callable[[], object] | None] = field(default_factory=deque)
    """Called when it connects the next times; raising makes it fail."""
    read_script: deque[Callable[[], object] | None] = field(default_factory=deque)
    """Called in place of nothing before the next reads; raising makes them fail."""
    write_script: deque[Callable[[], object] | None] = field(default_factory=deque)
    """Called before the next writes; raising makes them fail."""
    after_write: deque[Callable[[], object] | None] = field(default_factory=deque)
    """Called after the next writes took effect; raising makes the answer fail."""
    look_script: deque[Callable[[], object] | None] = field(default_factory=deque)
    """Called at the next looks; raising makes them fail."""
    follow_script: deque[Callable[[], object] | None] = field(default_factory=deque)
    """Called when the next writes are completed; raising makes that fail."""
    on_write: Callable[[MemoryStore, SecretPair], None] = lambda store, pair: None

    @property
    def target(self) -> str:
        return f"memory://{self.label}"

    @property
    def previous_target(self) -> str | None:
        return f"{self.target}#previous" if self.keeps_previous else None

    def arm(self) -> ArmedStore:
        if self.arm_error is not None:
            raise self.arm_error
        return ArmedMemory(self)

    def put(self, value: str | None) -> None:
        """Somebody else changes the secret."""
        self.value = SigningSecret(value) if value is not None else None
        self.version += 1

    def put_beside(self) -> None:
        """Somebody else changes something else in the same secret or file."""
        self.version += 1

    @property
    def holds(self) -> str | None:
        return self.value.reveal() if self.value is not None else None

    @property
    def holds_previous(self) -> str | None:
        return self.previous.reveal() if self.previous is not None else None


class ArmedMemory(ArmedStore):
    def __init__(self, store: MemoryStore) -> None:
        super().__init__(f"{store.label} ({store.target})")
        self.main_thread_only = store.main_thread_only  # type: ignore[misc]  # a ClassVar of real stores
        self._store = store

    def connect(self) -> None:
        _next(self._store.connect_script)

    def prove_writable(self) -> Writability:
        return Writability(True, "it is memory")

    def read(self) -> StoredValue:
        _next(self._store.read_script)
        store = self._store
        if not store.readable:
            return StoredValue(None, version=store.version, readable=False)
        return StoredValue(
            store.value, store.previous, store.mark, store.version, finished=store.finished, owned=store.owned
        )

    def look_again(self, held: StoredValue) -> None:
        _next(self._store.look_script)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None]:
        store = self._store
        _next(store.write_script)
        if held.version != store.version:
            raise StoreConflict(self.name, "it changed since it was read; nothing was written")
        store.on_write(store, pair)
        store.value, store.previous = pair.current, pair.previous
        store.mark = store.mark if store.marks_later else mark if store.marked else None
        store.version += 1
        store.finished = True
        store.writes.append(pair.current.fingerprint)
        _next(store.after_write)
        marking = self.marking(held, mark)

        def follow() -> None:
            _next(store.follow_script)
            if marking is not None:
                marking()

        return follow

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        return partial(setattr, self._store, "mark", mark) if self._store.marks_later else None

    def close(self) -> None:
        self._store.closed += 1
        if self._store.close_error is not None:
            raise self._store.close_error


def _next(script: deque[Callable[[], object] | None]) -> None:
    step = script.popleft() if script else None
    if step is not None:
        step()


def failing(error: Exception) -> Callable[[], object]:
    """A script's step that raises."""

    def step() -> object:
        raise error

    return step


THIS_RUN = ThisRun("featurebase_rotate__production", "manual__1", START.isoformat(), START.isoformat())


def a_plan(webhook: Webhook | None = None, *, mode: Mode = "rotate", **changes: Any) -> RotationPlan:
    facts: dict[str, Any] = {"host": "https://do.featurebase.app", "planned_at": START.isoformat(), **changes}
    return make_plan(webhook or a_webhook(), THIS_RUN, mode=mode, **facts)


class DictMemory:
    """The memory port over a dictionary; reads and writes fail while ``problem`` is set."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.problem: MemoryUnknown | None = None
        self.reads: list[str] = []
        self.writes: list[str] = []

    def read(self, name: str) -> str | None:
        self.reads.append(name)
        if self.problem is not None:
            raise self.problem
        return self.records.get(name)

    def write(self, name: str, text: str) -> None:
        self.writes.append(name)
        if self.problem is not None:
            raise self.problem
        self.records[name] = text


def a_memory(memory: DictMemory | None = None, webhook_id: str = WEBHOOK_ID, **changes: Any) -> WebhookMemory:
    return WebhookMemory(memory or DictMemory(), "https://do.featurebase.app", webhook_id, **changes)


def a_rule(**changes: Any) -> WriteRule:
    return WriteRule(**{"webhook_id": WEBHOOK_ID, "managed_from": "https://airflow.example", **changes})


def secret(name: str) -> SigningSecret:
    return SigningSecret(f"whsec_{name}")


def fingerprint(name: str) -> str:
    return secret(name).fingerprint
