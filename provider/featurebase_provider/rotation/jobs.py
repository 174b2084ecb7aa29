"""Runs work on several stores at once, each within its own time.

It uses threads, not an executor, which waits for its threads at exit: a hanging vendor client must neither delay
another store nor keep the process alive.
"""

from __future__ import annotations

import queue
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock
from featurebase_provider.rotation.errors import StoreError, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """Work on one store.

    :param name: the store's name, for messages.
    :param run: does the work.
    :param timeout: seconds after which the job counts as failed, even if it is still running.
    :param main_thread_only: whether it calls Airflow's SDK, which only the main thread may do; such a job can't be
        abandoned.
    """

    name: str
    run: Callable[[], T]
    timeout: float
    main_thread_only: bool = False


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """How a job ended: with a value, or with an error of this provider."""

    value: T | None = None
    error: FeaturebaseError | None = None


def run_at_once(jobs: Mapping[K, Job[T]], *, clock: Clock = SYSTEM_CLOCK) -> dict[K, Done[T]]:
    """Run all jobs concurrently and return how each ended, in the order given.

    Jobs for the main thread run there, one after the other and without a timeout, while the threads work. A job on
    a thread that is not done within its timeout is abandoned: the thread continues as a daemon, and its result is
    ignored.
    """
    ended: queue.SimpleQueue[tuple[K, Done[T]]] = queue.SimpleQueue()
    started = clock.monotonic()
    waiting: dict[K, float] = {}
    begin = threading.Event()

    def work(key: K, job: Job[T]) -> None:
        begin.wait()
        ended.put((key, run_to_end(job.name, job.run)))

    try:
        for key, job in jobs.items():
            if not job.main_thread_only:
                waiting[key] = started + job.timeout
                threading.Thread(target=work, args=(key, job), name=f"store-{job.name}", daemon=True).start()
    finally:
        begin.set()  # not earlier: threads at work hold up the start of others, and with it the main thread's jobs
    done = {key: run_to_end(job.name, job.run) for key, job in jobs.items() if job.main_thread_only}
    while waiting:
        key, deadline = min(waiting.items(), key=lambda item: item[1])
        try:
            finished, outcome = ended.get(timeout=max(0.0, deadline - clock.monotonic()))
        except queue.Empty:
            del waiting[key]
            done[key] = Done(error=_timed_out(jobs[key]))
            continue
        if waiting.pop(finished, None) is not None:
            done[finished] = outcome
    return {key: done[key] for key in jobs}


def run_here(name: str, run: Callable[[], T]) -> T:
    """Work on one store on this thread. An unexpected error of the store's code becomes a StoreError.

    :param name: the store's name, for messages.
    :raises FeaturebaseError: as the work raised it.
    :raises StoreError: the work raised another error. Its text is left out, since it may quote a secret.
    """
    done = run_to_end(name, run)
    if done.error is not None:
        raise done.error
    return cast("T", done.value)


def _timed_out(job: Job[T]) -> StoreUnreachable:
    return StoreUnreachable(
        job.name,
        f"no answer within {job.timeout:g} s; it is unknown whether the call arrived until the store is read",
        "If the store is just slow, raise its timeout; a retry reads before it writes",
    )


def run_to_end(name: str, run: Callable[[], T]) -> Done[T]:
    """Work on one store on this thread, and tell how that ended.

    :param name: the store's name, for messages.
    """
    try:
        return Done(value=run())
    except FeaturebaseError as exc:
        return Done(error=exc)
    except Exception as exc:  # noqa: BLE001 - reported as this store's failure; must not cost the other stores theirs
        return Done(error=_unexpected(name, exc))


def _unexpected(name: str, exc: Exception) -> StoreError:
    """Describe an error that the store's code should have translated, without its text, which may quote a secret."""
    *_, (frame, line) = traceback.walk_tb(exc.__traceback__)
    return StoreError(
        name,
        f"unexpected {type(exc).__name__} at {frame.f_code.co_filename}:{line}; the store may or may not have changed",
        "This is a bug in the store's code: please report it",
    )


def sorted_out(ended: Mapping[K, Done[T]]) -> tuple[dict[K, T], dict[K, FeaturebaseError]]:
    """What the jobs returned, and the errors of those that failed."""
    problems = {key: done.error for key, done in ended.items() if done.error is not None}
    return {key: cast("T", done.value) for key, done in ended.items() if key not in problems}, problems
