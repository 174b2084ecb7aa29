"""The signing secret as a string in a JSON object, edited in place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.shared.formats import BOM, Contents, shown
from featurebase_provider.stores.shared.formats.json_scan import JsonMember, JsonObject, scan_object, skip_space

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import KeyPath

_NAMES = {str: "text", list: "list", dict: "object", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class _Found:
    """How far a path leads: to ``member`` of ``inner``, or no farther than ``inner``.

    :param outer: the names of the objects that lead to ``inner``.
    :param member: what the whole path leads to; None if there is no such member.
    """

    inner: JsonObject
    outer: KeyPath
    member: JsonMember | None


class JsonFormat:
    """The secret is a string in a JSON object, or in an object within it.

    :param store: the store's name, for messages.
    :param key: where the current secret lies.
    :param previous_key: where the previous one lies; None keeps none.
    """

    def __init__(self, store: str, key: KeyPath, previous_key: KeyPath | None) -> None:
        self._store, self._key, self._previous_key = store, key, previous_key

    def read(self, text: str) -> Contents:
        """Read our keys; null and an empty text count as absent."""
        text = _or_empty_object(text)
        found = self._find(text, self._key)
        return Contents(
            self._string(text, found, self._key),
            self._string(text, self._find(text, self._previous_key), self._previous_key)
            if self._previous_key
            else None,
            present=found.member is not None,
            keys=tuple(shown((*found.outer, member.key)) for member in found.inner.members),
        )

    def edit(self, text: str | None, wanted: Contents) -> str:
        """Replace, add or remove the members that are ours; objects that are to hold them are added too."""
        self.read(text or "")
        text = self._put(_or_empty_object(text or ""), self._key, wanted.current or "")
        if not self._previous_key:
            return text
        if wanted.previous:
            return self._put(text, self._previous_key, wanted.previous)
        return self._remove(text, self._previous_key)

    def _find(self, text: str, path: KeyPath) -> _Found:
        inner = self._root(text)
        objects = [inner]
        for depth, name in enumerate(path):
            member = self._member(inner, name, shown(path[: depth + 1]))
            if member is None:
                self._check_spelling(objects, path)
            if member is None or depth == len(path) - 1:
                return _Found(inner, path[:depth], member)
            if text[member.value] != "{":
                raise StoreRefused(
                    self._store,
                    f"the JSON key {shown(path[: depth + 1])!r} holds {_kind(text, member)}, not an object, so there "
                    f"is no {shown(path)!r} in it; nothing was changed",
                    "Correct the key",
                )
            inner = scan_object(text, member.value)
            objects.append(inner)
        raise ValueError("a path has a name")

    def _check_spelling(self, objects: list[JsonObject], path: KeyPath) -> None:
        """Refuse a path that leads nowhere beside one name with dots, which is probably what readers read.

        :param objects: those that the path leads through, as far as it does.
        """
        for depth, inner in enumerate(objects):
            joined = {".".join(path[depth:end]) for end in range(depth + 2, len(path) + 1)}
            for member in inner.members:
                if member.key in joined:
                    raise StoreRefused(
                        self._store,
                        f"it spells {member.key!r} as one name with dots; nothing was changed",
                        "Write the key as a list of names: a name with dots is one of them",
                    )

    def _root(self, text: str) -> JsonObject:
        start = skip_space(text, len(BOM) if text.startswith(BOM) else 0)
        if text[start] != "{":
            raise StoreRefused(self._store, "it holds no JSON object; nothing was changed")
        try:
            root = scan_object(text, start)
            if skip_space(text, root.end) != len(text):
                raise ValueError("more than one value")
        except (ValueError, IndexError, RecursionError):  # a JSONDecodeError carries the whole text
            raise StoreRefused(self._store, "it does not hold valid JSON; nothing was changed") from None
        return root

    def _member(self, inner: JsonObject, name: str, path: str) -> JsonMember | None:
        found = [member for member in inner.members if member.key == name]
        if len(found) > 1:
            raise StoreRefused(
                self._store, f"the JSON object has the key {path!r} twice; nothing was changed", "Remove one"
            )
        return found[0] if found else None

    def _string(self, text: str, found: _Found, path: KeyPath) -> str | None:
        value = _value(text, found.member) if found.member else None
        if found.member and value is not None and not isinstance(value, str):
            raise StoreRefused(
                self._store,
                f"the JSON key {shown(path)!r} holds {_kind(text, found.member)}, not a text; nothing was changed",
            )
        if value and not _encodes(value):
            raise StoreRefused(self._store, f"the JSON key {shown(path)!r} holds no valid Unicode; nothing was changed")
        return value or None

    def _put(self, text: str, path: KeyPath, value: str) -> str:
        found = self._find(text, path)
        if found.member is not None:
            if _value(text, found.member) == value:
                return text
            return text[: found.member.value] + json.dumps(value) + text[found.member.end :]
        name, *within = path[len(found.outer) :]
        added: Any = value
        for outer in reversed(within):
            added = {outer: added}
        return found.inner.with_member(text, name, json.dumps(added))

    def _remove(self, text: str, path: KeyPath) -> str:
        found = self._find(text, path)
        return text if found.member is None else found.inner.without_member(text, found.member)


def _or_empty_object(text: str) -> str:
    return text if text.strip(f"{BOM} \t\r\n") else "{}\n"


def _value(text: str, member: JsonMember) -> Any:
    return json.loads(text[member.value : member.end])


def _kind(text: str, member: JsonMember) -> str:
    name = _NAMES.get(type(_value(text, member)), "number")
    return name if name == "null" else f"an {name}" if name == "object" else f"a {name}"


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape
        return False
    return True
