"""A text over an object backend."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.object_storage.backend import check_size
from featurebase_provider.stores.shared.refusals import changed_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.stores.object_storage.backend import HeldObject, ObjectBackend
    from featurebase_provider.stores.shared.text import SecretText


class ArmedObject(ArmedStore):
    """A text over an object backend.

    :param name: the store's name, for messages.
    :param text: how the object holds the secret, and whether it may be made.
    :param encodings: those that the text may have; the first that fits.
    """

    def __init__(
        self, name: str, text: SecretText, backend: ObjectBackend, encodings: tuple[str, ...] = ("utf-8",)
    ) -> None:
        super().__init__(name)
        self._text, self._backend, self._encodings = text, backend, encodings

    def prove_writable(self) -> Writability:
        """Read the object, edit copies in memory, and let the backend show that it could put them."""
        held = self.read()
        pairs = self.trials(held, keeps_previous=self._text.keeps_previous)
        return self._backend.prove_writable(held.version, [self._edited(held.version, pair) for pair in pairs])

    def read(self) -> StoredValue:
        """Read our keys."""
        return self._stored(self._backend.read())

    def look_again(self, held: StoredValue) -> None:
        """Look at the object, where the backend has no conditional write."""
        self._backend.look_again(held.version)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Put the edited text; what is there already is not written again."""
        before: HeldObject = held.version
        if self._edited(before, pair) == before.data:
            return None
        with self._backend.changing(before) as now:
            # Where the backend keeps others out, only a change of our own keys is a conflict.
            if now is not before and self._ours(now) != self._ours(before):
                raise changed_since(self.name)
            return self._backend.write(self._edited(now, pair), held=now, mark=mark)

    def _stored(self, held: HeldObject) -> StoredValue:
        return self._text.stored(self._decoded(held), exists=held.data is not None, mark=held.mark, version=held)

    def _ours(self, held: HeldObject) -> tuple[bool, SigningSecret | None, SigningSecret | None]:
        stored = self._stored(held)
        return held.data is None, stored.current, stored.previous

    def _edited(self, held: HeldObject, pair: SecretPair) -> bytes:
        edited = self._text.edited(self._decoded(held), pair, exists=held.data is not None)
        return check_size(self.name, edited.encode(self._encoding(held.data or b"")))

    def _decoded(self, held: HeldObject) -> str | None:
        return None if held.data is None else held.data.decode(self._encoding(held.data))

    def _encoding(self, data: bytes) -> str:
        for encoding in self._encodings:
            with suppress(UnicodeDecodeError):
                data.decode(encoding)
                return encoding
        raise StoreRefused(self.name, "it is not UTF-8 text; nothing was changed")
