"""Where a scanner has looked and how many secrets it found there, as text and as the table of docs/leaks.md."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.leaks.scanner import LeakScanner, Place

BEGIN, END = "<!-- written by a run -->", "<!-- end of what a run writes -->"
SUMMARY = "where secrets were looked for"
"""The property in which a test leaves :func:`as_text` for the end of the test run."""
HEAD = ("kind of place", "places", "what was read", "hits")


def rows(scanner: LeakScanner) -> list[tuple[str, str, str, str]]:
    """One row per kind of place: its name, how many, how much, and how many secrets were found."""
    kinds: dict[str, list[Place]] = defaultdict(list)
    for place in scanner.places:
        kinds[place.kind].append(place)
    return [(kind, *_counted(kind, places)) for kind, places in sorted(kinds.items())]


def _counted(kind: str, places: Iterable[Place]) -> tuple[str, str, str]:
    found = list(places)
    names = len({place.name for place in found})
    read = [f"{sum(place.size for place in found) / 1000:,.0f} kB"]
    if kind == "database table":
        read.insert(0, f"{sum(place.columns for place in found)} columns, {sum(place.items for place in found):,} rows")
    elif len(found) != names:
        read.insert(0, f"{len(found):,} answers")
    return f"{names:,}", ", ".join(read), str(sum(len(place.leaks) for place in found))


def as_text(scanner: LeakScanner) -> str:
    """The rows below each other, with the hits one by one."""
    table = [HEAD, *rows(scanner)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    lines += [f"LEAK: {leak.secret}, {leak.form}, in {leak.place}" for leak in scanner.leaks]
    lines.append(f"{scanner.secrets} secrets looked for in each of their forms; {len(scanner.leaks)} hits")
    return "\n".join(lines)


def as_markdown(scanner: LeakScanner) -> str:
    """The rows as a Markdown table."""
    table = [HEAD, ("---",) * len(HEAD), *rows(scanner)]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def kinds_in(page: str) -> set[str]:
    """The kinds of place that the table of a page names."""
    _, _, table = page.partition(BEGIN)
    lines = table.partition(END)[0].strip().splitlines()
    return {line.split("|")[1].strip() for line in lines if line.startswith("|")} - {HEAD[0], "---"}


def rewritten(page: str, scanner: LeakScanner, *lines: str) -> str:
    """The page with this scan's table in place of the one that it has.

    :param lines: text behind the table.
    """
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join([as_markdown(scanner), *(f"\n{line}" for line in lines)])
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
