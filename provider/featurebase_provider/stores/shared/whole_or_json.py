"""Stores whose value is either nothing but the secret, or a JSON object that has it under a key."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from featurebase_provider.stores.shared.keyed import KeyedStore

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import TextFormat


class WholeOrJsonStore(KeyedStore):
    """A named value in a secret manager.

    :param key: where the secret lies in the JSON value; left out, the value is nothing but the secret.
    :param previous_key: where the previous secret lies in the JSON value; left out, no key keeps it.
    """

    key: Annotated[str, Field(min_length=1)] | None = None
    previous_key: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> WholeOrJsonStore:
        if self.previous_key and not self.key:
            raise ValueError("previous_key needs key: without it the value is nothing but the current secret")
        return self

    @property
    @abstractmethod
    def whole(self) -> str:
        """The value as a whole, as a URL-like text without credentials."""

    def place(self, key: str | None) -> str:
        """The value, with the key as fragment."""
        return f"{self.whole}#{key}" if key else self.whole

    def text_format(self) -> TextFormat:
        """How the secret lies in the value."""
        from featurebase_provider.stores.shared.formats.choose import text_format

        key, previous_key = (tuple(key.split(".")) if key else None for key in (self.key, self.previous_key))
        return text_format(self.full_name, "json" if key else "raw", key, previous_key, line_break=False)
