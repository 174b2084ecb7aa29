"""The tables of docs/overlap.md: each line says what its rows say."""

from __future__ import annotations

import pytest

from tests.overlap.page import BEGIN, DUPLICATES, END, PAGE, SLOW, duplicates_table, receivers_table, replaced
from tests.overlap.slow import RECEIVERS

WORDS = RECEIVERS[0].words


def slow_row(strategy: str, seed: int, refused: int) -> dict[str, object]:
    found = {"refused": refused, "lost": 0, "duplicates": 7, "state": "success"}
    return {"receiver": WORDS, "strategy": strategy, "seed": seed, **found}


def test_the_numbers_of_several_seeds_stand_side_by_side() -> None:
    rows = [slow_row("overlap", 2, 0), slow_row("overlap", 1, 3), slow_row("refresh", 1, 89)]
    line = next(line for line in receivers_table(rows).splitlines() if WORDS in line)
    assert line == f"| {WORDS} | 3, 0 | 0, 0 | 7, 7 | success | 89 | 0 | success |"


def test_a_pace_of_events_has_one_line() -> None:
    rows = [
        {"per_second": 20, "poll_interval": "PT15S", "first_delivery": limit, "seconds": seconds, "duplicates": count}
        for limit, seconds, count in (("PT5M", 2.0, 40), ("PT1M", 1.5, 30))
    ]
    assert duplicates_table(rows).splitlines()[-1] == "| 20 | PT15S | 1.5 s | 30 | 2.0 s | 40 |"


@pytest.mark.parametrize("name", [SLOW, DUPLICATES])
def test_the_page_has_a_place_for_each_table(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"{BEGIN.format(name)}\n\na table\n\n{END.format(name)}" in replaced(page, name, "a table")
    with pytest.raises(ValueError, match="lacks"):
        replaced(page, "another table", "")
