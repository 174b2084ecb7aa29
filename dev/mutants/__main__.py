"""Change the code in small ways and see whether a test notices: ``python -m dev.mutants``; see docs/mutants.md."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dev.mutants.changes import Mutant, mutants_of
from dev.mutants.explained import item, read_page
from dev.mutants.forks import PACKAGE, load_heavy_modules
from dev.mutants.judges import Judges, TestsFail, digest_of, find_judges
from dev.mutants.kept import Kept
from dev.mutants.trials import Trial, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dev.mutants.changes import Change
    from dev.mutants.trials import Verdict

FOLDERS = ("rotation", "audit", "operators", "sensors", "triggers", "dag_factory")
FOLDER = Path(".mutants")
PAGE = Path("docs/mutants.md")
SAY_EVERY = 30.0


@dataclass
class Run:
    """What is tried, and what came of it.

    :param chosen: the mutants to try, of these modules.
    :param verdicts: by the mutant's place in ``chosen``.
    """

    modules: Sequence[str]
    chosen: Sequence[Mutant]
    verdicts: dict[int, Verdict]

    def __post_init__(self) -> None:
        self._console = Console(highlight=False, width=140, soft_wrap=True)

    def try_all(self, judges: Judges, kept: Kept, processes: int) -> None:
        """Have every mutant judged that no earlier run has."""
        self.verdicts = {i: known for i, mutant in enumerate(self.chosen) if (known := kept.of(mutant)) is not None}
        if self.verdicts:
            self._console.print(f"{len(self.verdicts)} of {len(self.chosen)} are known from earlier runs")
        said = time.monotonic()
        for trial, verdict in judge(self._trials(judges), processes):
            self.verdicts[trial.key] = verdict
            kept.add(self.chosen[trial.key], verdict)
            if time.monotonic() > said + SAY_EVERY:
                said = time.monotonic()
                alive = Counter(self.verdicts.values())["survived"]
                self._console.print(f"{len(self.verdicts)} of {len(self.chosen)} tried, {alive} survived")

    def _trials(self, judges: Judges) -> Iterator[Trial]:
        for i, mutant in enumerate(self.chosen):
            if i not in self.verdicts:
                tests = judges.of(mutant.change.module, mutant.lines, at_import=mutant.at_import)
                seconds = sum(judges.seconds[test] for test in tests)
                yield Trial(i, mutant.change.module, mutant.source, tuple(tests), seconds)

    def survivors(self) -> list[Mutant]:
        """Those that no test has noticed."""
        return [self.chosen[i] for i in sorted(self.verdicts) if self.verdicts[i] == "survived"]

    def report(self, explained: dict[Change, str], every: Iterable[Change], judges: Judges) -> int:
        """Print the table, the survivors that no page explains, and what the page says wrongly.

        :param every: all changes of the modules, tried or not.
        :returns: exit status: 1 where there is something to do.
        """
        survivors = self.survivors()
        self._print_table(survivors, explained)
        new = [mutant for mutant in survivors if mutant.change not in explained]
        for mutant in new:
            ran = judges.of(mutant.change.module, mutant.lines, at_import=mutant.at_import)
            path = PACKAGE / mutant.change.module
            print(f"{path}:{mutant.line}{'' if ran else ' (no test runs it)'}\n  {item(mutant.change)}")
        if new:
            print(f"\n{len(new)} changes went unnoticed. Kill each with a test, or explain it in {PAGE}.")
        wrong = self._no_longer_true(explained, set(every), {mutant.change for mutant in survivors})
        for text in wrong:
            print(text)
        return 1 if new or wrong else 0

    def _no_longer_true(self, explained: Iterable[Change], every: set[Change], survived: set[Change]) -> list[str]:
        tried = {self.chosen[i].change for i in self.verdicts}
        texts = []
        for change in explained:
            gone = not (PACKAGE / change.module).exists()
            if gone or (change.module in self.modules and change not in every):
                texts.append(
                    f"{PAGE}: {change.module}: the code has no such place any more; take it out\n  {item(change)}"
                )
            elif change in tried - survived:
                texts.append(f"{PAGE}: {change.module}: a test notices this by now; take it out\n  {item(change)}")
        return texts

    def _print_table(self, survivors: Sequence[Mutant], explained: dict[Change, str]) -> None:
        table = Table(title="Mutants", title_justify="left")
        table.add_column("module", no_wrap=True)
        for column in ("tried", "killed", "survived", "explained", "timed out"):
            table.add_column(column, justify="right")
        rows = {module: Counter[str]() for module in self.modules}
        for i, verdict in self.verdicts.items():
            rows[self.chosen[i].change.module].update(["tried", verdict])
        for mutant in survivors:
            rows[mutant.change.module]["explained"] += mutant.change in explained
        rows["all"] = sum(rows.values(), Counter())
        for module, row in rows.items():
            table.add_row(
                module, *(str(row[column]) for column in ("tried", "killed", "survived", "explained", "timed out"))
            )
        self._console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and report.

    :returns: exit status: 0; 1 where a survivor is not explained, or an explanation is no longer true.
    """
    options = _options().parse_args(arguments)
    modules = _modules(options.modules)
    FOLDER.mkdir(exist_ok=True)
    results = FOLDER / "results.jsonl"
    if options.fresh:
        results.unlink(missing_ok=True)
    every = [mutant for module in modules for mutant in mutants_of(PACKAGE / module, module)]
    chosen = every
    if options.sample and options.sample < len(every):
        some = random.Random(options.seed).sample(range(len(every)), options.sample)  # noqa: S311 - no secret
        chosen = [every[i] for i in sorted(some)]
    print(f"{len(chosen)} of {len(every)} mutants of {len(modules)} modules")
    load_heavy_modules()
    try:
        judges = find_judges(FOLDER)
    except TestsFail as exc:
        print(exc, file=sys.stderr)
        return 1
    run = Run(modules, chosen, {})
    kept = Kept(results, digest_of(PACKAGE.as_posix(), "tests"))
    run.try_all(judges, kept, options.processes)
    return run.report(read_page(PAGE), (mutant.change for mutant in every), judges)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants MUTANTS=...", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", default=FOLDERS, help="such as rotation/plan.py, or a folder; default: all"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="so many, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="chooses another sample (%(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs have found")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many side by side (%(default)s)")
    return parser


def _modules(names: Iterable[str]) -> list[str]:
    found = []
    for name in names:
        path = PACKAGE / name
        if not path.exists():
            raise SystemExit(f"there is no {path}")
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [path.relative_to(PACKAGE).as_posix() for path in found]


if __name__ == "__main__":
    sys.exit(main())
