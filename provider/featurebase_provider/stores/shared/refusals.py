"""What stores of every type say alike."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import clean_text
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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


def check_size(store: str, text: str, *, most: int, holder: str, advice: str) -> None:
    """Compare a text that would be written with what the service documents that it takes.

    :param most: the most bytes of UTF-8.
    :param holder: what takes no more, for messages.
    :param advice: what to do.
    :raises StoreRefused: the text is longer.
    """
    size = len(text.encode())
    if size > most:
        raise StoreRefused(
            store,
            f"with a new secret it would have {size:,} bytes, and {holder} takes {most:,}; nothing was changed",
            advice,
        )


@contextmanager
def explained(check: Callable[[str], None], text: str) -> Iterator[None]:
    """Let the service decide on a write; where it refuses, name the limit that the text is over, if it is over one.

    :param check: raises StoreRefused for such a text; preflight asks it before.
    """
    try:
        yield
    except StoreRefused:
        check(text)
        raise


def changed_since(store: str, what: str = "the secret") -> StoreConflict:
    """Somebody else wrote between our read and our write."""
    return StoreConflict(store, f"{what} changed since it was read; it was left as it is")
