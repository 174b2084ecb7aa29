"""Google Cloud Storage through gcsfs, against an emulator of its API, which keeps no access rights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from featurebase_provider.stores.object_storage import ObjectStorageStore
from tests.contract.store_case import HELD, Seen, StoreCase, attached, not_applicable
from tests.servers.object_storage import BUCKET, google_cloud_storage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class GcsJsonCase(StoreCase):
    calls_to_readable = 1
    keeps_previous = True
    asks_airflow = True
    proves_writability = False
    is_conditional = False
    previous_as_current: ClassVar = {"key": "previous", "previous_key": None}

    def __init__(self) -> None:
        endpoint = google_cloud_storage()
        from gcsfs.core import GCSFileSystem

        self.fs = GCSFileSystem(project="feedback", token="anon", endpoint_url=endpoint, skip_instance_cache=True)
        self.conn_id = attached("gs", self.fs)
        self.path = f"{BUCKET}/{uuid4().hex}/webhook.json"

    def config(self, **changes: Any) -> ObjectStorageStore:
        return ObjectStorageStore(**{"path": f"gs://{self.path}", "conn_id": self.conn_id, **changes})

    def _put(self, document: dict[str, Any]) -> None:
        self.fs.pipe_file(
            self.path,
            json.dumps(document).encode(),
            content_type="application/json",
            metadata={"owner": "feedback-team"},
            fixed_key_metadata={"cache_control": "no-store", "content_language": "et"},
        )

    def put(self, current: str, previous: str | None = None) -> None:
        self._put({"a": 1, "current": current} | ({"previous": previous} if previous else {}))

    def remove(self) -> None:
        self.fs.rm_file(self.path)

    def _info(self) -> dict[str, Any]:
        self.fs.invalidate_cache()
        info: dict[str, Any] = self.fs.info(self.path)
        return info

    def seen(self) -> Seen | None:
        self.fs.invalidate_cache()
        if not self.fs.exists(self.path):
            return None
        document = json.loads(self.fs.cat_file(self.path))
        info = self._info()
        others = {key: document[key] for key in document.keys() - {"current", "previous"}}
        if others:
            names = ("contentType", "metadata", "cacheControl", "contentLanguage")
            others["headers"] = [info.get(name) for name in names]
        return Seen(document.get("current"), document.get("previous"), others or None)

    def evidence(self) -> Any:
        self.fs.invalidate_cache()
        return self.fs.exists(self.path) and sorted((key, str(value)) for key, value in self._info().items())

    def put_wrong_type(self) -> None:
        self._put({"current": 7, "x": HELD})

    def missing_place(self) -> ObjectStorageStore:
        return self.config(path=f"gs://missing-{uuid4().hex}/webhook.json", create=True)

    def writing_denied(self) -> AbstractContextManager[ObjectStorageStore]:
        not_applicable("the emulator knows no access rights")

    def server_down(self) -> AbstractContextManager[ObjectStorageStore]:
        not_applicable("gcsfs tries again for minutes")
