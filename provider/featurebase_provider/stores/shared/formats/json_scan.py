"""Where the members of a JSON object lie in a text, so that one is changed and every other character stays.

Python's ``json`` reads each value; no library tells where it found them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class JsonMember:
    """Where a member lies in the text: its key from ``start``, its value from ``value`` to ``end``."""

    key: str
    start: int
    colon: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Where an object lies in the text: from the brace at ``start`` to behind the one before ``end``."""

    start: int
    members: tuple[JsonMember, ...]
    end: int

    def with_member(self, text: str, key: str, value: str) -> str:
        """Add a member at the end, laid out like those before it.

        :param value: as JSON.
        """
        inside, members = self.start + 1, self.members
        if not members:
            return f"{text[:inside]}{json.dumps(key)}: {value}{text[inside:].lstrip(' ')}"
        first, last = members[0], members[-1]
        lead = text[inside : first.start]
        if len(members) > 1:
            between = text[members[-2].end : last.start]
            lead = between[between.index(",") + 1 :]
        colon = text[first.colon : first.value]
        return f"{text[: last.end]},{lead}{json.dumps(key)}{colon}{value}{text[last.end :]}"

    def without_member(self, text: str, member: JsonMember) -> str:
        """Remove a member with its comma."""
        index = self.members.index(member)
        if index:
            return text[: self.members[index - 1].end] + text[member.end :]
        if len(self.members) > 1:
            return text[: member.start] + text[self.members[1].start :]
        return text[: member.start] + text[member.end :]


def scan_object(text: str, start: int) -> JsonObject:
    """Find the members of the object that begins at ``start``.

    :raises ValueError: it is no valid JSON.
    :raises IndexError: the text ends before the object does.
    :raises RecursionError: it is nested too deeply.
    """
    decoder = json.JSONDecoder()
    members: list[JsonMember] = []
    position = skip_space(text, start + 1)
    closed = text[position] == "}"
    while not closed:
        begin = position
        key, colon = decoder.raw_decode(text, begin)
        position = skip_space(text, colon)
        if not isinstance(key, str) or text[position] != ":":
            raise ValueError("no member")
        value = skip_space(text, position + 1)
        _, end = decoder.raw_decode(text, value)
        members.append(JsonMember(key, begin, colon, value, end))
        position = skip_space(text, end)
        closed = text[position] == "}"
        if not closed:
            if text[position] != ",":
                raise ValueError("no comma")
            position = skip_space(text, position + 1)
    return JsonObject(start, tuple(members), position + 1)


def skip_space(text: str, position: int) -> int:
    """The next position that is no white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position
