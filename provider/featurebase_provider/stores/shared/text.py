"""A text that holds the signing secret, alone or among other settings: read, edited, and put back as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.store import SecretPair
from featurebase_provider.stores.base import secret_or_none
from featurebase_provider.stores.shared.formats import Contents
from featurebase_provider.stores.shared.refusals import not_there

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.formats import TextFormat

TRIAL = SecretPair(SigningSecret("whsec_trial"), SigningSecret("whsec_trial_before"))
"""What a store is tried with where nothing must change."""


class Secrets(NamedTuple):
    """What a text holds of ours."""

    current: SigningSecret | None
    previous: SigningSecret | None


class SecretText:
    """How a store's text holds the secret, and whether the text may be made.

    :param store: the store's name, for messages.
    :param create: whether a missing text may be made.
    :param missing: what to say where there is none and it may not be made.
    """

    def __init__(
        self, store: str, text_format: TextFormat, *, create: bool, missing: str = "the secret does not exist"
    ) -> None:
        self._store, self._format, self._create, self._missing = store, text_format, create, missing

    def read(self, text: str | None) -> Secrets:
        """Find our values.

        :param text: None where there is none.
        :raises StoreRefused: the text is not of the configured format.
        """
        found = self._format.read(text) if text is not None else Contents(None)
        return Secrets(secret_or_none(found.current), secret_or_none(found.previous))

    def edited(self, text: str | None, pair: SecretPair, *, exists: bool) -> str:
        """The text with these values in it; everything else stays as it is.

        :param exists: whether the place is there; one that is may still hold no text.
        :raises StoreRefused: the place is missing and may not be made, or the format can't hold the values.
        """
        if not (exists or self._create):
            raise not_there(self._store, self._missing)
        return self._format.edit(
            text, Contents(pair.current.reveal(), pair.previous.reveal() if pair.previous else None)
        )
