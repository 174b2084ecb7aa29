"""Puts ``defaults:`` under each webhook, and finds the field of the file that a merged value came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featurebase_provider.config.document import Key, Node, field_name

SUB_MAPPINGS = ("probe", "verify")
"""Fields that are merged key by key; all others replace the default as a whole."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands in the file.

    :param field: its name, whether the file has it or not.
    :param line: its line, or that of the deepest part of the path that the file has.
    :param found: whether the file has it.
    """

    field: str
    line: int
    found: bool = True


@dataclass(frozen=True, slots=True)
class MergedWebhook:
    """A webhook's mapping with the defaults under it.

    :param index: its number in the file, from 0.
    :param own: what the webhook says itself.
    :param defaults: what ``defaults:`` says, or None.
    """

    index: int
    own: Node
    defaults: Node | None

    def values(self) -> dict[str, Any]:
        """The merged fields, as plain values."""
        merged: dict[str, Any] = {} if self.defaults is None else self.defaults.plain()
        for key, value in self.own.plain().items():
            below = merged.get(key)
            if key in SUB_MAPPINGS and isinstance(below, dict) and (isinstance(value, dict) or value is True):
                merged[key] = {**below, **({} if value is True else value)}
            else:
                merged[key] = value
        return merged

    def place(self, loc: tuple[Key, ...]) -> Place:
        """Where the value of that merged field comes from; the webhook itself if it is nowhere."""
        here = walk(self.own, loc, ("webhooks", self.index))
        if self.defaults is None or not loc or _is_own(self.own, loc):
            return here
        there = walk(self.defaults, loc, ("defaults",))
        return there if there.found else here


def walk(node: Node, loc: tuple[Key, ...], path: tuple[Key, ...]) -> Place:
    """Name a field below a node, with the line of the deepest part of it that the file has."""
    line, whole = node.line, field_name((*path, *loc))
    for key in loc:
        child = node.child(key)
        if child is None:
            return Place(whole, line, found=False)
        line = node.key_lines[key] if isinstance(key, str) else child.line
        node = child
    return Place(whole, line)


def _is_own(own: Node, loc: tuple[Key, ...]) -> bool:
    """Whether the webhook itself says the field, or says something that shuts the default out."""
    child = own.child(loc[0])
    if child is None:
        return False
    if loc[0] in SUB_MAPPINGS and len(loc) > 1 and (isinstance(child.value, dict) or child.value is True):
        return isinstance(child.value, dict) and child.child(loc[1]) is not None
    return True
