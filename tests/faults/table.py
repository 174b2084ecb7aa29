"""The tables of docs/reliability-matrix.md: written from what a run of the fault matrix saw, and compared with it.

Usage, after a run with FEATUREBASE_FAULT_ROWS set: python -m tests.faults.table ROWS_FOLDER
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, NOT_STARTED
from tests.faults.pair_calls import TAKEN_BACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.faults.runs import Row

PAGE = Path(__file__).parents[2] / "docs" / "reliability-matrix.md"
OUTCOMES = (DONE, NOT_STARTED, TAKEN_BACK, BY_AIRFLOW, BY_HAND)
BEGIN, END = "<!-- begin: the fault matrix, written by make reliability -->", "<!-- end: the fault matrix -->"
PAIR_BEGIN = "<!-- begin: the fault matrix of a pair, written by make reliability -->"
PAIR_END = "<!-- end: the fault matrix of a pair -->"
IS_FULL = os.environ.get("FEATUREBASE_FAULTS") == "full"
ROWS_FOLDER = os.environ.get("FEATUREBASE_FAULT_ROWS")


def settle_with_table(row: Row) -> None:
    """Compare a case with the page, or keep it for the page that is to be written.

    :raises AssertionError: the page says something else of this case.
    """
    if ROWS_FOLDER:
        with (Path(ROWS_FOLDER) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        return
    assert documented().get((row.section, row.fault)) == (row.outcome, cell(row.message)), "see make reliability"


@cache
def documented() -> dict[tuple[str, str], tuple[str, str]]:
    """Outcome and message of every case, as the page has them."""
    found = {}
    section = ""
    page = PAGE.read_text(encoding="utf-8")
    for line in [*between_marks(page).splitlines(), *between_marks(page, PAIR_BEGIN, PAIR_END).splitlines()]:
        if line.startswith("### "):  # above the first of them are the counts
            section = line.removeprefix("### ")
        elif match := re.fullmatch(r"\| (.+?) \| (.+?) \| (.*) \|", line):
            faults, outcome, message = match.groups()
            found.update({(section, fault): (outcome, message) for fault in faults.split("; ")})
    return found


def between_marks(page: str, begin: str = BEGIN, end: str = END) -> str:
    """A part of the page that is generated."""
    return page.partition(begin)[2].partition(end)[0]


def cell(text: str) -> str:
    """The text as it stands in a table: on one line, and nothing of it taken for Markdown or HTML."""
    line = " ".join(text.split())
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", line)


Rows = dict[tuple[str, str], tuple[str, str]]
"""Outcome and message, as it stands in a table, of each section's faults."""


def rendered(rows: Rows, sections: Iterable[str]) -> str:
    """A table of counts, and the sections' tables; faults of one that ended alike with the same words share a line."""
    grouped: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(dict)
    for (section, fault), ended in rows.items():
        grouped[section].setdefault(ended, []).append(fault)
    return "\n".join([*_counts(grouped, sections), *_lines(grouped, sections)])


def _counts(grouped: dict[str, dict[tuple[str, str], list[str]]], sections: Iterable[str]) -> Iterator[str]:
    """How many faults of each section ended in which way."""
    yield from ("", f"| call or store | {' | '.join(OUTCOMES)} |", f"| --- {'| --- ' * len(OUTCOMES)}|")
    totals = Counter[str]()
    for section in sections:
        counts = Counter[str]()
        for (outcome, _), faults in grouped[section].items():
            counts[outcome] += len(faults)
        totals += counts
        yield _counts_line(section, counts)
    yield _counts_line("all", totals)


def _counts_line(words: str, counts: Counter[str]) -> str:
    return f"| {words} | {' | '.join(str(counts[outcome] or '') for outcome in OUTCOMES)} |"


def _lines(grouped: dict[str, dict[tuple[str, str], list[str]]], sections: Iterable[str]) -> Iterator[str]:
    for section in sections:
        yield from ("", f"### {section}", "", "| fault | outcome | what the user reads |", "| --- | --- | --- |")
        for (outcome, message), faults in grouped[section].items():
            yield f"| {'; '.join(faults)} | {outcome} | {message} |"
    yield ""


def main(folder: Path) -> None:
    """Put the rows of a run into the page. A row that was not played, or failed, stays as an earlier run saw it."""
    from tests.faults import memory_faults, pair_calls, pair_store_faults, store_faults
    from tests.faults.cases import CALLS, faults_of
    from tests.faults.runs import Row

    rows: Rows = dict(documented())
    for file in folder.glob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = Row(**json.loads(line))
            rows[row.section, row.fault] = (row.outcome, cell(row.message))
    order = [(call.words, fault.words) for call in CALLS for fault in faults_of(call)]
    order += memory_faults.ordered_faults() + store_faults.ordered_faults()
    of_pair = [(call.words, fault.words) for call in pair_calls.CALLS for fault in pair_calls.faults_of(call)]
    of_pair += pair_store_faults.ordered_faults()
    sections = [*(call.words for call in CALLS), *memory_faults.SECTIONS, *store_faults.SECTIONS]
    _renew(rendered({key: rows[key] for key in order if key in rows}, sections), BEGIN, END)
    sections = [*(call.words for call in pair_calls.CALLS), *pair_store_faults.SECTIONS]
    _renew(rendered({key: rows[key] for key in of_pair if key in rows}, sections), PAIR_BEGIN, PAIR_END)
    missing = [key for key in (*order, *of_pair) if key not in rows]
    if missing:
        raise SystemExit(f"never played: {missing}")


def _renew(table: str, begin: str, end: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, tail = page.partition(begin)[0], page.partition(end)[2]
    PAGE.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
