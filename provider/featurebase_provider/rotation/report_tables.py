"""The text of a rotation's report: its head, its tables and its notes, for a task's log. Holds no secret."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from featurebase_provider.featurebase.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.found import FoundStore


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task of the Dag run.

    :param state: Airflow's state, or None if it has not run.
    :param seconds: its duration, if Airflow provides it.
    :param why: the task's own message about why it was skipped or failed, if it left one.
    """

    task_id: str
    state: str | None
    seconds: float | None = None
    why: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the task itself failed."""
        return self.state == "failed"


def as_page(head: Iterable[tuple[str, str]], tables: Iterable[Table], notes: Iterable[str], *, width: int) -> str:
    """Names with their values, tables, and notes, one below the other.

    :param width: columns in characters; a note may be longer.
    """
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, emoji=False)
    top = Table(show_header=False, box=None, pad_edge=False)
    top.add_column()
    top.add_column(overflow="fold")
    for name, value in head:
        top.add_row(name, escape(one_line(value, 2200)))
    console.print(top)
    for table in tables:
        console.print(table)
    for note in notes:
        # Not wrapped: a line of the log must not begin within other people's text.
        console.print(f"- {escape(one_line(note, 2200))}", soft_wrap=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def store_table(stores: Iterable[StoreOutcome]) -> Table:
    """What each store holds."""
    table = Table(title="\nStores", title_justify="left")
    for column in ("store", "target", "result", "holds", "readable after", "confirmed after"):
        table.add_column(column, overflow="fold")
    for store in stores:
        times = ["" if took is None else f"{took:.0f} ms" for took in (store.readable_ms, store.confirmed_ms)]
        said = store.problem or store.detail
        result = store.result if not said else f"{store.result}: {one_line(said, 300)}"
        target = escape(one_line(store.target, 2100))
        table.add_row(store.label, target, escape(result), store.fingerprint or "unknown", *times)
    return table


def store_line(store: StoreOutcome) -> str:
    """A store's outcome in one line, for a task's log."""
    holds = f", holds {store.fingerprint}" if store.fingerprint else ""
    exposure = "" if store.readable_ms is None else f", readable {store.readable_ms:.0f} ms after the refresh"
    said = f": {one_line(store.problem, 600)}" if store.problem else ""
    return f"Store {store.label} ({store.target}): {store.result}{holds}{exposure}{said}"


def found_table(stores: Sequence[FoundStore]) -> Table:
    """What preflight found in each store."""
    table = Table(title="\nStores, as preflight found them", title_justify="left")
    for column in ("store", "target", "holds", "fingerprint", "can it be written"):
        table.add_column(column, overflow="fold")
    for store in stores:
        target, said = escape(one_line(store.target, 2100)), escape(one_line(store.said, 300))
        table.add_row(store.label, target, store.holding.replace("_", " "), store.fingerprint or "", said)
    return table


def task_table(tasks: Iterable[TaskRow]) -> Table:
    """The state of each task."""
    table = Table(title="\nTasks", title_justify="left")
    for column in ("task", "state", "seconds"):
        table.add_column(column)
    for task in tasks:
        table.add_row(task.task_id, task.state or "none", "" if task.seconds is None else f"{task.seconds:.1f}")
    return table
