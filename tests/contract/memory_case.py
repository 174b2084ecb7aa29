"""Any other fsspec file system, by the example of the one that lives in memory."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from fsspec.implementations.memory import MemoryFileSystem

from featurebase_provider.stores.object_storage import ObjectStorageStore
from tests.contract.store_case import HELD, Seen, StoreCase, attached, not_applicable

if TYPE_CHECKING:
    from collections.abc import Iterator


class FaultyMemory(MemoryFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """The real thing, which can be told to fail as file systems fail."""

    cachable = False
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def __init__(self) -> None:
        super().__init__()
        self.write_error: Exception | None = None
        self.read_error: Exception | None = None
        self.lowers = False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if self.write_error:
            raise self.write_error
        super().pipe_file(path, value.lower() if self.lowers else value, mode, **kwargs)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        if self.read_error:
            raise self.read_error
        data: bytes = super().cat_file(path, start, end, **kwargs)
        return data


class MemoryJsonCase(StoreCase):
    keeps_previous = True
    asks_airflow = True
    misspelt: ClassVar = {"key": "webhookSecret"}
    previous_as_current: ClassVar = {"key": "previous", "previous_key": None}
    proves_writability = False
    is_conditional = False

    def __init__(self) -> None:

        self.fs = FaultyMemory()
        self.conn_id = attached("memory", self.fs)
        self.path = f"/{uuid4().hex}/webhook.json"

    def config(self, **changes: Any) -> ObjectStorageStore:
        return ObjectStorageStore(**{"path": f"memory:/{self.path}", "conn_id": self.conn_id, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        document = {"a": 1, "current": current} | ({"previous": previous} if previous else {})
        self.fs.pipe_file(self.path, json.dumps(document).encode())

    def remove(self) -> None:
        self.fs.rm_file(self.path)

    def seen(self) -> Seen | None:
        if not self.fs.exists(self.path):
            return None
        document = json.loads(self.fs.store[self.path].getvalue())
        return Seen(document.pop("current", None), document.pop("previous", None), document or None)

    def evidence(self) -> Any:
        return {path: (file.getvalue(), file.modified) for path, file in self.fs.store.items()}

    def put_wrong_type(self) -> None:
        self.fs.pipe_file(self.path, json.dumps({"current": {"value": HELD}}).encode())

    def missing_place(self) -> ObjectStorageStore:
        not_applicable("this file system makes folders as it needs them")

    @contextmanager
    def writing_denied(self) -> Iterator[ObjectStorageStore]:
        self.fs.write_error = PermissionError(f"no write of {HELD}")
        yield self.config()
        self.fs.write_error = None

    @contextmanager
    def server_down(self) -> Iterator[ObjectStorageStore]:
        self.fs.read_error = ConnectionResetError(f"reset while sending {HELD}")
        yield self.config()
        self.fs.read_error = None

    @contextmanager
    def changing(self) -> Iterator[ObjectStorageStore]:
        self.fs.lowers = True
        yield self.config()
        self.fs.lowers = False
