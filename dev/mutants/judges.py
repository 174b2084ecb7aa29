"""Which tests run which line: each mutant is judged by just those, the quickest first."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.mutants.forks import PACKAGE, run_forked, run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

TESTS = tuple(
    f"tests/unit/{name}"
    for name in ("rotation", "audit", "operators", "sensors", "triggers", "dag_factory", "cli", "hostile")
)


class TestsFail(Exception):
    """The tests fail without any change, so they can't judge one."""


@dataclass
class Judges:
    """What a run of the unchanged tests has told.

    :param seconds: how long each test function took, all its cases together.
    :param by_line: the tests that run a line, by module and line; none for a line that only ran at import.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    by_line: dict[str, dict[int, set[str]]] = field(default_factory=dict)

    def of(self, module: str, lines: Iterable[int], *, at_import: bool) -> list[str]:
        """The tests that may notice a change of these lines: those of the module itself, of its folder, then others.

        :param at_import: the lines stand outside of functions, so that every test of the module has run them.
        """
        own, folder = f"/{module.removesuffix('.py').replace('/', '/test_')}", f"/{module.partition('/')[0]}/"
        known = self.by_line.get(module, {})
        ran = [known[line] for line in lines if line in known]
        chosen = {test for tests in ran for test in tests}
        if at_import or not all(ran):
            # Whoever runs any line of the module, or may look at what it defines.
            chosen.update(*known.values(), (test for test in self.seconds if own in test))
        return sorted(chosen, key=lambda test: (own not in test, folder not in test, self.seconds.get(test, 0), test))


def digest_of(*folders: str) -> str:
    """Names the content of every Python file in folders."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*.py")):
        digest.update(f"{path}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def find_judges(folder: Path) -> Judges:
    """Run all unit tests under coverage, or take what the last such run told where nothing has changed.

    They run as they will for each mutant, in a forked process, so that what fails there fails here already.

    :param folder: where that is kept.
    :raises TestsFail: one fails.
    """
    kept, digest = folder / "judges.json", digest_of(PACKAGE.as_posix(), "tests")
    if kept.exists():
        told = json.loads(kept.read_text())
        if told["digest"] == digest:
            by_line = {
                module: {int(line): set(tests) for line, tests in lines.items()}
                for module, lines in told["by_line"].items()
            }
            return Judges(told["seconds"], by_line)
    kept.unlink(missing_ok=True)
    print("running the tests as they are, to see which run which line", flush=True)
    if run_forked(lambda: _run(folder)):
        raise TestsFail(
            f"{' '.join(TESTS)}: they fail as they are; mend that first, since no change can be judged by it"
        )
    told = {"digest": digest, **json.loads((folder / "run.json").read_text())}
    kept.write_text(json.dumps(told))
    return find_judges(folder)


class _Durations:
    """A pytest plugin that adds up how long each test function takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[_function(report.nodeid)] += report.duration


def _function(nodeid: str) -> str:
    """A test without its case: which cases there are may depend on the line that is changed."""
    return nodeid.partition("[")[0]


def _run(folder: Path) -> int:
    """Run the tests, and write down who runs what."""
    data, rc, plugin = folder / "coverage", folder / "coveragerc", _Durations()
    rc.write_text(f"[run]\ninclude = {PACKAGE.resolve()}/*\ndata_file = {data.resolve()}\n")
    coverage = ("-p", "pytest_cov.plugin", "--cov", f"--cov-config={rc}", "--cov-context=test", "--cov-report=")
    status = run_pytest([*coverage, *TESTS], plugins=[plugin])
    if status == 0:
        told = {"seconds": plugin.seconds, "by_line": _by_line(data, plugin.seconds)}
        (folder / "run.json").write_text(json.dumps(told))
    return status


def _by_line(data: Path, tests: Iterable[str]) -> dict[str, dict[int, list[str]]]:
    from coverage import CoverageData

    coverage = CoverageData(str(data.resolve()))
    coverage.read()
    of_file = defaultdict(set)
    for test in tests:
        of_file[test.partition("::")[0]].add(test)

    def who(context: str) -> set[str]:
        test, _, phase = context.partition("|")
        # What one test sets up, others of its file may share without running it again.
        return of_file[test.partition("::")[0]] if phase == "setup" else {_function(test)}

    told: dict[str, dict[int, list[str]]] = {}
    for path in coverage.measured_files():
        contexts: Any = coverage.contexts_by_lineno(path)
        told[Path(path).relative_to(PACKAGE.resolve()).as_posix()] = {
            line: sorted(set().union(*(who(name) for name in names if name))) for line, names in contexts.items()
        }
    return told
