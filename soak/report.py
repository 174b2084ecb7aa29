"""The soak's figures as tables, a column for each combination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from soak.findings import Figures

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def table(title: str, columns: Sequence[Figures]) -> Table:
    """One part of the soak."""
    made = Table(title=f"\n{title}", title_justify="left", title_style="bold")
    made.add_column("")
    for figures in columns:
        made.add_column(figures.combination, justify="right")
    for name, *cells in _rows(columns):
        made.add_row(name, *cells)
    return made


def renew(page: Path, parts: Sequence[tuple[str, Sequence[Figures]]], *, seed: int) -> None:
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


def _rows(columns: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
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
