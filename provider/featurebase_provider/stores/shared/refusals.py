"""What stores of every type say alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import clean_text
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSING = frozenset({408, 425, 429})
"""HTTP statuses of the 400s that say "later", not "no"."""

_MOST_KEYS = 10


def refuses(status: int | None) -> bool:
    """Whether an HTTP status (None: there was no answer) says that a retry would be refused too."""
    return status is not None and 400 <= status < 500 and status not in _PASSING


def not_there(store: str, what: str, make: str = "Create it") -> StoreRefused:
    """The place of the secret is missing, and the configuration does not say ``create: true``."""
    return StoreRefused(
        store, f"{what}; nothing was changed", f"{make}, or write create: true in the store's configuration"
    )


def no_such_key(store: str, key: str, others: Sequence[str] | None, where: str = "it") -> StoreRefused:
    """The place is there and our key in it is not, and the configuration does not say ``create: true``.

    :param others: the names of the keys that are there instead; None where they can't be told.
    :param where: what was looked into.
    """
    names = [clean_text(name, limit=60) for name in (others or ())[:_MOST_KEYS]]
    more = f" and {len(others) - _MOST_KEYS} more" if others and len(others) > _MOST_KEYS else ""
    there = f"; it has {', '.join(names) or 'no keys'}{more}" if others is not None else ""
    return StoreRefused(
        store,
        f"{where} holds no key {clean_text(key)}{there}; nothing was changed",
        "Correct the key, or write create: true to add it",
    )


def changed_since(store: str, what: str = "the secret") -> StoreConflict:
    """Somebody else wrote between our read and our write."""
    return StoreConflict(store, f"{what} changed since it was read; it was left as it is")
