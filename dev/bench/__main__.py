"""Runs every benchmark: prints a table each, and writes all figures to bench.json.

Usage: python -m dev.bench [--only NAME] [--runs N] [--output PATH]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.airflow.processes import DemoError
from dev.bench import dag_run, distribution, history, parse_time, past_runs, waiting
from dev.bench.exposure.measure import measure as measure_exposure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Measured:
    """What a benchmark found.

    :param tables: rows, by the table's name.
    :param more: what bench.json has beside the tables.
    :param missed: the goals that were not reached.
    """

    tables: Mapping[str, list[dict[str, Any]]]
    more: Mapping[str, Any] = field(default_factory=dict)
    missed: Sequence[str] = ()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write.

    :returns: exit status: 1 where a goal was missed, or something could not be measured; in the latter case bench.json
        stays as it was.
    """
    options = _options(argv)
    names = [options.only] if options.only else list(BENCHMARKS)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the sandbox's servers tell of each start and end
    measured = []
    try:
        for number, name in enumerate(names, start=1):
            print(f"benchmark {number} of {len(names)}: {name}", flush=True)
            measured.append(BENCHMARKS[name](options.runs))
    except (parse_time.ParseFailed, dag_run.RunFailed, DemoError) as exc:
        print(f"benchmarks: {exc}", file=sys.stderr)
        return 1
    results: dict[str, Any] = {}
    for one in measured:
        for name, rows in one.tables.items():
            print(f"\n{name}\n{_table(rows)}")
        results |= {**one.more, **one.tables}
    machine = {
        "python": platform.python_version(),
        "airflow": version("apache-airflow"),
        "provider": version("airflow-provider-featurebase"),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
    }
    written_at = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
    options.output.write_text(json.dumps({"at": written_at, "on": machine, **results}, indent=2) + "\n")
    print(f"\nwrote {options.output}")
    missed = [goal for one in measured for goal in one.missed]
    for goal in missed:
        print(f"benchmarks: missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


def _exposure(runs: int) -> Measured:
    found = measure_exposure(runs)
    tables = {"exposure": found.rows(), "exposure_by_store": found.rows_by_store()}
    return Measured(tables, found.as_json(), found.missed())


def _distribution(runs: int) -> Measured:
    return Measured({"distribution": distribution.measure(runs), "arming": distribution.measure_arming(runs)})


def _history(runs: int) -> Measured:
    return Measured({"history": history.measure(runs)})


def _parsing(runs: int) -> Measured:
    rows, compiling = parse_time.measure(runs), parse_time.measure(runs, compiled=False)
    tables = {
        "parse_time": rows,
        "parse_time_without_cached_bytecode": compiling,
        "operator_imports": parse_time.measure_operators(runs),
    }
    missed = [f"{goal}, without cached bytecode" for goal in parse_time.missed(compiling)]
    return Measured(tables, missed=[*parse_time.missed(rows), *missed])


def _past_runs(runs: int) -> Measured:
    rows = past_runs.measure()
    return Measured({"past_runs": rows}, missed=past_runs.missed(rows))


def _waiting(runs: int) -> Measured:
    rows = waiting.measure()
    return Measured({"waiting": rows}, missed=waiting.missed(rows))


def _dag_run(runs: int) -> Measured:
    return Measured(dag_run.measure((runs + 1) // 2))


BENCHMARKS: Mapping[str, Callable[[int], Measured]] = {
    "exposure": _exposure,
    "dag_run": _dag_run,
    "distribution": _distribution,
    "history": _history,
    "past_runs": _past_runs,
    "waiting": _waiting,
    "parsing": _parsing,
}


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description="Measure this provider.")
    parser.add_argument("--only", choices=BENCHMARKS, help="run this one; bench.json then holds nothing else")
    parser.add_argument("--runs", type=int, default=9, help="runs per case (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), help="where figures go (%(default)s)")
    return parser.parse_args(argv)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
