"""Stores whose place holds several values: ours lies under a key, and the previous secret may lie under another."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import model_validator

from featurebase_provider.stores.base import StoreConfig


class KeyedStore(StoreConfig):
    """A named place, of which one key is ours.

    :param key: where the secret lies; left out, the place holds nothing but the secret.
    :param previous_key: where the previous secret lies; left out, no key keeps it.
    """

    if TYPE_CHECKING:  # each type declares them itself, after the fields that their defaults depend on
        key: str | None
        previous_key: str | None

    @model_validator(mode="after")
    def _check_keys_differ(self) -> KeyedStore:
        if self.key and self.key == self.previous_key:
            raise ValueError("key and previous_key must differ")
        return self

    @abstractmethod
    def place(self, key: str | None) -> str:
        """What a key of the place is, as a URL-like text without credentials."""

    @property
    def target(self) -> str:
        """The place, with our key as fragment."""
        return self.place(self.key)

    @property
    def previous_target(self) -> str | None:
        """The same with the ``previous_key``, where it is set."""
        return self.place(self.previous_key) if self.previous_key else None
