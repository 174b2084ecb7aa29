"""One part of the soak for several combinations at once, each in a process of its own."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import time
import traceback
from collections import Counter
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from dev.airflow.processes import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from dev.soak.world import SoakWorld

PROGRESS_SECONDS = 15.0
WANTED_BY_TASKS = (
    "airflow.sdk.configuration",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.log",
    "airflow.sdk.observability.stats",
    "featurebase_provider.dag_factory",
    "featurebase_provider.stores.shared.formats.dotenv",
    "featurebase_provider.stores.shared.formats.json",
    "featurebase_provider.stores.object_storage.local_file",
)

ResultT_co = TypeVar("ResultT_co", covariant=True)
ResultT = TypeVar("ResultT")


class Work(Protocol[ResultT_co]):
    """What is to be done in each world."""

    def __call__(self, world: SoakWorld, step: Callable[[], None]) -> ResultT_co:
        """Do it, call ``step`` now and then, and return what came of it."""


class Apart(Generic[ResultT]):
    """Does the same work in every world at once.

    :param title: names the part in what is said.
    :param steps: how many there will be in each world, for what is said of the progress.
    :param until: monotonic seconds at which to give up.
    """

    def __init__(
        self, work: Work[ResultT], *, title: str, steps: int, until: float, say: Callable[[str], None]
    ) -> None:
        self._work, self._title, self._steps, self._until, self._say = work, title, steps, until, say

    def run(self, worlds: Sequence[SoakWorld]) -> list[ResultT]:
        """Work until all is done.

        :raises DemoError: a process ended by itself, or time is up.
        """
        # Here everything is imported once and no thread runs: what is forked starts in milliseconds.
        for module in WANTED_BY_TASKS:
            importlib.import_module(module)
        gc.collect()
        gc.freeze()

        forking = multiprocessing.get_context("fork")
        processes, pipes = [], {}
        for world in worlds:
            mine, theirs = forking.Pipe(duplex=False)
            process = forking.Process(target=self._be_the_process, args=(world, theirs), name=world.combination.name)
            process.start()
            theirs.close()
            processes.append(process)
            pipes[mine] = world
        try:
            return self._collect(pipes)
        finally:
            for process in processes:
                process.terminate()
                process.join()

    def _collect(self, pipes: dict[Connection, SoakWorld]) -> list[ResultT]:
        done: Counter[str] = Counter({world.combination.name: 0 for world in pipes.values()})
        results: dict[str, ResultT] = {}
        open_pipes = dict(pipes)
        next_word = time.monotonic() + PROGRESS_SECONDS
        while open_pipes:
            for pipe in cast("list[Connection]", wait(list(open_pipes), timeout=1.0)):
                world = open_pipes[pipe]
                try:
                    kind, result = pipe.recv()
                except EOFError:
                    raise DemoError(
                        f"{self._title}: the work of {world.combination.name} broke off; read {self._log(world)}"
                    ) from None
                if kind == "step":
                    done[world.combination.name] += 1
                else:
                    results[world.combination.name] = result
                    del open_pipes[pipe]
            progress = ", ".join(f"{name} {count}" for name, count in done.items())
            if time.monotonic() > self._until:
                raise DemoError(f"{self._title}: time is up; done of {self._steps} each: {progress}")
            if time.monotonic() > next_word:
                next_word += PROGRESS_SECONDS
                self._say(f"{self._title}: done of {self._steps} each: {progress}")
        return [results[world.combination.name] for world in pipes.values()]

    def _be_the_process(self, world: SoakWorld, pipe: Connection) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log = os.open(self._log(world), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            pipe.send(("result", self._work(world, lambda: pipe.send(("step", None)))))
        except BaseException:
            traceback.print_exc()
            raise

    def _log(self, world: SoakWorld) -> str:
        return f"{world.folder}/{self._title}.log"
