"""The signing secret as a string in a JSON object, edited in place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import BOM, Contents, RawFormat


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member lies in the text: its key from ``start``, its value from ``value`` to ``end``."""

    key: str
    start: int
    colon: int
    value: int
    end: int


class JsonFormat:
    """The secret is the string under one key of a JSON object.

    :param store: the store's name, for messages.
    :param key: top-level key of the current secret.
    :param previous_key: top-level key of the previous one; None keeps none.
    """

    _space = re.compile(r"[ \t\r\n]*")

    def __init__(self, store: str, key: str, previous_key: str | None) -> None:
        self._store, self._key, self._previous_key = store, key, previous_key

    def read(self, text: str) -> Contents:
        """Read our keys; null and an empty text count as absent."""
        members = self._members(text)
        return Contents(
            self._string(text, members, self._key),
            self._string(text, members, self._previous_key) if self._previous_key else None,
        )

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Replace, add or remove the members that are ours."""
        self.read(text or "")
        if not (text or "").strip(f"{BOM} \t\r\n"):
            text = "{}\n"
        text = self._put(text or "", self._key, wanted.current or "")
        if not self._previous_key:
            return text
        if wanted.previous:
            return self._put(text, self._previous_key, wanted.previous)
        return self._remove(text, self._previous_key)

    def _string(self, text: str, members: list[_Member], key: str) -> str | None:
        found = [member for member in members if member.key == key]
        if len(found) > 1:
            raise StoreRefused(
                self._store, f"the JSON object has the key {key!r} twice", "Remove one; nothing was changed"
            )
        value = json.loads(text[found[0].value : found[0].end]) if found else None
        if value is not None and not isinstance(value, str):
            raise StoreRefused(
                self._store,
                f"the JSON key {key!r} holds a {type(value).__name__}, not a string; nothing was changed",
            )
        if value and not _encodes(value):
            raise StoreRefused(self._store, f"the JSON key {key!r} holds no valid Unicode; nothing was changed")
        return value or None

    def _members(self, text: str) -> list[_Member]:
        position = self._skip(text, len(BOM) if text.startswith(BOM) else 0)
        if position == len(text):
            return []
        if text[position] != "{":
            raise StoreRefused(self._store, "it holds no JSON object; nothing was changed")
        try:
            return self._scan(text, position + 1)
        except (ValueError, IndexError, RecursionError):  # a JSONDecodeError carries the whole text
            raise StoreRefused(self._store, "it does not hold valid JSON; nothing was changed") from None

    def _scan(self, text: str, position: int) -> list[_Member]:
        decoder = json.JSONDecoder()
        members: list[_Member] = []
        position = self._skip(text, position)
        closed = text[position] == "}"
        while not closed:
            start = position
            key, position = decoder.raw_decode(text, start)
            colon = position
            position = self._skip(text, colon)
            if not isinstance(key, str) or text[position] != ":":
                raise ValueError("no member")
            value = self._skip(text, position + 1)
            _, end = decoder.raw_decode(text, value)
            members.append(_Member(key, start, colon, value, end))
            position = self._skip(text, end)
            closed = text[position] == "}"
            if not closed:
                if text[position] != ",":
                    raise ValueError("no comma")
                position = self._skip(text, position + 1)
        if self._skip(text, position + 1) != len(text):
            raise ValueError("more than one value")
        return members

    def _skip(self, text: str, position: int) -> int:
        match = self._space.match(text, position)
        return match.end() if match else position

    def _put(self, text: str, key: str, value: str) -> str:
        members = self._members(text)
        for member in members:
            if member.key == key:
                if json.loads(text[member.value : member.end]) == value:
                    return text
                return text[: member.value] + json.dumps(value) + text[member.end :]
        if not members:
            brace = text.index("{") + 1
            return f"{text[:brace]}{json.dumps(key)}: {json.dumps(value)}{text[brace:].lstrip(' ')}"
        first, last = members[0], members[-1]
        lead = text[text.index("{") + 1 : first.start] if len(members) == 1 else self._gap(text, members)
        colon = text[first.colon : first.value]
        return f"{text[: last.end]},{lead}{json.dumps(key)}{colon}{json.dumps(value)}{text[last.end :]}"

    @staticmethod
    def _gap(text: str, members: list[_Member]) -> str:
        between = text[members[-2].end : members[-1].start]
        return between[between.index(",") + 1 :]

    def _remove(self, text: str, key: str) -> str:
        members = self._members(text)
        for index, member in enumerate(members):
            if member.key != key:
                continue
            if index:
                return text[: members[index - 1].end] + text[member.end :]
            if len(members) > 1:
                return text[: member.start] + text[members[1].start :]
            return text[: member.start] + text[member.end :]
        return text


def whole_or_json(store: str, key: str | None, previous_key: str | None) -> RawFormat | JsonFormat:
    """A value that is nothing but the secret, to the last line break, or has it under a key of a JSON object.

    :param key: None where the value is nothing but the secret.
    """
    return JsonFormat(store, key, previous_key) if key else RawFormat(store, line_break=False)


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape
        return False
    return True
