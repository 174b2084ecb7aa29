"""Azure Blob Storage through adlfs, against Azurite, Microsoft's own emulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from featurebase_provider.stores.object_storage import ObjectStorageStore
from tests.contract.store_case import HELD, Seen, StoreCase, attached, not_applicable
from tests.servers.object_storage import AZURE_ACCOUNT, azurite

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CONTAINER = "app"


class AzureBlobCase(StoreCase):
    calls_to_readable = 1
    keeps_previous = True
    asks_airflow = True
    previous_as_current: ClassVar = {"key": "previous", "previous_key": None}

    def __init__(self) -> None:
        connection_string = azurite()
        from adlfs import AzureBlobFileSystem
        from azure.storage.blob import BlobServiceClient

        fs = AzureBlobFileSystem(
            account_name=AZURE_ACCOUNT, connection_string=connection_string, skip_instance_cache=True
        )
        self.conn_id = attached("abfs", fs)
        if not fs.exists(CONTAINER):
            fs.mkdir(CONTAINER)
        self.name = f"{uuid4().hex}/webhook.json"
        self.blob = BlobServiceClient.from_connection_string(connection_string).get_blob_client(CONTAINER, self.name)

    def close(self) -> None:
        self.blob.close()

    def config(self, **changes: Any) -> ObjectStorageStore:
        return ObjectStorageStore(**{"path": f"abfs://{CONTAINER}/{self.name}", "conn_id": self.conn_id, **changes})

    def _put(self, document: dict[str, Any]) -> None:
        from azure.storage.blob import ContentSettings, StandardBlobTier

        self.blob.upload_blob(
            json.dumps(document).encode(),
            overwrite=True,
            content_settings=ContentSettings(content_type="application/json", cache_control="no-store"),
            metadata={"owner": "feedback"},
            tags={"cost": "low"},
            standard_blob_tier=StandardBlobTier.COOL,
        )

    def put(self, current: str, previous: str | None = None) -> None:
        self._put({"a": 1, "current": current} | ({"previous": previous} if previous else {}))

    def remove(self) -> None:
        self.blob.delete_blob()

    def seen(self) -> Seen | None:
        if not self.blob.exists():
            return None
        document = json.loads(self.blob.download_blob().readall())
        others = {key: document[key] for key in document.keys() - {"current", "previous"}}
        if others:
            has = self.blob.get_blob_properties()
            others["headers"] = has.content_settings.content_type, has.content_settings.cache_control, has.metadata
            others["tags"] = self.blob.get_blob_tags(), has.blob_tier
        return Seen(document.get("current"), document.get("previous"), others or None)

    def evidence(self) -> Any:
        if not self.blob.exists():
            return None
        has = self.blob.get_blob_properties()
        return has.etag, has.last_modified, has.metadata, self.blob.download_blob().readall()

    def put_wrong_type(self) -> None:
        self._put({"current": 7, "x": HELD})

    def missing_place(self) -> ObjectStorageStore:
        return self.config(path=f"abfs://missing-{uuid4().hex}/webhook.json", create=True)

    def writing_denied(self) -> AbstractContextManager[ObjectStorageStore]:
        not_applicable("the emulator's account may do everything")

    def server_down(self) -> AbstractContextManager[ObjectStorageStore]:
        not_applicable("adlfs tries again for minutes")
