"""What the demo prints: progress while it runs, then a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dev.demo.figures import Figures
    from dev.demo.timeline import Second, Timeline

AROUND = 3
FIRST_USE = {"refresh": "the refresh", "overlap": "the moment in which the new webhook was set active"}
"""From which moment Featurebase signs with the new secret, by strategy."""


class Story:
    """Prints to a terminal or a file."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, width=110)

    def step(self, text: str) -> None:
        """Say what happens now."""
        self.console.print(f"[bold]>[/bold] {text}")

    def task(self, task_id: str, state: str) -> None:
        """Say that a task changed its state."""
        if state in ("running", "success", "failed", "up_for_retry", "deferred", "skipped", "upstream_failed"):
            self.console.print(f"    {task_id:<24} {state}")

    def act(self, strategy: str) -> None:
        """Begin a rotation by one strategy."""
        self.console.rule(f"strategy: {strategy}")

    def report(
        self,
        strategy: str,
        *,
        rotation: Mapping[str, Any],
        timeline: Timeline,
        figures: Figures,
        tasks: Mapping[str, Mapping[str, Any]],
        speed: float,
    ) -> None:
        """Print the report of one rotation."""
        self.console.rule(f"What happened with strategy: {strategy}")
        self._secret(rotation)
        self._seconds(timeline, FIRST_USE[strategy])
        if strategy == "refresh":
            self._exposure(rotation, timeline)
        self._tasks(tasks)
        retried = (
            f" Retries ran {speed:.0f} times faster than Featurebase's (1 min, 1 h, 6 h)." if figures.refused else ""
        )
        self.console.print(
            f"\n[bold]{figures.happened} events happened, {figures.happened - figures.lost} were accepted in the end, "
            f"{figures.lost} lost.[/bold] Deliveries refused: {figures.refused}. Duplicates: {figures.duplicates}."
            f"{retried}"
        )

    def compare(self, figures: Mapping[str, Figures]) -> None:
        """Print the strategies side by side."""
        self.console.rule("Side by side")
        table = Table()
        table.add_column("")
        for strategy in figures:
            table.add_column(f"strategy: {strategy}", justify="right")
        rows = {
            "events that happened": lambda one: str(one.happened),
            "deliveries refused": lambda one: str(one.refused),
            "events lost": lambda one: str(one.lost),
            "duplicates": lambda one: str(one.duplicates),
            "exposure": lambda one: one.exposure,
            "API calls": lambda one: str(one.api_calls),
            "duration of the run": lambda one: f"{one.seconds:.0f} s",
        }
        for title, cell in rows.items():
            table.add_row(title, *(cell(one) for one in figures.values()))
        self.console.print(table)

    def _secret(self, rotation: Mapping[str, Any]) -> None:
        self.console.print(
            f"outcome        [bold]{rotation['outcome']}[/bold] ({str(rotation['how']).replace('_', ' ')})"
        )
        self.console.print(f"secret before  {rotation['before']}")
        self.console.print(f"secret after   {rotation['after']}")
        for name, facts in (("probe", rotation["probe"]), ("deliveries", rotation["delivery"])):
            if facts:
                self.console.print(f"{name:<14} {facts.get('result') or facts.get('kind')}: {facts['detail']}")

    def _seconds(self, timeline: Timeline, first_use: str) -> None:
        table = Table(title=f"\nEvents, by second from {first_use}", title_justify="left", title_style="bold")
        for column in ("second", "emitted", "accepted at once", "refused with 401", "retried and accepted"):
            table.add_column(column, justify="right")
        for row in _condensed(timeline.seconds):
            table.add_row(*row)
        self.console.print(table)

    def _exposure(self, rotation: Mapping[str, Any], timeline: Timeline) -> None:
        table = Table(title="\nExposure (upper bounds)", title_justify="left", title_style="bold")
        table.add_column("who")
        table.add_column("result")
        table.add_column("milliseconds", justify="right")
        for store in rotation["stores"]:
            ms = store["readable_ms"]
            table.add_row(f"store {store['label']}", store["result"], "-" if ms is None else f"{ms:.0f}")
        if rotation["receiver_exposure_ms"] is not None:
            table.add_row("receiver, by the probe task", "accepted", f"{rotation['receiver_exposure_ms']:.0f}")
        if timeline.receiver_exposure_ms is not None:
            table.add_row("receiver, by the first real delivery", "accepted", str(timeline.receiver_exposure_ms))
        self.console.print(table)

    def _tasks(self, tasks: Mapping[str, Mapping[str, Any]]) -> None:
        table = Table(title="\nTasks", title_justify="left", title_style="bold")
        table.add_column("task")
        table.add_column("state")
        table.add_column("seconds", justify="right")
        for task_id, task in sorted(tasks.items(), key=lambda item: item[1]["start_date"] or "~"):
            duration = task["duration"]
            table.add_row(task_id, task["state"] or "none", "-" if duration is None else f"{duration:.1f}")
        self.console.print(table)


def _condensed(seconds: tuple[Second, ...]) -> list[tuple[str, ...]]:
    """Each second around the refresh and around refusals; quiet stretches as one row with their sums."""
    near = {at for row in seconds if row.refused or row.retried or row.offset in (-1, 0) for at in _around(row.offset)}
    rows: list[tuple[str, ...]] = []
    quiet: list[Second] = []
    for row in seconds:
        if row.offset in near:
            rows += _quiet_row(quiet)
            quiet = []
            rows.append(_cells(str(row.offset), [row]))
        else:
            quiet.append(row)
    return rows + _quiet_row(quiet)


def _around(offset: int) -> range:
    return range(offset - AROUND, offset + AROUND + 1)


def _quiet_row(rows: list[Second]) -> list[tuple[str, ...]]:
    if not rows:
        return []
    return [_cells(f"{rows[0].offset} to {rows[-1].offset}", rows)]


def _cells(label: str, rows: list[Second]) -> tuple[str, ...]:
    sums = (sum(getattr(row, name) for row in rows) for name in ("emitted", "accepted", "refused", "retried"))
    return (label, *(str(number) for number in sums))
