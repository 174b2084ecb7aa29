"""An object in S3, or in a store that speaks its protocol, written only if nobody else wrote in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark, Writability
from featurebase_provider.stores.object_storage.backend import HeldObject, check_length, check_size
from featurebase_provider.stores.shared.marks import S3_METADATA
from featurebase_provider.stores.shared.refusals import changed_since, refuses

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from s3fs import S3FileSystem  # type: ignore[import-untyped]  # ships no types

_KEPT_SETTINGS = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
    "WebsiteRedirectLocation", "StorageClass", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class S3Object:
    """One S3 object: conditional writes by ETag, our mark in its user metadata.

    A PUT replaces the whole object, so what came with the old one is sent along: content headers, storage
    class, encryption, user metadata, and tags where ``s3:GetObjectTagging`` is allowed. An object's own
    access list (off by default since 2023) is not carried over.

    :param store: the store's name, for messages.
    :param fs: the file system, authenticated.
    :param path: ``bucket/key``.
    """

    store: str
    fs: S3FileSystem
    path: str

    def read(self) -> HeldObject:
        """Read head, then body: if they differ, the write's condition fails, so the order is safe."""
        bucket, key, _ = self.fs.split_path(self.path)
        with self._translated("read"):
            try:
                head = self.fs.call_s3("head_object", Bucket=bucket, Key=key)
                check_length(self.store, head.get("ContentLength"))
                data = self.fs.cat_file(self.path)
            except FileNotFoundError:
                self._check_bucket(bucket)
                return HeldObject(None)
            state = {name: head[name] for name in _KEPT_SETTINGS if head.get(name) is not None}
            if state.get("ServerSideEncryption") != "aws:kms":
                state.pop("SSEKMSKeyId", None)
                state.pop("BucketKeyEnabled", None)
            if head.get("TagCount"):
                state["Tagging"] = self._tags(bucket, key)
            state["Metadata"] = dict(head.get("Metadata") or {})
            state["IfMatch"] = head["ETag"]
            return HeldObject(check_size(self.store, data), state, S3_METADATA.mark_in(state["Metadata"]))

    def changing(self, held: HeldObject) -> AbstractContextManager[HeldObject]:
        """Keep nobody out."""
        return nullcontext(held)

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> None:
        """Put the object on the condition that its ETag is the one read, or that it still does not exist."""
        request: dict[str, Any] = dict(held.state) if held.state else {"IfNoneMatch": "*", "Metadata": {}}
        request["Metadata"] = {**request["Metadata"], **S3_METADATA.texts_of(mark)}
        with self._translated("written"):
            self.fs.pipe_file(self.path, data, **request)

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Begin an upload in parts with the object's own settings and abort it; no reader can see that."""
        bucket, key, _ = self.fs.split_path(self.path)
        settings = {name: (held.state or {})[name] for name in _KEPT_SETTINGS if name in (held.state or {})}
        with self._translated("proven writable"):
            upload = self.fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key, **settings)["UploadId"]
        try:
            self.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)
        except PermissionError:
            return Writability(True, "an upload could be begun (not aborted: allow s3:AbortMultipartUpload)")
        except OSError as error:
            raise StoreUnreachable(
                self.store, f"the trial upload could not be aborted ({type(error).__name__})"
            ) from None
        return Writability(True, "an upload could be begun and was aborted; the write itself is conditional")

    def _tags(self, bucket: str, key: str) -> str:
        try:
            tags = self.fs.call_s3("get_object_tagging", Bucket=bucket, Key=key)["TagSet"]
        except PermissionError:
            raise StoreRefused(
                self.store, "the object has tags that could not be read", "Allow s3:GetObjectTagging"
            ) from None
        return urlencode([(tag["Key"], tag["Value"]) for tag in tags])

    def _check_bucket(self, bucket: str) -> None:
        try:
            self.fs.call_s3("head_bucket", Bucket=bucket)
        except FileNotFoundError:
            raise StoreRefused(
                self.store, f"the bucket {bucket} does not exist", "Correct the path; nothing was changed"
            ) from None

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  botocore, aiohttp and s3fs have no common base
            raise self._error(error, done) from None  # a client's text may quote the request

    def _error(self, error: Exception, done: str) -> StoreError:
        status, code = _answer_in(error)
        said = f"the object could not be {done} ({code or error.__class__.__name__})"
        if code == "ConditionalRequestConflict" or status == 412:
            return changed_since(self.store, "the object")
        missing = {
            "NoCredentialsError",
            "PartialCredentialsError",
            "ParamValidationError",
            "NotImplementedError",
        }
        if (
            refuses(status)
            or error.__class__.__name__ in missing
            or isinstance(error, (PermissionError, FileNotFoundError))
        ):
            return StoreRefused(
                self.store,
                said,
                "Check the path, and what the connection's credentials may do; nothing was changed",
            )
        return StoreUnreachable(self.store, said)


def _answer_in(error: BaseException) -> tuple[int | None, str | None]:
    """Status and error code of the S3 answer that s3fs made an ``OSError`` of, if there was one."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(response, Mapping):
        return None, None
    answer: Mapping[str, Any] = response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status, code if code.isalnum() else None
