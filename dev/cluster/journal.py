"""What happened when: printed as it happens, and kept for the page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "<!-- journal of make cluster -->", "<!-- end of the journal -->"


class Journal:
    """Lines with the seconds since the runs were triggered; before that, without."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._start: float | None = None

    def begin(self) -> None:
        """Count from now on."""
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the begin."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def note(self, text: str) -> None:
        """Add a line."""
        self.add(f"{self.seconds:6.0f} s  {text}" if self._start is not None else f"          {text}")

    def add(self, text: str) -> None:
        """Add text as it is, such as a table."""
        print(text, flush=True)
        self.lines += text.splitlines()

    def write_into(self, page: Path) -> None:
        """Put the lines between the page's marks, in place of those of an earlier run.

        :raises ValueError: the page has no marks.
        """
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, found, after = rest.partition(END)
        if not found:
            raise ValueError(f"{page} lacks {BEGIN} or {END}")
        shown = "\n".join(line.rstrip() for line in self.lines)
        page.write_text(f"{before}{BEGIN}\n\n```text\n{shown}\n```\n\n{END}{after}", encoding="utf-8")
