"""The tables of docs/overlap.md that come from a run of these tests.

Usage, after a run with FEATUREBASE_OVERLAP_ROWS set: python -m tests.overlap.page ROWS_FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.overlap.slow import RECEIVERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.overlap.duplicates import Moved
    from tests.overlap.slow import Played

PAGE = Path(__file__).parents[2] / "docs" / "overlap.md"
BEGIN, END = "<!-- begin: {}, written by make slow-receivers -->", "<!-- end: {} -->"
SLOW, DUPLICATES = "slow receivers", "duplicates"
ROWS_FOLDER = os.environ.get("FEATUREBASE_OVERLAP_ROWS")


def keep(receiver: str, strategy: str, seed: int, played: Played) -> None:
    """Keep what a rotation did for the page."""
    _keep(
        table=SLOW,
        receiver=receiver,
        strategy=strategy,
        seed=seed,
        refused=len(played.refused),
        lost=played.lost,
        duplicates=played.duplicates,
        state=played.run.state,
    )


def keep_duplicates(moved: Moved) -> None:
    """Keep how many duplicates a rotation made for the page."""
    _keep(
        table=DUPLICATES,
        per_second=moved.per_second,
        first_delivery=moved.first_delivery,
        seconds=moved.seconds,
        duplicates=moved.duplicates,
        poll_interval=moved.poll_interval,
    )


def _keep(**row: Any) -> None:
    if ROWS_FOLDER:
        with (Path(ROWS_FOLDER) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def receivers_table(rows: Iterable[dict[str, Any]]) -> str:
    """A line for each receiver; the numbers of several seeds stand side by side."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row["seed"]):
        found[row["receiver"]][row["strategy"]].append(row)
    lines = [
        "| receiver | `overlap`: refused | lost | duplicates | the run | `refresh`: refused | lost | the run |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    for receiver in (kind.words for kind in RECEIVERS):
        by_strategy = found[receiver]
        cells = [receiver]
        for strategy, fields in (
            ("overlap", ("refused", "lost", "duplicates", "state")),
            ("refresh", ("refused", "lost", "state")),
        ):
            cells += [_side_by_side(by_strategy[strategy], field) for field in fields]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def duplicates_table(rows: Iterable[dict[str, Any]]) -> str:
    """A line for each pace of events."""
    found: dict[tuple[float, str], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["per_second"], row["poll_interval"]][row["first_delivery"]].append(row)
    lines = [
        "| events a second | `poll_interval` | `PT1M`: both active | duplicates | `PT5M`: both active | duplicates |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for (per_second, poll_interval), by_limit in sorted(found.items()):
        cells = [f"{per_second:g}", poll_interval]
        for limit in ("PT1M", "PT5M"):
            cells.append(", ".join(f"{row['seconds']:.1f} s" for row in by_limit[limit]))
            cells.append(_side_by_side(by_limit[limit], "duplicates"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _side_by_side(rows: Iterable[dict[str, Any]], field: str) -> str:
    values = [str(row[field]) for row in rows]
    are_alike = len(set(values)) == 1 and not values[0].isdigit()
    return values[0] if are_alike else ", ".join(values)


def replaced(page: str, name: str, table: str) -> str:
    """The page with another table between the marks of this name.

    :raises ValueError: the page lacks a mark.
    """
    begin, end = BEGIN.format(name), END.format(name)
    head, found, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{head}{begin}\n\n{table}\n\n{end}{tail}"


def main(folder: Path) -> None:
    """Put the rows of a run into the page."""
    rows = [
        json.loads(line)
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    page = PAGE.read_text(encoding="utf-8")
    for name, table in ((SLOW, receivers_table), (DUPLICATES, duplicates_table)):
        page = replaced(page, name, table(row for row in rows if row["table"] == name))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
