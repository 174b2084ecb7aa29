"""The signing secret as a variable of a dotenv file, edited in place."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import BOM, Contents, shown

if TYPE_CHECKING:
    from dotenv.parser import Binding

    from featurebase_provider.stores.shared.formats import KeyPath


class DotenvFormat:
    """The secret is a variable of a dotenv file, as python-dotenv, Compose, systemd and shells read it.

    Where a file defines a variable more than once, parsers disagree on which counts: reading takes the last,
    editing sets all of them alike.

    :param store: the store's name, for messages.
    :param key: variable of the current secret, a path of one name.
    :param previous_key: variable of the previous one; None keeps none.
    """

    _plain = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")
    _quotable = re.compile(r"[ -~]+\Z")
    _unsafe = re.compile(r"""['"\\$`]""")

    def __init__(self, store: str, key: KeyPath, previous_key: KeyPath | None) -> None:
        self._store, self._key = store, shown(key)
        self._previous_key = shown(previous_key) if previous_key else None

    def read(self, text: str) -> Contents:
        """Read our variables; an empty value counts as absent."""
        bindings = self._bindings(self._head_and_rest(text)[1])
        names = tuple(dict.fromkeys(binding.key for binding in bindings if binding.key))
        return Contents(
            self._last(bindings, self._key),
            self._last(bindings, self._previous_key) if self._previous_key else None,
            present=self._key in names,
            keys=names,
        )

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Set or remove our variables, keeping ``export``, the style of quotes and comments on the line."""
        head, text = self._head_and_rest(text or "")
        text = self._set(text, self._key, wanted.current or "", after=None)
        if self._previous_key:
            if wanted.previous:
                text = self._set(text, self._previous_key, wanted.previous, after=self._key)
            else:
                text = "".join(map(self._without_previous, self._bindings(text)))
        return head + text

    @staticmethod
    def _head_and_rest(text: str) -> tuple[str, str]:
        rest = text.lstrip(BOM)  # all of them: python-dotenv's parser loses one
        return text[: len(text) - len(rest)], rest

    def _without_previous(self, binding: Binding) -> str:
        text = binding.original.string
        if binding.key != self._previous_key:
            return text
        blank = re.match(r"(?:[^\S\r\n]*(?:\r\n|\n|\r))*", text)
        return blank.group() if blank else ""

    def _bindings(self, text: str) -> list[Binding]:
        from dotenv.parser import parse_stream

        if "\0" in text:
            raise StoreRefused(self._store, "it holds binary data, not dotenv; nothing was changed")
        bindings = list(parse_stream(io.StringIO(text)))
        for binding in bindings:
            for key in (self._key, self._previous_key):
                if binding.error and key and self._definition(key).match(binding.original.string):
                    raise StoreRefused(
                        self._store,
                        f"line {binding.original.line} defines {key} in a way that is no valid dotenv",
                        "Repair that line; nothing was changed",
                    )
        return bindings

    @staticmethod
    def _definition(key: str) -> re.Pattern[str]:
        name = re.escape(key)
        return re.compile(rf"(\s*(?:export[^\S\r\n]+)?(?:'{name}'|{name})(?=[\s=]|\Z))([^\S\r\n]*=[^\S\r\n]*)?")

    @staticmethod
    def _last(bindings: list[Binding], key: str) -> str | None:
        values = [binding.value for binding in bindings if binding.key == key]
        return (values[-1] or None) if values else None

    def _set(self, text: str, key: str, value: str, *, after: str | None) -> str:
        bindings = self._bindings(text)
        lines = [binding.original.string for binding in bindings]
        mine = [index for index, binding in enumerate(bindings) if binding.key == key]
        for index in mine:
            if bindings[index].value != value:
                lines[index] = self._redefine(lines[index], key, value)
        if not mine:
            beside = [index for index, binding in enumerate(bindings) if after and binding.key == after]
            at = beside[-1] + 1 if beside else len(lines)
            self._insert(lines, at, f"{key}={self._quoted(value, quote='')}")
        return "".join(lines)

    @staticmethod
    def _insert(lines: list[str], at: int, line: str) -> None:
        line_break = "\r\n" if any("\r\n" in other for other in lines) else "\n"
        if at and not lines[at - 1].endswith(("\n", "\r")):
            lines[at - 1] += line_break
        lines.insert(at, line + line_break)

    def _redefine(self, line: str, key: str, value: str) -> str:
        match = self._definition(key).match(line)
        if match is None:
            raise StoreRefused(self._store, f"the line that defines {key} cannot be edited; nothing was changed")
        old, equal = line[match.end() :], match.group(2) or "="
        quote = old[:1] if old[:1] in {"'", '"'} and match.group(2) else ""
        if quote:
            span = re.match(rf"{quote}(?:\\.|[^{quote}\\])*{quote}", old, re.DOTALL)
            rest = old[span.end() :] if span else ""
        else:
            tail = re.search(r"(?:\s+#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|\Z)", old)
            rest = old[tail.start() :] if tail else ""
            if old.startswith("#") and equal.endswith((" ", "\t")):
                equal, rest = equal.rstrip(" \t"), f" {old}"  # "KEY= # comment" is an empty value
        return f"{match.group(1)}{equal}{self._quoted(value, quote=quote)}{rest}"

    def _quoted(self, value: str, *, quote: str) -> str:
        if self._plain.match(value):
            return f"{quote}{value}{quote}"
        if self._quotable.match(value) and not self._unsafe.search(value):
            return f"{quote or chr(39)}{value}{quote or chr(39)}"
        raise StoreRefused(
            self._store,
            "the value has characters that dotenv parsers read differently; nothing was changed",
            "Use the format json or raw",
        )
