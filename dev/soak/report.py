"""The soak's figures as tables, a column for each combination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from dev.soak.calendar_findings import CalendarFigures
from dev.soak.findings import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


Part = Sequence[Figures] | Sequence[CalendarFigures]
"""What one part of the soak came to, a column for each combination."""


def table(title: str, columns: Part) -> Table:
    """One part of the soak."""
    made = Table(title=f"\n{title}", title_justify="left", title_style="bold")
    made.add_column("")
    for figures in columns:
        made.add_column(figures.combination, justify="right")
    for name, *cells in _rows(columns):
        made.add_row(name, *cells)
    return made


def renew(page: Path, parts: Sequence[tuple[str, Part]], *, seed: int) -> None:
    """Write the figures into a Markdown page, in place of those between its marks.

    :raises ValueError: the page has no marks.
    """
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page} lacks {BEGIN} or {END}")
    blocks = [f"{BEGIN}\n\nSeed {seed}."]
    for title, columns in parts:
        head = f"| {title} | {' | '.join(figures.combination for figures in columns)} |"
        ruler = f"| --- |{' ---: |' * len(columns)}"
        blocks.append("\n".join([head, ruler, *(f"| {' | '.join(_markdown(row))} |" for row in _rows(columns))]))
    page.write_text(f"{before}{chr(10).join(block + chr(10) for block in blocks)}\n{END}{after}", encoding="utf-8")


def _markdown(row: Sequence[str]) -> list[str]:
    name = row[0].strip()
    return [f"... {name}" if row[0].startswith(" ") else name, *row[1:]]


def _rows(columns: Part) -> Iterator[tuple[str, ...]]:
    years = [one for one in columns if isinstance(one, CalendarFigures)]
    yield from _calendar_rows(years) if years else _rotation_rows([one for one in columns if isinstance(one, Figures)])


def _calendar_rows(columns: Sequence[CalendarFigures]) -> Iterator[tuple[str, ...]]:
    yield _row("days", [f"{one.days:.0f}" for one in columns])
    yield _row("Dag runs", [one.runs for one in columns])
    yield _row("rotations", [sum(one.rotations.values()) for one in columns])
    for name in sorted({name for one in columns for name in one.rotations}):
        yield _row(f"  {name}", [one.rotations.get(name, 0) for one in columns])
    yield _row("held back", [sum(one.held.values()) for one in columns])
    for name in sorted({name for one in columns for name in one.held}):
        yield _row(f"  {name}", [one.held.get(name, 0) for one in columns])
    yield _row("audits", [one.audits for one in columns])
    for name in sorted({name for one in columns for name in one.healed}):
        yield _row(f"  {name} found and mended", [one.healed.get(name, 0) for one in columns])
    yield _row("previous secret kept", [one.previous_kept for one in columns])
    yield _row("  until all retries were over", [one.previous_kept_through_retries for one in columns])
    yield _row("  dropped after its time", [one.previous_dropped for one in columns])
    yield _row("events emitted", [one.emitted for one in columns])
    yield _row("  attempts refused (401)", [one.refused for one in columns])
    yield _row("  accepted, signed with a replaced secret", [one.accepted_with_replaced for one in columns])
    yield _row("  lost", [one.lost for one in columns])
    yield _row("seconds", [f"{one.seconds:.0f}" for one in columns])


def _rotation_rows(columns: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
    yield _row("rotations", [one.rotations for one in columns])
    yield _row("  nothing went wrong in", [one.undisturbed for one in columns])
    yield _row("faults met", [sum(one.faults.values()) for one in columns])
    for name in sorted({name for one in columns for name in one.faults}):
        yield _row(f"  {name}", [one.faults.get(name, 0) for one in columns])
    if any(one.kills for one in columns):
        yield _row("processes killed", [sum(one.kills.values()) for one in columns])
        for name in sorted({name for one in columns for name in one.kills}):
            yield _row(f"  {name}", [one.kills.get(name, 0) for one in columns])
    yield _row("failed tasks cleared", [one.clears_of_failed_tasks for one in columns])
    yield _row("finished runs cleared", [one.runs_cleared_whole for one in columns])
    yield _row("distribute runs needed", [one.healed_by_distribute for one in columns])
    for name in sorted({name for one in columns for name in one.outcomes}):
        yield _row(f"outcome {name}", [one.outcomes.get(name, 0) for one in columns])
    for count in sorted({count for one in columns for count in one.refreshes}):
        yield _row(
            f"rotations with {count} refresh{'es' * (count > 1)}", [one.refreshes.get(count, 0) for one in columns]
        )
    yield _row("events emitted", [one.emitted for one in columns])
    yield _row("  first attempts refused (401)", [one.first_attempts_refused for one in columns])
    yield _row("  first attempts failed (503)", [one.hiccups for one in columns])
    yield _row("  accepted in the end", [one.accepted for one in columns])
    yield _row("  lost", [one.lost for one in columns])
    yield _row("    first refused (401)", [one.lost_first_refused for one in columns])
    yield _row("    first failed otherwise", [one.lost_first_failed_otherwise for one in columns])
    for mark in ("p50", "p90", "p99", "max"):
        yield _row(f"exposure {mark}, ms", [_shown(one.exposure_ms, mark) for one in columns])
    for mark in ("p50", "p90", "p99", "max"):
        yield _row(f"  undisturbed {mark}, ms", [_shown(one.exposure_undisturbed_ms, mark) for one in columns])
    yield _row("seconds", [f"{one.seconds:.0f}" for one in columns])


def _shown(marks: Mapping[str, int | None], mark: str) -> str:
    value = marks.get(mark)
    return "-" if value is None else f"{value:,}"


def _row(name: str, values: Sequence[object]) -> tuple[str, ...]:
    return (name, *(f"{value:,}" if isinstance(value, int) else str(value) for value in values))
