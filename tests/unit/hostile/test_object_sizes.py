"""An object that grew beyond all measure is refused by its size, before it is read into memory."""

from __future__ import annotations

from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.stores.object_storage.backend import MAX_BYTES
from featurebase_provider.stores.object_storage.remote import RemoteObject
from featurebase_provider.stores.object_storage.s3 import S3Object


class Unread:
    """Tells an object's size, and must not be asked for more."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.reads = 0

    def invalidate_cache(self) -> None:
        """Nothing is kept."""

    def split_path(self, path: str) -> tuple[str, str, None]:
        return "bucket", "key", None

    def info(self, path: str) -> dict[str, Any]:
        return {"size": self.size}

    def call_s3(self, method: str, **arguments: Any) -> dict[str, Any]:
        assert method == "head_object"
        return {"ContentLength": self.size, "ETag": '"e"'}

    def cat_file(self, path: str) -> bytes:
        self.reads += 1
        return b"whsec_held"


@pytest.mark.parametrize("kind", [S3Object, RemoteObject])
def test_a_huge_object_is_not_read(kind: Any) -> None:
    storage = Unread(MAX_BYTES + 1)
    with pytest.raises(StoreRefused, match="larger than 1024 KiB; nothing was changed"):
        kind("the store", storage, "bucket/key").read()
    assert storage.reads == 0


@pytest.mark.parametrize("kind", [S3Object, RemoteObject])
@pytest.mark.parametrize("size", [MAX_BYTES, None])
def test_an_object_of_a_usual_or_unknown_size_is(kind: Any, size: int | None) -> None:
    assert kind("the store", Unread(size), "bucket/key").read().data == b"whsec_held"


def test_what_is_not_there_is_still_an_answer() -> None:
    assert RemoteObject("the store", MemoryFileSystem(), "/nowhere/at/all").read().data is None
