"""What stores of every type say alike."""

from __future__ import annotations

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused

_PASSING = frozenset({408, 425, 429})
"""HTTP statuses of the 400s that say "later", not "no"."""


def refuses(status: int | None) -> bool:
    """Whether an HTTP status (None: there was no answer) says that a retry would be refused too."""
    return status is not None and 400 <= status < 500 and status not in _PASSING


def not_there(store: str, what: str, make: str = "Create it") -> StoreRefused:
    """The place of the secret is missing, and the configuration does not say ``create: true``."""
    return StoreRefused(
        store, f"{what}; nothing was changed", f"{make}, or write create: true in the store's configuration"
    )


def changed_since(store: str, what: str = "the secret") -> StoreConflict:
    """Somebody else wrote between our read and our write."""
    return StoreConflict(store, f"{what} changed since it was read; it was left as it is")
