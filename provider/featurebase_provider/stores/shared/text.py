"""A text that holds the signing secret, alone or among other settings: read, edited, and put back as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark
from featurebase_provider.stores.base import secret_or_none
from featurebase_provider.stores.shared.formats import Contents, RawFormat, shown
from featurebase_provider.stores.shared.refusals import no_such_key, not_there

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.stores.shared.formats import KeyPath, TextFormat


def bare_secret(store: str, text: str | None, where: str) -> SigningSecret | None:
    """The secret in a place that holds nothing else, such as that of the previous one.

    :param store: the store's name, for messages.
    :param text: None where there is none.
    :param where: what the place is, for messages.
    :raises StoreRefused: it holds more than a secret, which a write would lose.
    """
    raw = RawFormat(store, line_break=False, where=where, advice="Name another place for it, or empty this one")
    return secret_or_none(raw.read(text).current) if text else None


class SecretText:
    """How a store's text holds the secret, and whether the text, or the key in it, may be made.

    :param store: the store's name, for messages.
    :param key: where the secret lies in the text; None where it is all of it.
    :param previous_key: where the previous secret lies in the text; None where it keeps none.
    :param create: whether a missing text may be made, and a missing key added.
    :param missing: what to say where there is no text and it may not be made; None where it always may.
    """

    def __init__(
        self,
        store: str,
        text_format: TextFormat,
        *,
        key: KeyPath | None,
        previous_key: KeyPath | None,
        create: bool,
        missing: str | None,
    ) -> None:
        self._store, self._format, self._create, self._missing = store, text_format, create, missing
        self.key, self.previous_key = key, previous_key

    @property
    def is_whole(self) -> bool:
        """Whether the text is nothing but the secret."""
        return self.key is None

    @property
    def keeps_previous(self) -> bool:
        """Whether the text keeps the previous secret too."""
        return self.previous_key is not None

    def stored(
        self, text: str | None, *, exists: bool, mark: StoreMark | None = None, version: Any = None
    ) -> StoredValue:
        """What the text holds of ours, and whether it may be written.

        :param text: None where there is none.
        :param exists: whether the place is there; one that is may still hold no text.
        :raises StoreRefused: the text is not of the configured format.
        """
        found = self._found(text)
        return StoredValue(
            secret_or_none(found.current),
            secret_or_none(found.previous),
            mark,
            version,
            may_be_made=self._may_be_made(found) if exists else self._create or self._missing is None,
        )

    def edited(self, text: str | None, pair: SecretPair, *, exists: bool) -> str:
        """The text with these values in it; everything else stays as it is.

        :param exists: as in :meth:`stored`.
        :raises StoreRefused: the place or our key is missing and may not be made, or the format can't hold the values.
        """
        found = self._found(text)
        if not exists and not self._create and self._missing is not None:
            raise not_there(self._store, self._missing)
        if exists and self.key and not self._may_be_made(found):
            raise no_such_key(self._store, shown(self.key), found.keys)
        return self.merged(text, pair)

    def merged(self, text: str | None, pair: SecretPair) -> str:
        """The same without asking whether our key may be added: for a text that had it when it was read.

        :raises StoreRefused: the format can't hold the values, or the text is not of it.
        """
        return self._format.edit(
            text, Contents(pair.current.reveal(), pair.previous.reveal() if pair.previous else None)
        )

    def tried(self, text: str | None, pairs: Iterable[SecretPair], *, exists: bool) -> list[str]:
        """The texts that a run would write, for the store to try or to measure.

        :param pairs: :meth:`ArmedStore.trials <featurebase_provider.rotation.store.ArmedStore.trials>`.
        :raises StoreRefused: as :meth:`edited`.
        """
        return [self.edited(text, pair, exists=exists) for pair in pairs]

    def _found(self, text: str | None) -> Contents:
        return self._format.read(text) if text is not None else Contents(None)

    def _may_be_made(self, found: Contents) -> bool:
        return found.present or self._create or self.is_whole
