"""An object in Google Cloud Storage, through gcsfs: its content headers and metadata go over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import StoreMark, Writability
from featurebase_provider.stores.object_storage.remote import RemoteObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.stores.object_storage.backend import HeldObject

_HEADERS = {
    "content_encoding": "contentEncoding",
    "cache_control": "cacheControl",
    "content_disposition": "contentDisposition",
    "content_language": "contentLanguage",
    "custom_time": "customTime",
}
"""What gcsfs sends along, and what the object's description calls it."""

_HOLDS = ("temporaryHold", "eventBasedHold", "retention", "retentionExpirationTime")


@dataclass(frozen=True, slots=True)
class GcsObject(RemoteObject):
    """One object, compared just before it is written; it is created on the condition that nobody else has."""

    container = "bucket"

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> None:
        """Put the object; ``mark`` is not kept."""
        with self._translated("written"):
            kept = {"mode": "create"} if held.data is None else self._kept(held.state)
            self.fs.pipe_file(self.path, data, **kept)

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Say that only a write can show it, and what gcsfs can't keep."""
        said = "not provable: whether the object can be written shows only when it is, and not conditionally"
        if held.data is not None:
            self._kept(held.state)
            said += "; access list, storage class and key become those of the bucket"
        return Writability(False, said)

    def _kept(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with which a write keeps what the object has.

        :raises StoreRefused: nobody may write the object.
        """
        if any(info.get(name) for name in _HOLDS):
            raise StoreRefused(self.store, "the object has a hold or a retention; nothing was changed", "Lift that")
        headers = {ours: info[theirs] for ours, theirs in _HEADERS.items() if info.get(theirs)}
        kept: dict[str, Any] = {"metadata": info.get("metadata"), "fixed_key_metadata": headers}
        if info.get("contentType"):
            kept["content_type"] = info["contentType"]
        return kept
