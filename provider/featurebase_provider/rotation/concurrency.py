"""Run one job per store at once, each with a bound of its own.

Threads rather than an executor: a hanging vendor client must neither delay another store nor keep the task's
process alive, and the standard executors wait for their threads when the interpreter ends.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.errors import StoreError, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One store's piece of work.

    :param name: the store's name, for messages.
    :param run: does the work.
    :param timeout: seconds after which the job counts as failed, whether it ends or not.
    :param main_thread_only: whether it calls Airflow's SDK, which only the main thread may do; such a job can't be
        given up on.
    """

    name: str
    run: Callable[[], T]
    timeout: float
    main_thread_only: bool = False


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """How a job ended: with a value, or with an error of ours."""

    value: T | None = None
    error: FeaturebaseError | None = None


def run_at_once(jobs: Mapping[str, Job[T]], *, monotonic: Callable[[], float] = time.monotonic) -> dict[str, Done[T]]:
    """Run all jobs concurrently and return how each ended, in the order given.

    Jobs for the main thread run there, one after the other and without a bound, while the threads work. A job on
    a thread that is not done within its timeout is given up on: the thread goes on as a daemon, and its result
    is not looked at.
    """
    ended: queue.SimpleQueue[tuple[str, Done[T]]] = queue.SimpleQueue()
    started = monotonic()
    waiting: dict[str, float] = {}
    for key, job in jobs.items():
        if not job.main_thread_only:
            waiting[key] = started + job.timeout
            threading.Thread(
                target=lambda key=key, job=job: ended.put((key, _run(job.name, job.run))),
                name=f"store-{key}",
                daemon=True,
            ).start()
    done = {key: _run(job.name, job.run) for key, job in jobs.items() if job.main_thread_only}
    while waiting:
        key, deadline = min(waiting.items(), key=lambda item: item[1])
        try:
            finished, outcome = ended.get(timeout=max(0.0, deadline - monotonic()))
        except queue.Empty:
            del waiting[key]
            done[key] = Done(error=_timed_out(jobs[key]))
            continue
        if waiting.pop(finished, None) is not None:
            done[finished] = outcome
    return {key: done[key] for key in jobs}


def guarded(name: str, run: Callable[[], T]) -> T:
    """Work on one store here and now, on this thread, and name an error that its code should have translated.

    :param name: the store's name, for messages.
    :raises FeaturebaseError: as the work raised it.
    :raises StoreError: the work raised another error, whose text and context are left out: they may quote a value.
    """
    done = _run(name, run)
    if done.error is not None:
        raise done.error
    return cast("T", done.value)


def _timed_out(job: Job[T]) -> StoreUnreachable:
    return StoreUnreachable(
        job.name,
        f"no answer within {job.timeout:g} s; whether the call arrived is unknown until the store is read",
        "If the store is merely slow, raise its timeout; a retry reads before it writes",
    )


def _run(name: str, run: Callable[[], T]) -> Done[T]:
    try:
        return Done(value=run())
    except FeaturebaseError as exc:
        return Done(error=exc)
    except Exception as exc:  # noqa: BLE001 - reported as this store's failure; must not cost the other stores theirs
        return Done(error=_unexpected(name, exc))


def _unexpected(name: str, exc: Exception) -> StoreError:
    """Name an error that a store's code should have translated; its text is left out, it may quote a value."""
    *_, (frame, line) = traceback.walk_tb(exc.__traceback__)
    return StoreError(
        name,
        f"unexpected {type(exc).__name__} at {frame.f_code.co_filename}:{line}; the store may or may not have changed",
        "This is a fault in the store's code: please report it",
    )
