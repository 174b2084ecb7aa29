"""The survivors that a page explains: each by module, function and change, so that moved lines don't matter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dev.mutants.changes import Change

if TYPE_CHECKING:
    from pathlib import Path

MODULE = re.compile(r"### `(?P<module>\S+\.py)`")
ITEM = re.compile(r"- (?:`(?P<function>[\w.]+)`|the module): `(?P<before>.+)` → (?:`(?P<after>.+)`|nothing)")


class PageUnreadable(Exception):
    """A line of the page is neither text nor a survivor."""


def read_page(page: Path) -> dict[Change, str]:
    """Every explained survivor, and why it survives: the paragraph above its list.

    :raises PageUnreadable: an item is not of the form that :func:`item` gives, or nothing explains it.
    """
    found: dict[Change, str] = {}
    module = why = ""
    goes_on = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("#"):
            heading = MODULE.fullmatch(line)
            module, why = heading["module"] if heading else "", ""
        elif module and line.startswith("- "):
            said = ITEM.fullmatch(line)
            if said is None or not why:
                fault = "not the form of a survivor" if said is None else "nothing above it says why it survives"
                raise PageUnreadable(f"{page}:{number}: {fault}: {line}")
            found[Change(module, said["function"] or "", said["before"], said["after"] or "")] = why
        elif line.strip():
            why = f"{why} {line}" if goes_on else line
        goes_on = bool(line.strip()) and not line.startswith(("#", "- "))
    return found


def item(change: Change) -> str:
    """A survivor's line for the page."""
    function = f"`{change.function}`" if change.function else "the module"
    return f"- {function}: `{change.before}` → " + (f"`{change.after}`" if change.after else "nothing")
