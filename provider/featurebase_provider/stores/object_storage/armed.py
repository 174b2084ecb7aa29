"""A text format over an object backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.shared.text import TRIAL, SecretText

if TYPE_CHECKING:
    from featurebase_provider.stores.object_storage.backend import HeldObject, ObjectBackend
    from featurebase_provider.stores.shared.formats import TextFormat


class ArmedObject(ArmedStore):
    """A text format over an object backend.

    :param name: the store's name, for messages.
    :param create: whether a missing object may be created.
    """

    def __init__(self, name: str, text_format: TextFormat, backend: ObjectBackend, create: bool) -> None:
        super().__init__(name)
        self._backend, self._create = backend, create
        self._text = SecretText(name, text_format, create=create, missing="it does not exist")

    def prove_writable(self) -> Writability:
        """Read the object, edit a copy in memory, and let the backend show that it could put it."""
        held = self._backend.read()
        self._edited(held, TRIAL)
        return self._backend.prove_writable(held)

    def read(self) -> StoredValue:
        """Read our keys."""
        held = self._backend.read()
        if held.data is None:
            return StoredValue(None, version=held, may_be_made=self._create)
        return StoredValue(*self._text.read(self._decoded(held.data)), held.mark, held)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Put the edited text; what is there already is not written again."""
        before: HeldObject = held.version
        data = self._edited(before, pair)
        if data != before.data:
            self._backend.write(data, held=before, mark=mark)

    def _edited(self, held: HeldObject, pair: SecretPair) -> bytes:
        text = None if held.data is None else self._decoded(held.data)
        return self._text.edited(text, pair, exists=held.data is not None).encode()

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:  # it carries the bytes
            raise StoreRefused(self.name, "it is not UTF-8 text; nothing was changed") from None
