"""The signing secret as a property of a Java .properties file, edited in place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import BOM, Contents

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import KeyPath

_NAME = re.compile(r"[ \t\f]*(?P<name>(?:\\[^\r\n]|[^\\:= \t\f\r\n])+)(?P<separator>[ \t\f]*(?:[=:][ \t\f]*)?)")
_LINE_BREAK = re.compile(r"(?:\r\n|\n|\r)\Z")
_GOES_ON = re.compile(r"(?<!\\)(?:\\\\)*\\(?:\r\n|\n|\r)?\Z")
_PLAIN = re.compile(r"(?![=:])[!-\[\]-~]+")
_NEXT_DOCUMENT = re.compile(r"[#!]---\s*\Z")


@dataclass(frozen=True, slots=True)
class _Property:
    """A property with its continuation lines; or a comment, or blank lines.

    :param text: the lines, to the character.
    :param line: number of the first of them.
    :param key: None for what is no property.
    """

    text: str = field(repr=False)
    line: int
    key: str | None = None
    value: str | None = field(default=None, repr=False)


class PropertiesFormat:
    """The secret is a property of a .properties file, as Java and Spring read it.

    :param store: the store's name, for messages.
    :param key: the property of the current secret; a path is its parts between the dots.
    :param previous_key: the property of the previous one; None keeps none.
    """

    def __init__(self, store: str, key: KeyPath, previous_key: KeyPath | None) -> None:
        self._store, self._key = store, ".".join(key)
        self._previous_key = ".".join(previous_key) if previous_key else None

    def read(self, text: str) -> Contents:
        """Read our properties; an empty value counts as absent."""
        found = self._properties(text)
        return Contents(
            self._value(found, self._key),
            self._value(found, self._previous_key) if self._previous_key else None,
            present=any(one.key == self._key for one in found),
            keys=tuple(dict.fromkeys(one.key for one in found if one.key and _is_name(one))),
        )

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Set or remove our properties, keeping their separators."""
        self.read(text or "")
        text = self._set(text or "", self._key, wanted.current or "")
        if self._previous_key:
            if wanted.previous:
                text = self._set(text, self._previous_key, wanted.previous)
            else:
                text = "".join(one.text for one in self._properties(text) if one.key != self._previous_key)
        return text

    def _refuse(self, what: str, advice: str) -> NoReturn:
        raise StoreRefused(self._store, f"{what}; nothing was changed", advice)

    def _properties(self, text: str) -> list[_Property]:
        from javaproperties import InvalidUEscapeError, KeyValue, parse

        if "\0" in text:
            self._refuse("it holds binary data, not properties", "Name another format")
        found: list[_Property] = []
        line = 1
        try:
            for element in parse(text):
                key, value = (element.key, element.value) if isinstance(element, KeyValue) else (None, None)
                found.append(_Property(element.source, line, key, value))
                line += len(re.findall(r"\r\n|\n|\r", element.source))
        except InvalidUEscapeError:  # it quotes the characters
            self._refuse(f"the property on line {line} has a \\u without four hex digits", "Mend it")
        if found and found[0].key in (BOM + self._key, f"{BOM}{self._previous_key}"):
            self._refuse("line 1 begins with a byte order mark, which Java takes for a part of the key", "Remove it")
        return found

    def _value(self, found: list[_Property], key: str) -> str | None:
        mine = [one for one in found if one.key == key]
        for one in mine:
            self._check_name(one)
            if one.value != mine[0].value:
                self._refuse(
                    f"lines {mine[0].line} and {one.line} define {key!r} differently, and readers disagree on which "
                    "counts",
                    "Remove one of them",
                )
        return (mine[0].value or None) if mine else None

    def _check_name(self, one: _Property) -> re.Match[str]:
        from javaproperties import unescape

        match = _NAME.match(one.text)
        if match is None or unescape(match["name"]) != one.key:
            self._refuse(f"line {one.line} begins a key that goes on on the next line", "Write it on one line")
        return match

    def _set(self, text: str, key: str, value: str) -> str:
        if not _PLAIN.fullmatch(value):
            self._refuse("the value has characters that are escaped in properties", "Use another format")
        found = self._properties(text)
        texts = [one.text for one in found]
        mine = [index for index, one in enumerate(found) if one.key == key]
        for index in mine:
            if found[index].value != value:
                match, ending = self._check_name(found[index]), _LINE_BREAK.search(texts[index])
                separator = match["separator"] or "="
                texts[index] = (
                    f"{match.group().removesuffix(separator)}{separator}{value}{ending.group() if ending else ''}"
                )
        if not mine:
            beside = [index for index, one in enumerate(found) if one.key == self._key]
            if not beside:
                self._check_documents(found, key)
            self._add(texts, beside[-1] + 1 if beside else len(found), key, value)
        return "".join(texts)

    def _check_documents(self, found: list[_Property], key: str) -> None:
        for one in found:
            if _NEXT_DOCUMENT.match(one.text):
                self._refuse(
                    f"line {one.line} begins another document for Spring, and {key!r} is in none of them",
                    f"Add {key!r} with an empty value to the document that is to hold it",
                )

    def _add(self, texts: list[str], at: int, key: str, value: str) -> None:
        from javaproperties import escape

        line_break = "\r\n" if re.match(r"[^\r\n]*\r\n", "".join(texts)) else "\n"
        if at and not texts[at - 1].lstrip(" \t\f").startswith(("#", "!")) and _GOES_ON.search(texts[at - 1]):
            self._refuse(
                f"the last line ends in a backslash, which would join the added {key!r} to it", "Remove the backslash"
            )
        if at and not _LINE_BREAK.search(texts[at - 1]):
            texts[at - 1] += line_break
        texts.insert(at, f"{escape(key)}={value}{line_break}")


def _is_name(one: _Property) -> bool:
    """Whether a message may show the key: a stray line of a private key is no name."""
    value = one.value or ""
    return not value.startswith("=") if value else "." in (one.key or "")
