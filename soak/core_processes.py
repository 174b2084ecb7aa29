"""The core part of all combinations at once, each in a process of its own."""

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
from typing import TYPE_CHECKING, cast

from demo.processes import DemoError
from soak.core_part import CorePart
from soak.findings import Figures
from soak.judging import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from soak.findings import Rotation
    from soak.world import SoakWorld

PROGRESS_SECONDS = 15.0
WANTED_BY_TASKS = (
    "airflow.sdk.configuration",
    "airflow.sdk.log",
    "featurebase_provider.dag_factory",
    "featurebase_provider.stores.format_dotenv",
    "featurebase_provider.stores.local_file",
)


def run_core(
    worlds: Sequence[SoakWorld],
    *,
    rotations: int,
    speed: float,
    seed: int,
    events_per_second: float,
    until: float,
    say: Callable[[str], None],
) -> list[Figures]:
    """Rotate in every world until all is done.

    :param rotations: in each world.
    :param until: monotonic seconds at which to give up.
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
        arguments = (world, theirs, rotations, speed, seed, events_per_second)
        process = forking.Process(target=_soak, args=arguments, name=world.combination.name)
        process.start()
        theirs.close()
        processes.append(process)
        pipes[mine] = world
    try:
        return _collect(pipes, rotations, until, say)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _collect(
    pipes: dict[Connection, SoakWorld], rotations: int, until: float, say: Callable[[str], None]
) -> list[Figures]:
    done: Counter[str] = Counter({world.combination.name: 0 for world in pipes.values()})
    figures: dict[str, Figures] = {}
    open_pipes, names = dict(pipes), [world.combination.name for world in pipes.values()]
    next_word = time.monotonic() + PROGRESS_SECONDS
    while open_pipes:
        for pipe in cast("list[Connection]", wait(list(open_pipes), timeout=1.0)):
            world = open_pipes[pipe]
            try:
                message = pipe.recv()
            except EOFError:
                raise DemoError(
                    f"the rotations of {world.combination.name} broke off; read {world.folder}/core.log"
                ) from None
            if isinstance(message, Figures):
                figures[world.combination.name] = message
                del open_pipes[pipe]
            else:
                done[world.combination.name] += 1
        if time.monotonic() > until:
            raise DemoError(f"time is up; rotations done of {rotations} each: {_counts(done)}")
        if time.monotonic() > next_word:
            next_word += PROGRESS_SECONDS
            say(f"core: rotations done of {rotations} each: {_counts(done)}")
    return [figures[name] for name in names]


def _counts(done: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in done.items())


def _soak(
    world: SoakWorld, pipe: Connection, rotations: int, speed: float, seed: int, events_per_second: float
) -> None:
    """Run in the combination's process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = os.open(world.folder / "core.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    finished: list[Rotation] = []

    def done(rotation: Rotation) -> None:
        finished.append(rotation)
        pipe.send(rotation.run_id)

    try:
        part = CorePart(world, rotations=rotations, speed=speed, seed=seed, done=done)
        began = time.monotonic()
        world.emit(per_second=events_per_second)
        part.run()
        pipe.send(judge(world, finished, seconds=time.monotonic() - began))
    except BaseException:
        traceback.print_exc()
        raise
