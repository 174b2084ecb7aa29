"""How a signing secret lies in a text, and the simplest way: alone.

The other modules hold the other ways; ``format_names`` gives the one that a store's configuration names. All are pure
functions of text. Editing touches our keys only: other keys, comments, order, indentation, number spellings and
line endings stay as they are, to the character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from featurebase_provider.rotation.errors import StoreRefused

BOM = "\ufeff"
"""A mark that some editors put at the start of a UTF-8 file."""

KeyPath = tuple[str, ...]
"""Where a value lies in a text: the names of the objects that lead to it, and its own. Most have one name."""


def shown(path: KeyPath) -> str:
    """A path as the configuration writes it: with dots, or as a list where a name has dots itself."""
    if any("." in name for name in path):
        return f"[{', '.join(path)}]"
    return ".".join(path)


@dataclass(frozen=True, slots=True)
class Contents:
    """Our two values in a text; None where a value is absent or empty.

    :param present: whether our key is there; one whose value is empty or null is.
    :param keys: the keys beside which ours is, or would be, as messages show them; never a value.
    """

    current: str | None = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    present: bool = field(default=False, compare=False)
    keys: tuple[str, ...] = field(default=(), compare=False)


class TextFormat(Protocol):
    """Reads and edits a text that holds a signing secret."""

    def read(self, text: str) -> Contents:
        """Find our values.

        :raises StoreRefused: the text is not of this format, or holds another type under our key.
        """

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Give the text as it must be to hold ``wanted``; from None a new one is made.

        A key that is not there is added: whether it may be is the caller's to say.

        :raises StoreRefused: as :meth:`read`; or the format cannot hold the value.
        """


class RawFormat:
    """The whole text is the secret; a line break at its end belongs to the file, not to the secret.

    A text that holds more than that is refused, as the rest of it would be lost.

    :param store: the store's name, for messages.
    :param line_break: False where a line break at the end is part of the value (an Airflow Variable).
    :param where: what holds the text, for messages.
    :param advice: what to do about a text that holds more; None for the format that fits.
    """

    def __init__(self, store: str, *, line_break: bool = True, where: str = "it", advice: str | None = None) -> None:
        self._store, self._line_break, self._where, self._advice = store, line_break, where, advice

    def _split(self, text: str) -> tuple[str, str]:
        ending = re.search(r"\r?\n\Z", text) if self._line_break else None
        return (text[: ending.start()], ending.group()) if ending else (text, "")

    def read(self, text: str) -> Contents:
        """Take everything but a final line break as the current value."""
        if "\0" in text:
            raise StoreRefused(self._store, f"{self._where} holds binary data; nothing was changed")
        from featurebase_provider.stores.shared.formats.more_than_secret import more_than_secret

        if more := more_than_secret(text):
            raise StoreRefused(
                self._store,
                f"{self._where} holds {more.what}, not a bare secret; nothing was changed",
                self._advice or more.advice,
            )
        return Contents(self._split(text)[0] or None, present=True)

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Replace everything but a final line break."""
        self.read(text or "")
        return (wanted.current or "") + self._split(text or "")[1]
