"""Prepares all stores of a webhook, then writes the new secret to all of them at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import FiniteFloat  # noqa: TC002 - read_record resolves it

from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.errors import StoreForeignValue, StoresNotReady
from featurebase_provider.rotation.jobs import Job, run_at_once, sorted_out
from featurebase_provider.rotation.one_store import WriteRule, converge, why_foreign
from featurebase_provider.rotation.records import read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.errors import StoreRefused
    from featurebase_provider.rotation.one_store import Desired
    from featurebase_provider.rotation.store import ArmedStore, Store, StoredValue

T = TypeVar("T")

Result = Literal["written", "unchanged", "failed", "not_armed", "unknown"]
CLOSE_SECONDS = 2.0
"""How long the closing of one store may delay the others."""
TURN_SECONDS = 5.0
"""How long a store waits at most while another one that shares its place is written: its readers wait, too."""
NOT_READABLE = "not readable: the store accepted the secret, but it is write-only and can't be read back"


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """The result for one store; holds no secret.

    :param label: the store's label.
    :param target: the place that was to be written.
    :param result: ``written``, ``unchanged`` (it held the secret already), ``failed``, ``not_armed`` (it could not be
        prepared), or ``unknown`` (its task left no result).
    :param fingerprint: fingerprint of the value read back (for a write-only store: of the accepted value), or None.
    :param exposure_ms: milliseconds from just before the refresh was sent until the new secret was read back; an
        upper limit of the time in which the store held the old secret. None if nothing was refreshed.
    :param problem: why it failed.
    :param detail: further information: :data:`NOT_READABLE` if the store can't be read back.
    :param write_ms: milliseconds that the write took, reading it back included; None if nothing was written.
    """

    label: str
    target: str
    result: Result
    fingerprint: str | None = None
    exposure_ms: FiniteFloat | None = None
    problem: str | None = None
    detail: str | None = None
    write_ms: FiniteFloat | None = field(default=None, compare=False)

    @classmethod
    def from_json(cls, raw: object) -> StoreOutcome | None:
        """Read an outcome back from its ``asdict`` form; None for anything else."""
        return read_record(cls, raw)

    @property
    def holds_secret(self) -> bool:
        """Whether the store holds the secret: it was read back, or accepted by a write-only store."""
        return self.result in ("written", "unchanged")


@dataclass(frozen=True, slots=True)
class ArmedStores:
    """The stores of a webhook, connected, and what each held when it was prepared."""

    stores: Mapping[str, Store]
    armed: Mapping[str, ArmedStore]
    held: Mapping[str, StoredValue]
    problems: Mapping[str, FeaturebaseError]

    def require_all(self, webhook_id: str) -> None:
        """Check that every store was prepared.

        :raises StoresNotReady: a store was not; the message names each one and the reason.
        """
        if self.problems:
            why = "; ".join(str(problem) for problem in self.problems.values())
            raise StoresNotReady(
                webhook_id,
                f"{len(self.problems)} of {len(self.stores)} stores are not ready, so nothing was refreshed. {why}",
            )

    def foreign(self, rule: WriteRule, *, current: str) -> dict[str, StoreForeignValue]:
        """The stores that hold a value which must not be replaced, by label, each with the reason.

        :param rule: the rules for writing; ``adopt`` is taken from each store.
        :param current: fingerprint of Featurebase's current secret.
        """
        found = {}
        for label, held in self.held.items():
            terms = rule_for(self.stores[label], rule)
            problem = why_foreign(self.armed[label].name, held, terms, current=current)
            if problem is not None:
                found[label] = problem
        return found

    def owned(self) -> dict[str, StoreRefused]:
        """Why the places of stores are another program's to write, by label."""
        return {label: held.owned for label, held in self.held.items() if held.owned is not None}

    def reread(self) -> ArmedStores:
        """The same stores, read again. Ask Featurebase for the secret *after* this.

        A store that can't be read counts as unchanged; the write will detect a change.
        """
        jobs = {label: job_for(self.armed[label], self.armed[label].read, self.stores[label]) for label in self.held}
        held, _ = sorted_out(run_at_once(jobs))
        return replace(self, held={**self.held, **held})


