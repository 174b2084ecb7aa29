"""Prepares all stores of a webhook at once, and says how each one ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AliasChoices, Field, FiniteFloat

from featurebase_provider.rotation.errors import StoreForeignValue, StoresNotReady
from featurebase_provider.rotation.jobs import Job, run_at_once, sorted_out
from featurebase_provider.rotation.one_store import WriteRule, why_foreign
from featurebase_provider.rotation.records import read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.rotation.errors import StoreRefused
    from featurebase_provider.rotation.store import ArmedStore, Store, StoredValue

T = TypeVar("T")

Result = Literal["written", "unchanged", "failed", "not_armed", "unknown"]
CLOSE_SECONDS = 2.0
"""How long the closing of one store may delay the others."""
NOT_READABLE = "not readable: the store accepted the secret, but it is write-only and can't be read back"


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """The result for one store; holds no secret.

    :param label: the store's label.
    :param target: the place that was to be written.
    :param result: ``written``, ``unchanged`` (it held the secret already), ``failed``, ``not_armed`` (it could not be
        prepared), or ``unknown`` (its task left no result).
    :param fingerprint: fingerprint of the value read back (for a write-only store: of the accepted value), or None.
    :param readable_ms: milliseconds from just before the refresh was sent until the store had answered the write after
        which its readers get the new secret: the exposure. None if nothing was refreshed, or if it is unknown.
    :param confirmed_ms: the same until the new secret was read back, and until all that follows the write was done.
    :param problem: why it failed.
    :param detail: further information: :data:`NOT_READABLE` if the store can't be read back.
    :param write_ms: milliseconds that the write took until readers got the value; None if nothing was written.
    """

    label: str
    target: str
    result: Result
    fingerprint: str | None = None
    readable_ms: FiniteFloat | None = None
    confirmed_ms: Annotated[FiniteFloat | None, Field(validation_alias=AliasChoices("confirmed_ms", "exposure_ms"))] = (
        None  # records of versions before 1.0 have the latter
    )
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


def exposure_in(outcome: object) -> float | None:
    """Milliseconds from the refresh until a store's readers had the new secret, or None if that is not known.

    :param outcome: a :class:`StoreOutcome` in its ``asdict`` form. One of an older version tells when the secret was
        confirmed, which is never too short.
    """
    told = outcome if isinstance(outcome, Mapping) else {}
    for name in ("readable_ms", "confirmed_ms", "exposure_ms"):
        if isinstance(told.get(name), (int, float)):
            return float(told[name])
    return None


@dataclass(frozen=True, slots=True)
class ArmedStores:
    """The stores of a webhook, connected, and what each held when it was prepared.

    :param unread: labels of the stores that could not be read when they were last to be read again.
    """

    stores: Mapping[str, Store]
    armed: Mapping[str, ArmedStore]
    held: Mapping[str, StoredValue]
    problems: Mapping[str, FeaturebaseError]
    unread: frozenset[str] = frozenset()

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

    def reread(self, labels: Iterable[str] | None = None) -> ArmedStores:
        """The same stores, read again. Ask Featurebase for the secret *after* this.

        A store that can't be read counts as unchanged; the write will detect a change.

        :param labels: those to read; None reads all.
        """
        chosen = set(self.held if labels is None else labels)
        jobs = {
            label: job_for(self.armed[label], self.armed[label].read, self.stores[label])
            for label in self.held
            if label in chosen
        }
        held, unread = sorted_out(run_at_once(jobs))
        return replace(self, held={**self.held, **held}, unread=self.unread - jobs.keys() | unread.keys())

    def reread_on_main_thread(self) -> ArmedStores:
        """The same, for the stores that no other thread may read."""
        return self.reread(label for label, armed in self.armed.items() if armed.main_thread_only)


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


def rule_for(store: Store, rule: WriteRule) -> WriteRule:
    """The rule with the store's own settings."""
    return replace(rule, adopt=store.adopt, keeps_previous=store.keeps_previous)
