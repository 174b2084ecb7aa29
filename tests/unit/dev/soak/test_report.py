"""The soak's figures as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.soak.calendar_findings import CalendarFigures
from dev.soak.findings import Figures
from dev.soak.pair_calendar_findings import PairCalendarFigures
from dev.soak.pair_findings import PairFigures
from dev.soak.report import renew

if TYPE_CHECKING:
    from pathlib import Path

BOTH = """# Soak

<!-- figures: core -->
old
<!-- end of figures: core -->

<!-- figures: pair -->

Seed 1.

<!-- end of figures: pair -->

Conclusion
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "soak.md"
    page.write_text(BOTH)
    return page


def test_page_gets_new_figures_between_the_marks_of_their_part(page: Path) -> None:
    """Everything else on the page stays, other parts' figures too; a second renewal changes nothing."""
    columns = [Figures("on", rotations=50, emitted=1234, exposure_ms={"p50": 12}), Figures("off", lost=3)]
    renew(page, "core", "Core", columns, made="Seed 7.")
    text = page.read_text()
    assert "old" not in text
    assert "Seed 7." in text
    assert "| Core | on | off |" in text
    assert "| events emitted | 1,234 | 0 |" in text
    assert "| ... lost | 0 | 3 |" in text
    assert "| exposure p50, ms | 12 | - |" in text
    assert text.startswith("# Soak\n\n")
    assert text.endswith(BOTH[BOTH.index("<!-- figures: pair") :])
    renew(page, "core", "Core", columns, made="Seed 7.")
    assert page.read_text() == text


def test_calendar_has_rows_of_its_own(page: Path) -> None:
    columns = [CalendarFigures("on", runs=70, rotations={"triggered": 2}, previous_kept=2), CalendarFigures("off")]
    renew(page, "core", "Year", columns, made="Seed 7.")
    text = page.read_text()
    assert "| Year | on | off |" in text
    assert "| Dag runs | 70 | 0 |" in text
    assert "| ... triggered | 2 | 0 |" in text
    assert "| previous secret kept | 2 | 0 |" in text


def test_pairs_have_rows_of_their_own(page: Path) -> None:
    pairs = [PairFigures("drops", by_hand={"pause the live": 2}, changes=7, writes=3, refused_by_hand=4)]
    renew(page, "pair", "Pairs", pairs, made="Seed 7.")
    text = page.read_text()
    for row in ("a person intervened | 2", "... pause the live | 2", "moments judged | 10", "... refused (401) | 0"):
        assert f"| {row} |" in text
    assert "| ... refused (401) by a person's doing | 4 |" in text
    renew(page, "pair", "Year", [PairCalendarFigures("drops", both_kept=5, twice=9)], made="Seed 7.")
    assert "| both secrets kept | 5 |" in page.read_text()
    assert "| ... delivered by both webhooks | 9 |" in page.read_text()


def test_page_without_marks_is_left_alone(page: Path) -> None:
    with pytest.raises(ValueError, match="lacks"):
        renew(page, "calendar", "Year", [], made="Seed 1.")
    assert page.read_text() == BOTH
