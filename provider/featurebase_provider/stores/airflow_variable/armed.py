"""A Variable behind the task's own channel to Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.shared.airflow_channel import get_variable, put_variable
from featurebase_provider.stores.shared.refusals import changed_since

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.text import SecretText

HIDING_WORDS = (
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "private_key",
    "api_key",
    "apikey",
    "authorization",
)
"""Airflow's UI and API hide the value of a Variable whose name holds one of these."""


class ArmedVariable(ArmedStore):
    """A Variable behind the task's own channel to Airflow.

    :param name: the store's name, for messages.
    :param key: the Variable's key.
    :param text: how its value holds the secret.
    :param description: what each write sets as description; None for one made from the mark.
    """

    main_thread_only = True

    def __init__(self, name: str, key: str, text: SecretText, description: str | None) -> None:
        super().__init__(name)
        self._key, self._description = key, description
        self._text_in = text

    def prove_writable(self) -> Writability:
        """Read the Variable and edit a copy; Airflow has no means to prove more."""
        held = self.read()
        text: str | None = held.version
        pairs = self.trials(held, keeps_previous=self._text_in.keeps_previous)
        self._text_in.tried(text, pairs, exists=text is not None)
        detail = "the Variable can be read; Airflow has no way to prove that a task may write it"
        if text is not None and self._description is None:
            detail += "; its description will be replaced (the store's description says with what)"
        if not any(word in self._key.lower() for word in HIDING_WORDS):
            detail += "; Airflow shows its value to whoever may see Variables, as its name holds no word like secret"
        return Writability(False, detail)

    def read(self) -> StoredValue:
        """Read the Variable; one that does not exist holds no secret."""
        text = self._text()
        return self._text_in.stored(text, exists=text is not None, version=text)

    def look_again(self, held: StoredValue) -> None:
        """Read the Variable."""
        if self._text() != held.version:
            raise changed_since(self.name, "the Variable")

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Set the Variable; what is there already is not written again."""
        text = self._text_in.edited(held.version, pair, exists=held.version is not None)
        if text == held.version:
            return
        put_variable(self.name, self._key, text, self._description or _described(mark))

    def _text(self) -> str | None:
        return get_variable(self.name, self._key)


def _described(mark: StoreMark) -> str:
    return (
        f"Signing secret of Featurebase webhook {mark.webhook_id}, {mark.fingerprint}, "
        f"written by {mark.managed_by} from {mark.managed_from}"
    )
