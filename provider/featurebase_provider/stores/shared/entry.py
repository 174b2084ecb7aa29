"""Stores whose place is the secret as a whole, or holds a text with the secret in an entry."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from typing import TYPE_CHECKING

from pydantic import model_validator

from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.shared.format_names import FormatName
from featurebase_provider.stores.shared.formatted import check_keys, secret_text_of
from featurebase_provider.stores.shared.keyed import Key, KeyedStore, dotted

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.text import SecretText


class EntryStore(StoreConfig):
    """A place of which the whole is the secret, or an entry in its text.

    :param format: ``raw`` (the place holds nothing but the secret), or the format of the text that it holds.
    :param entry: where the secret lies in that text.
    :param previous_entry: where the previous secret lies in that text; left out, no entry keeps it.
    """

    format: FormatName = "raw"
    entry: Key | None = None
    previous_entry: Key | None = None

    @model_validator(mode="after")
    def _check_format(self) -> "EntryStore":
        check_keys(self.format, ("entry", self.entry), ("previous_entry", self.previous_entry))
        return self

    @property
    def edited_format(self) -> str | None:
        """Its format, unless that is ``raw``."""
        return None if self.format == "raw" else self.format

    def entry_text(self, *, create: bool, missing: str = "the secret does not exist") -> "SecretText":
        """How the secret lies in the place's text."""
        return secret_text_of(
            self, self.format, self.entry, self.previous_entry, create=create, missing=missing, line_break=False
        )

    def entry_in(self, place: str) -> str:
        """The place, with the entry as one more fragment, as a URL-like text."""
        return f"{place}#{dotted(self.entry)}" if self.entry else place

    def previous_entry_in(self, place: str) -> str | None:
        """The same with the ``previous_entry``; None without one."""
        return f"{place}#{dotted(self.previous_entry)}" if self.previous_entry else None


class KeyedEntryStore(EntryStore, KeyedStore):
    """A named place, of which one key is ours: its value is the secret, or a text with the secret in an entry."""

    @model_validator(mode="after")
    def _check_previous(self) -> "KeyedEntryStore":
        if self.entry and self.previous_key:
            raise ValueError("with entry, the previous secret lies in the same text: name its previous_entry")
        return self

    @property
    def how_to_keep_previous(self) -> str:
        """In the same text if the secret lies in an entry, otherwise under a key of its own."""
        return "previous_entry" if self.entry else "previous_key"

    @property
    def target(self) -> str:
        """The place, with key and entry as fragments."""
        return self.entry_in(super().target)

    @property
    def previous_target(self) -> str | None:
        """The same with the ``previous_key`` or the ``previous_entry``, where one is set."""
        return super().previous_target or self.previous_entry_in(super().target)
