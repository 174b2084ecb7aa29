"""The page that explains survivors, as people write it and as the run reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.mutants.changes import Change
from dev.mutants.explained import PageUnreadable, item, read_page

FIGURE = Change("rotation/a.py", "", "TRIES = 5", "TRIES = 6")
CHECK = Change("rotation/a.py", "Plan.check", "if a | b:", "if a:")
GONE = Change("operators/b.py", "f", "call()", "")
PAGE = f"""# A title

- a list before the modules says nothing

### `rotation/a.py`

A figure that we chose,
and might choose otherwise.

{item(FIGURE)}

The same either way.
{item(CHECK)}

### `operators/b.py`

No difference.

{item(GONE)}

## Another chapter

- whatever
"""


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_every_survivor_has_the_text_above_it(tmp_path: Path) -> None:
    assert read_page(page(tmp_path, PAGE)) == {
        FIGURE: "A figure that we chose, and might choose otherwise.",
        CHECK: "The same either way.",
        GONE: "No difference.",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"### `rotation/a.py`\n\n{item(FIGURE)}\n", "why it survives"),
        ("### `rotation/a.py`\n\nWhy.\n\n- `f`: a = b\n", "form of a survivor"),
    ],
)
def test_what_is_not_a_survivor_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PageUnreadable, match=rf"page.md:\d+: .*{says}"):
        read_page(page(tmp_path, text))


def test_our_page_can_be_read() -> None:
    read_page(Path(__file__).parents[4] / "docs" / "mutants.md")
