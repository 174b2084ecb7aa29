"""Stores whose place holds several values: ours lies under a key, and the previous secret may lie under another."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import model_validator

from featurebase_provider.annotations import Checked
from featurebase_provider.stores.base import StoreConfig

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import KeyPath


def _checked(key: Any) -> Any:
    names = key.split(".") if isinstance(key, str) else key
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError("write a name, names with dots between them (featurebase.secret), or a list of names")
    if not names or not all(names):
        raise ValueError("a name is missing; one that has dots itself is written in a list: [name.with.dots]")
    if any(unicodedata.category(character) == "Cc" for name in names for character in name):
        raise ValueError("a name has no control characters")
    return key if isinstance(key, str) else tuple(names)


Key = Annotated[
    str | tuple[str, ...],
    Checked(
        _checked,
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ],
            "examples": ["FEATUREBASE_WEBHOOK_SECRET", "featurebase.webhook.secret"],
        },
        when="instead",
    ),
]
"""Where a value lies in a text. Dots lead through objects; a name with dots is written in a list of names."""


def path_of(key: str | tuple[str, ...]) -> KeyPath:
    """The names that lead to a value."""
    return tuple(key.split(".")) if isinstance(key, str) else key


def dotted(key: str | tuple[str, ...]) -> str:
    """The same for a target."""
    return key if isinstance(key, str) else ".".join(key)


class KeyedStore(StoreConfig):
    """A named place, of which one key is ours.

    :param key: where the secret lies; left out, the place holds nothing but the secret.
    :param previous_key: where the previous secret lies; left out, no key keeps it.
    """

    if TYPE_CHECKING:  # each type declares them itself, after the fields that their defaults depend on
        key: str | tuple[str, ...] | None
        previous_key: str | tuple[str, ...] | None

    @model_validator(mode="after")
    def _check_keys_differ(self) -> KeyedStore:
        if self.key and self.previous_key and dotted(self.key) == dotted(self.previous_key):
            raise ValueError("key and previous_key must differ")
        return self

    @abstractmethod
    def place(self, key: str | None) -> str:
        """What a key of the place is, as a URL-like text without credentials."""

    @property
    def target(self) -> str:
        """The place, with our key as fragment."""
        return self.place(dotted(self.key) if self.key else None)

    @property
    def previous_target(self) -> str | None:
        """The same with the ``previous_key``, where it is set."""
        return self.place(dotted(self.previous_key)) if self.previous_key else None
