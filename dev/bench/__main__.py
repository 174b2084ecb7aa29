"""Runs every benchmark: prints a table each, and writes all figures to bench.json.

Usage: python -m dev.bench [--runs N] [--output PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.airflow.processes import DemoError
from dev.bench import dag_run, distribution, history, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write.

    :returns: exit status: 1 where a goal was missed, or something could not be measured; in the latter case bench.json
        stays as it was.
    """
    options = _options(argv)
    try:
        results = {
            "distribution": distribution.measure(options.runs),
            "arming": distribution.measure_arming(options.runs),
            "history": history.measure(options.runs),
            "parse_time": parse_time.measure(options.runs),
            "operator_imports": parse_time.measure_operators(options.runs),
            **dag_run.measure((options.runs + 1) // 2),
        }
    except (parse_time.ParseFailed, dag_run.RunFailed, DemoError) as exc:
        print(f"benchmarks: {exc}", file=sys.stderr)
        return 1
    for name, rows in results.items():
        print(f"\n{name}\n{_table(rows)}")
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
    missed = parse_time.missed(results["parse_time"])
    for goal in missed:
        print(f"benchmarks: missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description="Measure this provider.")
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
