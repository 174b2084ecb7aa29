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
    from tests.crash.points import Strategy

COLUMNS: dict[Strategy, tuple[str, ...]] = {
    "refresh": ("point", "what died", "brought home by", "tries", "refreshes", "converged", "events accepted"),
    "overlap": ("point", "what died", "tries", "refreshes", "changes", "refused", "converged", "events accepted"),
}
HEAD = """# What happens when a process dies

Made by `make crash`: a real Airflow (all daemons, LocalExecutor, PostgreSQL), the sandbox Featurebase, two HTTP config
services as stores, a receiver that verifies signatures, and 2 events a second.

A call is held from outside at the point that is meant: by the sandbox or before it, by a store, by the receiver, or,
where a record is written, before Airflow's API server. Then processes get SIGKILL. A case counts only if the journal
there shows that the point was reached.

* *task*: the process that runs the task. *supervisor*: the worker process that forked it; the task then runs on as an
  orphan beside its next try, and its held call is let go while that one works. *both*: these two. *machine*: these two
  and the scheduler.
* *tries*: of the task that died, the first one included.
* *refreshes*: committed by Featurebase, as its journal shows, from the trigger to the end of the case.
"""
PARTS: dict[Strategy, str] = {
    "refresh": """## One webhook: `strategy: refresh`

In most cases a Variable is a store, too. *converged*: every store holds Featurebase's current secret, none was ever set
back to an older one, and every event that was emitted meanwhile was accepted in the end.

After each a person clears the whole run, and where the task died its task before that: these end well and refresh
nothing more. *clear task* and *clear run* as what brought it home: there the tasks had no retries.
""",
    "overlap": """## A pair of webhooks: `strategy: overlap`

The receiver accepts both secrets. Both webhooks and both stores are looked at whenever one of them changes.

* *changes*: how often Featurebase carried out a change of a webhook's status. Two move the deliveries; a try that can't
  know whether the last one's change took effect may make it again.
* *refused*: deliveries that the receiver refused, test events not counted.
* *converged*: one webhook is active, the right one, and the stores hold what they must; at no moment was none active,
  or was an active webhook's secret missing in a store; no store was ever given a secret of neither webhook; everything
  that happened meanwhile reached the receiver from one of the webhooks.

After each a person clears the task that died, with its supervisor or alone, and all after it, or else the whole run:
that ends well, refreshes nothing more and changes no status. A case that *reverts* begins after a whole run, and one
that *drains* long after one. *Then reverted*: a run with `mode=revert` follows, and moves the deliveries back. *Clear
run*: the run ends as failed, as it must, and a person clears it once the receiver works again.

Where a record is held and only the task dies, its supervisor still has the record written.
""",
}


def counts(results: Iterable[Result]) -> dict[str, int]:
    """The matrix in figures."""
    rows = list(results)
    return {
        "cases": len(rows),
        "reached": sum(row.reached for row in rows),
        "converged": sum(row.converged for row in rows),
        "one_refresh": sum(row.refreshes == 1 for row in rows),
        "two_refreshes": sum(row.refreshes == 2 for row in rows),
        "refused": sum(row.refused for row in rows),
        "events": sum(row.events for row in rows),
        "accepted": sum(row.accepted for row in rows),
    }


def by_strategy(results: Sequence[Result]) -> dict[Strategy, list[Result]]:
    """The cases of each strategy that was played."""
    found = {strategy: [row for row in results if row.strategy == strategy] for strategy in COLUMNS}
    return {strategy: rows for strategy, rows in found.items() if rows}


def as_text(results: Sequence[Result]) -> str:
    """The tables for a terminal."""
    console = Console(file=io.StringIO(), width=170, color_system=None)
    for strategy, rows in by_strategy(results).items():
        table = Table(title=f"Crash matrix, strategy: {strategy}", title_justify="left")
        for column in (*COLUMNS[strategy], "problem"):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*_cells(row), (row.problem or "")[:300])
        console.print(table)
        console.print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts(rows).items()))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def write_json(path: Path, results: Sequence[Result], *, seconds: float) -> None:
    """Everything, for programs."""
    document: dict[str, Any] = {
        "counts": {strategy: counts(rows) for strategy, rows in by_strategy(results).items()},
        "seconds": round(seconds),
        "cases": [row.as_json() for row in results],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def as_page(results: Sequence[Result], before: str = "") -> str:
    """The documentation's page.

    :param before: the page as it was; what it says of a strategy that was not played is kept.
    """
    played = by_strategy(results)
    parts = [_part(strategy, played[strategy]) if strategy in played else _kept(strategy, before) for strategy in PARTS]
    return "\n".join([HEAD, *parts])


def _kept(strategy: Strategy, page: str) -> str:
    """The part of a page about a strategy."""
    heading = PARTS[strategy].partition("\n")[0]
    _, found, rest = page.partition(f"{heading}\n")
    return found + rest.partition("\n## ")[0]


def _part(strategy: Strategy, rows: Sequence[Result]) -> str:
    columns, figures = COLUMNS[strategy], counts(rows)
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    summary = f"{figures['cases']} cases, {figures['reached']} reached, {figures['converged']} converged; "
    if strategy == "refresh":
        summary += f"one refresh in {figures['one_refresh']}, two in {figures['two_refreshes']}."
        summary += (
            "\n\nTwo refreshes: an emergency rotation beside the run makes one of its own; and so does an orphan that "
            "had compared before its supervisor died, and whose request Featurebase carries out after the next try's. "
            "That no client can exclude, as the API has no preconditions. The run notices it, the report says so, and "
            "the stores get the newest secret."
        )
    else:
        summary += f"{figures['refused']} deliveries refused of {figures['events']} events."
    return "\n".join([PARTS[strategy], summary, "", *lines]) + "\n"


def _cells(row: Result) -> list[str]:
    died = f"{row.killed}; the orphan {row.orphan}" if row.orphan else row.killed
    home = row.home if row.killed != "nothing" else "nobody"
    figures = [str(row.tries), str(row.refreshes)]
    ends = [
        "yes" if row.converged else "no",
        "all" if row.converged and row.events == row.accepted else f"{row.accepted} of {row.events}",
    ]
    if row.strategy == "overlap":
        died += f"; {row.home}" if row.home != "retry" else ""
        died += "; then reverted" if row.went_back else ""
        return [row.point, died, *figures, str(row.changes), str(row.refused), *ends]
    return [row.point, died, home, *figures, *ends]
