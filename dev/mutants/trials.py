"""Tries mutants, each in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.util import spec_from_loader
from typing import TYPE_CHECKING, Any, Literal

from dev.mutants.forks import PACKAGE, fork, run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import ModuleSpec

Verdict = Literal["killed", "survived", "timed out"]
FEW = 12
"""So many of the quickest tests are tried first; most mutants fall there, and the slow ones need not be loaded."""
PATIENCE = 60.0
"""Only what hangs takes so much longer than unchanged."""


@dataclass(frozen=True)
class Trial:
    """One mutant before its tests.

    :param key: whose trial it is; handed back.
    :param module: path below the package.
    :param source: the module's text.
    :param tests: who judges, the quickest first.
    :param seconds: how long these take unchanged.
    """

    key: Any
    module: str
    source: str
    tests: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Running:
    trial: Trial
    until: float
    left: tuple[str, ...]


def judge(trials: Iterable[Trial], processes: int, *, patience: float = PATIENCE) -> Iterator[tuple[Trial, Verdict]]:
    """Try mutants side by side.

    :param patience: seconds that a trial gets beside ten times what its tests took unchanged.
    :returns: each with its verdict, in the order in which they end.
    """
    waiting, running = iter(trials), dict[int, _Running]()
    try:
        while True:
            while len(running) < processes and (trial := next(waiting, None)) is not None:
                if not trial.tests:
                    yield trial, "survived"
                    continue
                pid, run = _start(trial, trial.tests[:FEW], trial.tests[FEW:], patience)
                running[pid] = run
            if not running:
                return
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                run = running.pop(pid)
                if os.waitstatus_to_exitcode(status) != 0:
                    yield run.trial, "killed"
                elif run.left:
                    pid, run = _start(run.trial, run.left, (), patience)
                    running[pid] = run
                else:
                    yield run.trial, "survived"
                continue
            for pid, run in [(pid, run) for pid, run in running.items() if time.monotonic() > run.until]:
                _end(pid)
                del running[pid]
                yield run.trial, "timed out"
            time.sleep(0.01)
    finally:
        for pid in running:
            _end(pid)


def _start(trial: Trial, tests: tuple[str, ...], left: tuple[str, ...], patience: float) -> tuple[int, _Running]:
    pid = fork(lambda: _try(trial, tests))
    return pid, _Running(trial, time.monotonic() + patience + 10 * trial.seconds, left)


def _end(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _try(trial: Trial, tests: tuple[str, ...]) -> int:
    """In the forked process: put the mutant into the module's place, and run the tests."""
    os.setsid()  # what hangs is ended with all that it has started
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    sys.meta_path.insert(0, _InPlace(trial))
    return run_pytest(tests)


class _InPlace(MetaPathFinder, SourceLoader):
    """Finds the mutant where the module is imported. The file on disk stays as it is."""

    def __init__(self, trial: Trial) -> None:
        path = PACKAGE / trial.module
        self._path, self._source = str(path.resolve()), trial.source
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        self._package = parts[-1] == "__init__"
        self._name = ".".join(parts[:-1] if self._package else parts)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return spec_from_loader(fullname, self, origin=self._path, is_package=self._package)

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: Any) -> bytes:
        if str(path) != self._path:
            raise OSError(path)  # no bytecode of it anywhere
        return self._source.encode()
