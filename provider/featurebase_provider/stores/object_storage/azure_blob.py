"""A blob in Azure, through adlfs: written only if nobody else wrote in between, and all beside its bytes goes over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import StoreMark, Writability
from featurebase_provider.stores.object_storage.remote import RemoteObject
from featurebase_provider.stores.shared.refusals import changed_since

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from featurebase_provider.stores.object_storage.backend import HeldObject

T = TypeVar("T")

_READS = 3
"""How often the bytes and the settings are read until both are of one version."""

_SETTINGS = ("content_type", "cache_control", "content_encoding", "content_language", "content_disposition")


@dataclass(frozen=True, slots=True)
class AzureBlob(RemoteObject):
    """One blob: its ETag is the condition of the write; metadata, tags and access tier go over."""

    container = "container"

    def read(self) -> HeldObject:
        """Read the blob, and what must go over when it is replaced."""
        for _ in range(_READS):
            held = RemoteObject.read(self)
            if held.data is None:
                return held
            with self._translated("read"):
                settings = self._run(self._settings)
            if settings.has.etag == held.state["etag"]:
                return replace(held, state=settings)
        raise changed_since(self.store, "the object")

    def look_again(self, held: HeldObject) -> None:
        """Nothing: the write is conditional."""

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> None:
        """Put the blob on the condition that its ETag is the one read, or that it still does not exist.

        ``mark`` is not kept.
        """
        with self._translated("written"):
            if held.data is None:
                self.fs.pipe_file(self.path, data, mode="create")
            else:
                self._run(self._replace, data, held.state)

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Send a block that is never made part of the blob, and which Azure forgets; read what must go over."""
        if held.data is None:
            return Writability(False, "not provable: whether a blob may be created shows only when it is")
        with self._translated("proven writable"):
            self._run(self._try, max(map(len, trials), default=0), held.state)
        return Writability(True, "a block could be sent that is part of no blob; the write itself is conditional")

    def _run(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        from fsspec.asyn import sync  # type: ignore[import-untyped]  # ships no types

        async def run() -> T:
            container, blob, _ = self.fs.split_path(self.path)
            async with self.fs.service_client.get_blob_client(container=container, blob=blob) as client:
                return await work(client, *args)

        result: T = sync(self.fs.loop, run)
        return result

    async def _settings(self, client: Any) -> _Settings:
        has = await client.get_blob_properties()
        return _Settings(has, await client.get_blob_tags() if has.tag_count else None)

    async def _replace(self, client: Any, data: bytes, settings: _Settings) -> None:
        await client.upload_blob(data, overwrite=True, **settings.kept(self.store))
        self.fs.invalidate_cache()

    async def _try(self, client: Any, length: int, settings: _Settings) -> None:
        settings.kept(self.store)
        await client.stage_block("featurebase-trial", bytes(length), length=length)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a blob has beside its bytes.

    :param has: its properties.
    :param tags: its tags; None if it has none.
    """

    has: Any
    tags: dict[str, str] | None

    def kept(self, store: str) -> dict[str, Any]:
        """The arguments with which a write keeps that, and finds the blob as it was read.

        :param store: the store's name, for messages.
        :raises StoreRefused: nobody may write the blob, or it has what can't be sent again.
        """
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings, StandardBlobTier

        has = self.has
        if has.has_legal_hold or has.immutability_policy.expiry_time:
            raise StoreRefused(
                store, "the blob has a legal hold or an immutability policy; nothing was changed", "Lift that"
            )
        if has.blob_type != "BlockBlob":
            raise StoreRefused(store, "it is no block blob; nothing was changed", "Upload it as a block blob")
        settings = {name: getattr(has.content_settings, name) for name in _SETTINGS}
        kept = {
            "etag": has.etag,
            "match_condition": MatchConditions.IfNotModified,
            "content_settings": ContentSettings(**settings),
            "metadata": dict(has.metadata),
        }
        if self.tags is not None:
            kept["tags"] = self.tags
        if has.blob_tier and not has.blob_tier_inferred:
            kept["standard_blob_tier"] = StandardBlobTier(has.blob_tier)
        if has.encryption_scope:
            kept["encryption_scope"] = has.encryption_scope
        return kept
