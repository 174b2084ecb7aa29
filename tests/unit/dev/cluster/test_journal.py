"""The journal of `make cluster`, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.cluster.journal import BEGIN, END, Journal

PAGE = Path(__file__).parents[4] / "docs" / "cluster.md"


def test_lines_have_times_once_the_runs_are_triggered(capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal()
    journal.note("starting")
    journal.begin()
    journal.note("KILLED worker-1")
    journal.add("a table\nof two lines")
    assert journal.lines == ["          starting", "     0 s  KILLED worker-1", "a table", "of two lines"]
    assert capsys.readouterr().out.splitlines() == journal.lines


def test_a_page_shows_the_newest_journal_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{BEGIN}\nan older one\n{END}\n\nthe rest\n")
    for text in ("first", "second"):
        journal = Journal()
        journal.add(text)
        journal.write_into(page)
    assert page.read_text() == f"# Page\n\n{BEGIN}\n\n```text\nsecond\n```\n\n{END}\n\nthe rest\n"


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(ValueError, match="lacks"):
        Journal().write_into(page)


def test_the_documentation_has_the_marks() -> None:
    text = PAGE.read_text()
    assert text.index(BEGIN) < text.index(END)
