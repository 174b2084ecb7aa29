"""A blob in Azure, through adlfs: written only if nobody else wrote in between, and all beside its bytes goes over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import StoreMark, Writability
from featurebase_provider.stores.object_storage.remote import RemoteObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featurebase_provider.stores.object_storage.backend import HeldObject

_SETTINGS = ("content_type", "cache_control", "content_encoding", "content_language", "content_disposition")


@dataclass(frozen=True, slots=True)
class AzureBlob(RemoteObject):
    """One blob: its ETag is the condition of the write; metadata, tags and access tier go over."""

    container = "container"

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> None:
        """Put the blob on the condition that its ETag is the one read, or that it still does not exist.

        ``mark`` is not kept.
        """
        with self._translated("written"):
            if held.data is None:
                self.fs.pipe_file(self.path, data, mode="create")
            else:
                self._run(self._replace, data, held.state["etag"])

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Send a block that is never made part of the blob, and which Azure forgets; read what must go over."""
        if held.data is None:
            return Writability(False, "not provable: whether a blob may be created shows only when it is")
        with self._translated("proven writable"):
            self._run(self._try, max(map(len, trials), default=0), held.state["etag"])
        return Writability(True, "a block could be sent that is part of no blob; the write itself is conditional")

    def _run(self, work: Any, *args: Any) -> None:
        from fsspec.asyn import sync  # type: ignore[import-untyped]  # ships no types

        async def run() -> None:
            container, blob, _ = self.fs.split_path(self.path)
            async with self.fs.service_client.get_blob_client(container=container, blob=blob) as client:
                await work(client, *args)

        sync(self.fs.loop, run)

    async def _replace(self, client: Any, data: bytes, etag: str) -> None:
        await client.upload_blob(data, overwrite=True, **await self._kept(client, etag))
        self.fs.invalidate_cache()

    async def _try(self, client: Any, length: int, etag: str) -> None:
        await self._kept(client, etag)
        await client.stage_block("featurebase-trial", bytes(length), length=length)

    async def _kept(self, client: Any, etag: str) -> dict[str, Any]:
        """The arguments with which a write keeps what the blob has, and finds it as it was read.

        :raises StoreRefused: nobody may write the blob, or it has what can't be sent again.
        """
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings, StandardBlobTier

        condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        has = await client.get_blob_properties(**condition)
        if has.has_legal_hold or has.immutability_policy.expiry_time:
            raise StoreRefused(
                self.store, "the blob has a legal hold or an immutability policy; nothing was changed", "Lift that"
            )
        if has.blob_type != "BlockBlob":
            raise StoreRefused(self.store, "it is no block blob; nothing was changed", "Upload it as a block blob")
        settings = {name: getattr(has.content_settings, name) for name in _SETTINGS}
        kept = {**condition, "content_settings": ContentSettings(**settings), "metadata": dict(has.metadata)}
        if has.tag_count:
            kept["tags"] = await client.get_blob_tags()
        if has.blob_tier and not has.blob_tier_inferred:
            kept["standard_blob_tier"] = StandardBlobTier(has.blob_tier)
        if has.encryption_scope:
            kept["encryption_scope"] = has.encryption_scope
        return kept
