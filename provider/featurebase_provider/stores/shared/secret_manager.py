"""Stores in secret managers: named values, which operators in Kubernetes may copy from."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from abc import abstractmethod

from pydantic import Field

from featurebase_provider.stores.shared.format_names import FormatName
from featurebase_provider.stores.shared.formatted import FormattedStore
from featurebase_provider.stores.shared.keyed import Key
from featurebase_provider.stores.shared.refresh import FollowedStore


class SecretManagerStore(FormattedStore, FollowedStore):
    """A named value in a secret manager.

    :param key: where the secret lies in the value; left out, the value is nothing but the secret.
    :param previous_key: where the previous secret lies in the value; left out, no key keeps it.
    :param format: how the value holds the secret; ``json`` if there is a ``key``, otherwise ``raw``.
    """

    key: Key | None = None
    previous_key: Key | None = None
    format: FormatName = Field(default_factory=lambda fields: "json" if fields["key"] else "raw")

    @property
    @abstractmethod
    def whole(self) -> str:
        """The value as a whole, as a URL-like text without credentials."""

    def place(self, key: str | None) -> str:
        """The value, with the key as fragment."""
        return f"{self.whole}#{key}" if key else self.whole