@contextmanager
def arming(stores: Iterable[Store] | Mapping[str, Store]) -> Iterator[ArmedStores]:
    """Prepare and connect to every store and read what it holds; close the stores at the end.

    ``arm()`` runs on the calling thread, since it asks Airflow. Connecting and the first read run in parallel, each
    within the store's timeout. A store that fails is listed in ``problems``. Failing stores delay the others by at most
    the longest timeout.

    :param stores: the stores of a webhook, or a mapping of unique names to stores whose labels may repeat.
    """
    by_label = dict(stores) if isinstance(stores, Mapping) else {store.label: store for store in stores}
    arms = {
        label: Job(f"{label} ({store.target})", store.arm, store.timeout, main_thread_only=True)
        for label, store in by_label.items()
    }
    armed, problems = sorted_out(run_at_once(arms))
    try:
        held, unread = sorted_out(
            run_at_once(
                {
                    key: job_for(armed_store, partial(_first_read, armed_store), by_label[key])
                    for key, armed_store in armed.items()
                }
            )
        )
        yield ArmedStores(by_label, armed, held, {**problems, **unread})
    finally:
        _close(armed, by_label)


@contextmanager
def connected(store: Store) -> Iterator[ArmedStore]:
    """Prepare and connect to one store on the calling thread; close it at the end.

    :raises StoreError: the store can't be used; nothing was changed.
    """
    armed = store.arm()
    try:
        armed.connect()
        yield armed
    finally:
        _close({store.label: armed}, {store.label: store})


def _first_read(armed: ArmedStore) -> StoredValue:
    armed.connect()
    return armed.read()


def _close(armed: Mapping[str, ArmedStore], stores: Mapping[str, Store]) -> None:
    """Close all stores in parallel. Errors are ignored: the work is done, and its result must not be lost."""
    jobs = {label: job_for(armed_store, armed_store.close, stores[label]) for label, armed_store in armed.items()}
    run_at_once({label: replace(job, timeout=min(job.timeout, CLOSE_SECONDS)) for label, job in jobs.items()})


def job_for(armed: ArmedStore, run: Callable[[], T], store: Store) -> Job[T]:
    """A job for one store, with that store's timeout."""
    return Job(armed.name, run, store.timeout, armed.main_thread_only)


def distribute(
    ready: ArmedStores,
    wanted: SigningSecret | Desired,
    rule: WriteRule,
    *,
    since: float | None,
    clock: Clock = SYSTEM_CLOCK,
) -> dict[str, StoreOutcome]:
    """Write what is wanted to all prepared stores in parallel and return every store's outcome.

    The stores in ``ready`` must have been read before Featurebase: then a conditional write can't undo a newer one.

    Stores that share a place (keys of one file or secret) are written one after the other: not every place notices that
    a neighbour was written in between. If one hangs, the others wait for half of their timeout, at most
    :data:`TURN_SECONDS`.

    :param rule: the rules for writing; ``adopt`` and ``keeps_previous`` are taken from each store.
    :param since: monotonic seconds from which exposure is counted, or None if nothing was refreshed.
    """
    turns = {place_of(store): threading.Lock() for store in ready.stores.values()}

    def job(label: str, armed: ArmedStore) -> Job[StoreOutcome]:
        store = ready.stores[label]
        terms = rule_for(store, rule)

        def run() -> StoreOutcome:
            with _turn(turns[place_of(store)], min(TURN_SECONDS, store.timeout / 2)):
                began = clock.monotonic()
                changed = converge(armed, wanted, terms, held=ready.held[label])
            ended = clock.monotonic()
            exposure = (ended - since) * 1000 if since is not None else None
            took = (ended - began) * 1000 if changed else None
            result: Result = "written" if changed else "unchanged"
            detail = None if ready.held[label].readable else NOT_READABLE
            return StoreOutcome(label, store.target, result, wanted.fingerprint, exposure, detail=detail, write_ms=took)

        return job_for(armed, run, store)

    outcomes, failed = sorted_out(run_at_once({label: job(label, ready.armed[label]) for label in ready.held}))
    for label, problem in {**failed, **ready.problems}.items():
        result: Result = "failed" if label in failed else "not_armed"
        outcomes[label] = StoreOutcome(label, ready.stores[label].target, result, problem=str(problem))
    return {label: outcomes[label] for label in ready.stores}


def place_of(store: Store) -> str:
    """What a store's write replaces as a whole, as far as its target tells: the file or the secret without the key."""
    return store.target.partition("#")[0]


@contextmanager
def _turn(place: threading.Lock, patience: float) -> Iterator[None]:
    """Wait for the place, but not for ever: after that time the store is written all the same."""
    is_ours = place.acquire(timeout=patience)
    try:
        yield
    finally:
        if is_ours:
            place.release()


def rule_for(store: Store, rule: WriteRule) -> WriteRule:
    """The rule with the store's own settings."""
    return replace(rule, adopt=store.adopt, keeps_previous=store.keeps_previous)
