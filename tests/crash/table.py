"""What the crash matrix showed: for people a table, for programs JSON, and a page of the documentation."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.crash.case import Result

COLUMNS = ("point", "what died", "brought home by", "tries", "refreshes", "converged", "events accepted")
HEAD = """# What happens when a process dies

Made by `make crash`: a real Airflow (all daemons, LocalExecutor, PostgreSQL), the sandbox Featurebase, two HTTP config
services and, in most cases, a Variable as stores, a receiver that verifies signatures, and 2 events a second.

A call is held from outside at the point that is meant: by the sandbox, by a store, or by the receiver. Then processes
get SIGKILL. A case counts only if the journal of the sandbox or of the store shows that the point was reached.

* *task*: the process that runs the task. *supervisor*: the worker process that forked it; the task then runs on as an
  orphan beside its next try, and its held call is let go while that one works. *both*: these two. *machine*: these two
  and the scheduler.
* *tries*: of the task that died, the first one included.
* *refreshes*: committed by Featurebase, as its journal shows, from the trigger to the end of the case.
* *converged*: every store holds Featurebase's current secret, none was ever set back to an older one, and every event
  that was emitted meanwhile was accepted in the end.

After each a person clears the whole run, and where the task died its task before that: these end well and refresh
nothing more. *clear task* and *clear run* as what brought it home: there the tasks had no retries.
"""


def counts(results: Iterable[Result]) -> dict[str, int]:
    """The matrix in figures."""
    rows = list(results)
    return {
        "cases": len(rows),
        "reached": sum(row.reached for row in rows),
        "converged": sum(row.converged for row in rows),
        "one_refresh": sum(row.refreshes == 1 for row in rows),
        "two_refreshes": sum(row.refreshes == 2 for row in rows),
        "events": sum(row.events for row in rows),
        "accepted": sum(row.accepted for row in rows),
    }


def as_text(results: Sequence[Result]) -> str:
    """The table for a terminal."""
    console = Console(file=io.StringIO(), width=170, color_system=None)
    table = Table(title="Crash matrix", title_justify="left")
    for column in (*COLUMNS, "problem"):
        table.add_column(column, overflow="fold")
    for row in results:
        table.add_row(*_cells(row), (row.problem or "")[:300])
    console.print(table)
    console.print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts(results).items()))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def write_json(path: Path, results: Sequence[Result], *, seconds: float) -> None:
    """Everything, for programs."""
    document: dict[str, Any] = {
        "counts": counts(results),
        "seconds": round(seconds),
        "cases": [row.as_json() for row in results],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def as_page(results: Sequence[Result]) -> str:
    """The documentation's page."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in results]
    figures = counts(results)
    summary = (
        f"{figures['cases']} cases, {figures['reached']} reached, {figures['converged']} converged; one refresh in "
        f"{figures['one_refresh']}, two in {figures['two_refreshes']}."
    )
    two = (
        "Two refreshes: an emergency rotation beside the run makes one of its own; and so does an orphan that had "
        "compared before its supervisor died, and whose request Featurebase carries out after the next try's. That no "
        "client can exclude, as the API has no preconditions. The run notices it, the report says so, and the stores "
        "get the newest secret."
    )
    return "\n".join([HEAD, summary, two, "", *lines]) + "\n"


def _cells(row: Result) -> list[str]:
    died = f"{row.killed}; the orphan {row.orphan}" if row.orphan else row.killed
    return [
        row.point,
        died,
        row.home if row.killed != "nothing" else "nobody",
        str(row.tries),
        str(row.refreshes),
        "yes" if row.converged else "no",
        "all" if row.converged and row.events == row.accepted else f"{row.accepted} of {row.events}",
    ]
