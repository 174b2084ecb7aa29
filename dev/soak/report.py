"""The soak's figures as tables, a column for each combination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from dev.soak.calendar_findings import CalendarFigures
from dev.soak.findings import Figures
from dev.soak.pair_calendar_findings import PairCalendarFigures
from dev.soak.pair_findings import PairFigures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dev.soak.pair_deliveries import Deliveries

Part = Sequence[Figures] | Sequence[CalendarFigures] | Sequence[PairFigures] | Sequence[PairCalendarFigures]
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


def renew(page: Path, name: str, title: str, columns: Part, *, made: str) -> None:
    """Write one part's figures into a Markdown page, in place of those between its marks. Other parts' stay.

    :param name: names the part in the marks.
    :param made: how and when the figures were made, for the line above the table.
    :raises ValueError: the page has no marks for the part.
    """
    begin, end = f"<!-- figures: {name} -->", f"<!-- end of figures: {name} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} lacks {begin} or {end}")
    head = f"| {title} | {' | '.join(figures.combination for figures in columns)} |"
    ruler = f"| --- |{' ---: |' * len(columns)}"
    lines = [head, ruler, *(f"| {' | '.join(_markdown(row))} |" for row in _rows(columns))]
    text = "\n".join([f"{before}{begin}", "", made, "", *lines, "", f"{end}{after}"])
    page.write_text(text, encoding="utf-8")


def _markdown(row: Sequence[str]) -> list[str]:
    name = row[0].strip()
    return [f"... {name}" if row[0].startswith(" ") else name, *row[1:]]


def _rows(columns: Part) -> Iterator[tuple[str, ...]]:
    yield from _calendar_rows([one for one in columns if isinstance(one, CalendarFigures)])
    yield from _rotation_rows([one for one in columns if isinstance(one, Figures)])
    yield from _pair_rows([one for one in columns if isinstance(one, PairFigures)])
    yield from _pair_calendar_rows([one for one in columns if isinstance(one, PairCalendarFigures)])


def _calendar_rows(columns: Sequence[CalendarFigures]) -> Iterator[tuple[str, ...]]:
    if not columns:
        return
    yield from _year_rows(columns)
    yield _row("previous secret kept", [one.previous_kept for one in columns])
    yield _row("  until all retries were over", [one.previous_kept_through_retries for one in columns])
    yield _row("  dropped after its time", [one.previous_dropped for one in columns])
    yield _row("events emitted", [one.emitted for one in columns])
    yield _row("  attempts refused (401)", [one.refused for one in columns])
    yield _row("  accepted, signed with a replaced secret", [one.accepted_with_replaced for one in columns])
    yield _row("  lost", [one.lost for one in columns])
    yield _row("seconds", [f"{one.seconds:.0f}" for one in columns])


def _year_rows(columns: Sequence[CalendarFigures] | Sequence[PairCalendarFigures]) -> Iterator[tuple[str, ...]]:
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


def _disturbance_rows(columns: Sequence[Figures] | Sequence[PairFigures]) -> Iterator[tuple[str, ...]]:
    yield _row("rotations", [one.rotations for one in columns])
    yield _row("  nothing went wrong in", [one.undisturbed for one in columns])
    yield from _counted("faults met", [one.faults for one in columns])
    if any(one.kills for one in columns):
        yield from _counted("processes killed", [one.kills for one in columns])


def _outcome_rows(columns: Sequence[Figures] | Sequence[PairFigures]) -> Iterator[tuple[str, ...]]:
    for name in sorted({name for one in columns for name in one.outcomes}):
        yield _row(f"outcome {name}", [one.outcomes.get(name, 0) for one in columns])
    for count in sorted({count for one in columns for count in one.refreshes}):
        yield _row(
            f"rotations with {count} refresh{'es' * (count != 1)}", [one.refreshes.get(count, 0) for one in columns]
        )


def _pair_rows(columns: Sequence[PairFigures]) -> Iterator[tuple[str, ...]]:
    if not columns:
        return
    yield from _disturbance_rows(columns)
    yield from _counted("a person intervened", [one.by_hand for one in columns])
    yield _row("failed tasks cleared", [one.clears_of_failed_tasks for one in columns])
    yield _row("finished runs cleared", [one.runs_cleared_whole for one in columns])
    yield _row("failed before activate, taken back", [one.taken_back for one in columns])
    yield _row("reverted", [one.reverted for one in columns])
    yield _row("distribute runs that drained", [one.drains for one in columns])
    yield from _outcome_rows(columns)
    yield _row("moments judged", [one.changes + one.writes for one in columns])
    yield _row("  changes of a webhook", [one.changes for one in columns])
    yield _row("  writes of a store", [one.writes for one in columns])
    yield from _delivery_rows(columns)
    for mark in ("p50", "p90", "p99", "max"):
        yield _row(f"both webhooks active {mark}, ms", [_shown(one.both_ms, mark) for one in columns])
    yield _row("seconds", [f"{one.seconds:.0f}" for one in columns])


def _pair_calendar_rows(columns: Sequence[PairCalendarFigures]) -> Iterator[tuple[str, ...]]:
    if not columns:
        return
    yield from _year_rows(columns)
    yield _row("both secrets kept", [one.both_kept for one in columns])
    yield _row("  until all retries were over", [one.both_kept_through_retries for one in columns])
    yield _row("  then the new one in both places", [one.half_drained for one in columns])
    yield _row("  then the new one alone", [one.drained for one in columns])
    yield from _delivery_rows(columns)
    yield _row("seconds", [f"{one.seconds:.0f}" for one in columns])


def _delivery_rows(columns: Sequence[Deliveries]) -> Iterator[tuple[str, ...]]:
    yield _row("events emitted", [one.emitted for one in columns])
    yield _row("  delivered", [one.accepted for one in columns])
    yield _row("  delivered by both webhooks", [one.twice for one in columns])
    yield _row("  lost", [one.lost for one in columns])
    yield _row("  lost with the old webhook's pause: failed before", [one.lost_by_pause for one in columns])
    yield _row("  lost by a person's doing", [one.lost_by_hand for one in columns])
    yield _row("  told to nobody: a person had paused both", [one.told_to_nobody for one in columns])
    yield _row("attempts to deliver", [one.attempts for one in columns])
    yield _row("  refused (401)", [one.refused for one in columns])
    yield _row("  refused (401) by a person's doing", [one.refused_by_hand for one in columns])
    yield _row("  failed otherwise (503)", [one.failed_otherwise for one in columns])
    yield _row("  accepted although the webhook was paused", [one.accepted_while_paused for one in columns])


def _rotation_rows(columns: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
    if not columns:
        return
    yield from _disturbance_rows(columns)
    yield _row("failed tasks cleared", [one.clears_of_failed_tasks for one in columns])
    yield _row("finished runs cleared", [one.runs_cleared_whole for one in columns])
    yield _row("distribute runs needed", [one.healed_by_distribute for one in columns])
    yield from _outcome_rows(columns)
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


def _counted(title: str, counts: Sequence[Mapping[str, int]]) -> Iterator[tuple[str, ...]]:
    """The sums, and a row for each name."""
    yield _row(title, [sum(one.values()) for one in counts])
    for name in sorted({name for one in counts for name in one}):
        yield _row(f"  {name}", [one.get(name, 0) for one in counts])


def _shown(marks: Mapping[str, int | None], mark: str) -> str:
    value = marks.get(mark)
    return "-" if value is None else f"{value:,}"


def _row(name: str, values: Sequence[object]) -> tuple[str, ...]:
    return (name, *(f"{value:,}" if isinstance(value, int) else str(value) for value in values))
