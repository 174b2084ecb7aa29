"""Writes the new secret to all stores of a webhook at once.

Each store's readers get it as soon as that store allows. What else belongs to a write (tags, marks, restarts, reading
it back) follows when no store waits for its write any more, or after :data:`FOLLOW_SECONDS`.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from featurebase_provider.rotation.all_stores import NOT_READABLE, StoreOutcome, job_for, rule_for
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.errors import StoreConflict
from featurebase_provider.rotation.jobs import Done, run_at_once, run_to_end, sorted_out
from featurebase_provider.rotation.one_write import write_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.all_stores import ArmedStores, Result
    from featurebase_provider.rotation.jobs import Job
    from featurebase_provider.rotation.one_store import Desired, WriteRule
    from featurebase_provider.rotation.one_write import Written
    from featurebase_provider.rotation.store import Store

TURN_SECONDS = 5.0
"""How long a store waits at most while another one that shares its place is written: its readers wait, too."""
FOLLOW_SECONDS = 1.0
"""How long what follows a write waits at most for the writes of the other stores."""


class Looks:
    """Looks at the stores once more while the refresh is on its way; see :meth:`ArmedStore.look_again`.

    :param ready: the stores, as they were read. Those that only the main thread may ask were read just now; one that
        could not be is looked at before it is written.
    """

    def __init__(self, ready: ArmedStores) -> None:
        self._ready = ready
        self._ended: dict[str, Done[None]] = {}
        self._threads = {label: self._begin(label) for label in ready.held if not ready.armed[label].main_thread_only}

    def result(self, label: str) -> None:
        """Wait for the look at one store. One that failed is made again.

        :raises StoreConflict: the store changed since it was read.
        :raises StoreError: it can't be read now.
        """
        if label not in self._threads:
            if label in self._ready.unread:
                self._ready.armed[label].look_again(self._ready.held[label])
            return
        self._threads[label].join()
        error = self._ended[label].error
        if isinstance(error, StoreConflict):
            raise error
        if error is not None:
            self._ready.armed[label].look_again(self._ready.held[label])

    def _begin(self, label: str) -> threading.Thread:
        armed, held = self._ready.armed[label], self._ready.held[label]

        def look() -> None:
            self._ended[label] = run_to_end(armed.name, partial(armed.look_again, held))

        thread = threading.Thread(target=look, name=f"look-{label}", daemon=True)
        thread.start()
        return thread


def distribute(
    ready: ArmedStores,
    wanted: SigningSecret | Desired,
    rule: WriteRule,
    *,
    since: float | None,
    clock: Clock = SYSTEM_CLOCK,
    looks: Looks | None = None,
) -> dict[str, StoreOutcome]:
    """Write what is wanted to all prepared stores in parallel and return every store's outcome.

    The stores in ``ready`` must have been read before Featurebase: then a conditional write can't undo a newer one.

    Stores that share a place (keys of one file or secret) are written one after the other: not every place notices that
    a neighbour was written in between. If one hangs, the others wait for half of their timeout, at most
    :data:`TURN_SECONDS`. All but the first look again: ``looks`` were made before a neighbour was written.

    :param rule: the rules for writing; ``adopt`` and ``keeps_previous`` are taken from each store.
    :param since: monotonic seconds from which exposure is counted, or None if nothing was refreshed.
    :param looks: the looks that were begun after the stores were read; None looks before each write.
    """
    works = {label: _StoreWork(label, ready, wanted, rule, clock, looks) for label in ready.held}
    places = {place_of(ready.stores[label]): threading.Lock() for label in works}
    begun: set[str] = set()
    rest = _Rest(len(works))

    def write(label: str) -> Job[None]:
        work, store = works[label], ready.stores[label]
        place = place_of(store)

        def run() -> None:
            try:
                with _turn(places[place], min(TURN_SECONDS, store.timeout / 2)):
                    looks_again = place in begun
                    begun.add(place)
                    work.write(looks_again=looks_again)
            finally:
                work.ended.set()
                rest.one_less()

        return job_for(ready.armed[label], run, store)

    def confirm(label: str) -> Job[None]:
        work, store = works[label], ready.stores[label]

        def run() -> None:
            if work.ended.wait(store.timeout):  # else the write itself is reported as not done in time
                rest.wait()
                work.confirm()

        job = job_for(ready.armed[label], run, store)
        return replace(job, timeout=job.timeout + FOLLOW_SECONDS)

    jobs = {("write", label): write(label) for label in works}
    ended = run_at_once({**jobs, **{("confirm", label): confirm(label) for label in works}})
    outcomes = {}
    _, problems = sorted_out(ended)
    for label, work in works.items():
        problem = problems.get(("write", label)) or problems.get(("confirm", label))
        outcomes[label] = work.outcome(since) if problem is None else work.failed(str(problem))
    for label, unready in ready.problems.items():
        outcomes[label] = StoreOutcome(label, ready.stores[label].target, "not_armed", problem=str(unready))
    return {label: outcomes[label] for label in ready.stores}


@dataclass
class _StoreWork:
    """One store's write, and what follows it; the times are monotonic seconds."""

    label: str
    ready: ArmedStores
    wanted: SigningSecret | Desired
    rule: WriteRule
    clock: Clock
    looks: Looks | None
    ended: threading.Event = field(default_factory=threading.Event)
    written: Written | None = None
    began: float = 0.0
    readable: float = 0.0
    confirmed: float = 0.0

    def write(self, *, looks_again: bool) -> None:
        """Write, unless the store holds what is wanted.

        :param looks_again: whether the look that was made is out of date.
        """
        self.began = self.clock.monotonic()
        looks = None if looks_again else self.looks
        self.written = write_wanted(
            self.ready.armed[self.label],
            self.wanted,
            rule_for(self.ready.stores[self.label], self.rule),
            held=self.ready.held[self.label],
            look=partial(looks.result, self.label) if looks is not None else None,
        )
        self.readable = self.clock.monotonic()

    def confirm(self) -> None:
        """Complete the write, and read it back. A value that was there already needs no confirmation."""
        if self.written is not None:
            self.written.confirm()
        self.confirmed = self.clock.monotonic() if self._is_new else self.readable

    def outcome(self, since: float | None) -> StoreOutcome:
        """The store holds what is wanted."""
        times = (self.readable, self.confirmed)
        readable, confirmed = ((at - since) * 1000 if since is not None else None for at in times)
        result: Result = "written" if self._is_new else "unchanged"
        return StoreOutcome(
            self.label,
            self._store.target,
            result,
            self.wanted.fingerprint,
            readable,
            confirmed,
            detail=None if self.ready.held[self.label].readable else NOT_READABLE,
            write_ms=(self.readable - self.began) * 1000 if self._is_new else None,
        )

    def failed(self, problem: str) -> StoreOutcome:
        """It does not, or does not show it, or what follows a write failed."""
        return StoreOutcome(self.label, self._store.target, "failed", problem=problem)

    @property
    def _is_new(self) -> bool:
        return self.written is not None and self.written.is_new

    @property
    def _store(self) -> Store:
        return self.ready.stores[self.label]


class _Rest:
    """How many stores are still to be written; waited for no longer than :data:`FOLLOW_SECONDS` from now."""

    def __init__(self, count: int) -> None:
        self._count, self._lock, self._none = count, threading.Lock(), threading.Event()
        self._until = SYSTEM_CLOCK.monotonic() + FOLLOW_SECONDS

    def one_less(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._none.set()

    def wait(self) -> None:
        self._none.wait(max(0.0, self._until - SYSTEM_CLOCK.monotonic()))


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
