"""The soak's figures as people read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.soak.calendar_findings import CalendarFigures
from dev.soak.findings import Figures
from dev.soak.report import BEGIN, END, renew


def test_page_gets_new_figures_between_its_marks(tmp_path: Path) -> None:
    """Everything else on the page stays; a second renewal changes nothing."""
    page = tmp_path / "soak.md"
    page.write_text(f"# Soak\n\n{BEGIN}\nold\n{END}\n\nConclusion\n")
    columns = [Figures("on", rotations=50, emitted=1234, exposure_ms={"p50": 12}), Figures("off", lost=3)]
    renew(page, [("Core", columns)], seed=7)
    text = page.read_text()
    assert "old" not in text
    assert "Seed 7." in text
    assert "| Core | on | off |" in text
    assert "| events emitted | 1,234 | 0 |" in text
    assert "| ... lost | 0 | 3 |" in text
    assert "| exposure p50, ms | 12 | - |" in text
    assert text.startswith("# Soak\n\n")
    assert text.endswith("\n\nConclusion\n")
    renew(page, [("Core", columns)], seed=7)
    assert page.read_text() == text


def test_calendar_has_rows_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    page.write_text(f"{BEGIN}{END}")
    columns = [CalendarFigures("on", runs=70, rotations={"triggered": 2}, previous_kept=2), CalendarFigures("off")]
    renew(page, [("Core", [Figures("on"), Figures("off")]), ("Year", columns)], seed=7)
    text = page.read_text()
    assert "| Year | on | off |" in text
    assert "| Dag runs | 70 | 0 |" in text
    assert "| ... triggered | 2 | 0 |" in text
    assert "| previous secret kept | 2 | 0 |" in text


def test_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    page.write_text("# Soak\n")
    with pytest.raises(ValueError, match="lacks"):
        renew(page, [], seed=1)
    assert page.read_text() == "# Soak\n"
