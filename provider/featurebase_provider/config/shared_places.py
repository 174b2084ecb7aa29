"""Which stores can't stand beside one another, because the write of one would change what the other has."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from featurebase_provider.stores.base import StoreConfig

Key = TypeVar("Key")

_NESTED = frozenset({"json", "yaml"})
"""Formats in which the dots of a key lead through objects."""


def clashes(stores: Mapping[Key, StoreConfig]) -> Iterator[tuple[Key, Key, str]]:
    """The stores that share a place with an earlier one.

    :returns: the store, the earlier one, and what is wrong, which the earlier one's name completes.
    """
    seen: dict[str, dict[Key, StoreConfig]] = {}
    for key, store in stores.items():
        places = dict.fromkeys(target.partition("#")[0] for target in _targets(store))
        others = {other: seen[place][other] for place in places for other in seen.get(place, ())}
        found = ((other, what) for other in others if (what := _clash(store, others[other])))
        for other, what in sorted(found, key=lambda one: not one[1].startswith("writes to")):
            yield key, other, what
            break
        for place in places:
            seen.setdefault(place, {})[key] = store


def _targets(store: StoreConfig) -> list[str]:
    return [target for target in (store.target, store.previous_target) if target]


def _clash(store: StoreConfig, other: StoreConfig) -> str | None:
    if store.target == other.target:
        return f"writes to {store.target}, the same target as"
    if store.target == other.previous_target:
        return f"writes to {store.target}, where the previous secret is kept by"
    if store.previous_target == other.target:
        return f"keeps the previous secret in {other.target}, the target of"
    if store.previous_target and store.previous_target == other.previous_target:
        return f"keeps the previous secret in {store.previous_target}, as does"
    mine, theirs = store.edited_format, other.edited_format
    if mine and theirs and mine != theirs and _text(store) == _text(other):
        return f"takes {_text(store)} for {mine}, and another format is named by"
    nested = mine in _NESTED and theirs in _NESTED
    for ours in _targets(store):
        for target in _targets(other):
            if _is_within(ours, target, nested):
                return f"writes to {ours}, a part of {target}, which is written by"
            if _is_within(target, ours, nested):
                return f"writes to {ours}, of which {target} is a part, which is written by"
    return None


def _text(store: StoreConfig) -> str:
    """What holds the text of a store that has a format."""
    return store.target.rpartition("#")[0]


def _is_within(target: str, outer: str, nested: bool) -> bool:
    return target.startswith((f"{outer}#", f"{outer}.") if nested else f"{outer}#")
