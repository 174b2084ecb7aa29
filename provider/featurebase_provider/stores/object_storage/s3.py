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
from featurebase_provider.stores.object_storage.s3_settings import check_access_list, settings_in
from featurebase_provider.stores.shared.marks import S3_METADATA
from featurebase_provider.stores.shared.refusals import changed_since, refuses

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from s3fs import S3FileSystem  # type: ignore[import-untyped]  # ships no types

_TRIAL_MARK = StoreMark("0" * 24, f"sha256:{'0' * 16}", "https://airflow.example.com/" + "x" * 72)
"""As long as real ones are: S3 takes 2 KB of user metadata."""

_NOT_SENT = ("ETag", "VersionId")
_LOCKS = ("ObjectLockMode", "ObjectLockLegalHoldStatus")
"""Only objects with versions have them."""

_HIDDEN = (
    ("Tagging", "get_object_tagging", "tags (s3:GetObjectTagging)"),
    (_LOCKS[0], "get_object_retention", "a retention (s3:GetObjectRetention)"),
    (_LOCKS[1], "get_object_legal_hold", "a legal hold (s3:GetObjectLegalHold)"),
    ("", "get_object_acl", "an access list (s3:GetObjectAcl)"),
)
"""What HeadObject leaves out where the right to see it is missing."""


@dataclass(frozen=True, slots=True)
class S3Object:
    """One S3 object: conditional writes by ETag, our mark in its user metadata.

    A PUT replaces the whole object, so what came with the old one is sent along; see
    :func:`~featurebase_provider.stores.object_storage.s3_settings.settings_in`.

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
                head = self.fs.call_s3("head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
                check_length(self.store, head.get("ContentLength"))
                data = self.fs.cat_file(self.path)
            except FileNotFoundError:
                self._check_bucket(bucket)
                return HeldObject(None)
            state = settings_in(self.store, head)
            if head.get("TagCount"):
                state["Tagging"] = self._tags(bucket, key)
            state |= {name: head[name] for name in _NOT_SENT if head.get(name, "null") != "null"}
            return HeldObject(check_size(self.store, data), state, S3_METADATA.mark_in(state["Metadata"]))

    def changing(self, held: HeldObject) -> AbstractContextManager[HeldObject]:
        """Keep nobody out."""
        return nullcontext(held)

    def look_again(self, held: HeldObject) -> None:
        """Nothing: the write is conditional."""

    def write(self, data: bytes, *, held: HeldObject, mark: StoreMark) -> None:
        """Put the object on the condition that its ETag is the one read, or that it still does not exist."""
        condition = {"IfMatch": held.state["ETag"]} if held.state else {"IfNoneMatch": "*"}
        with self._translated("written"):
            self.fs.pipe_file(self.path, data, **self._settings(held, mark), **condition)

    def prove_writable(self, held: HeldObject, trials: Sequence[bytes]) -> Writability:
        """Begin an upload in parts with all that a write sends along, send the longest, and abort; no reader sees that.

        Empty bytes are sent, as a part that can't be aborted stays, and would hold what else the object holds.
        """
        bucket, key, _ = self.fs.split_path(self.path)
        settings = self._settings(held, _TRIAL_MARK)
        checksum = {name: settings[name] for name in ("ChecksumAlgorithm",) if name in settings}
        longest = max(map(len, trials), default=0)
        with self._translated("proven writable"):
            upload = self.fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key, **settings)["UploadId"]
        part = {"Bucket": bucket, "Key": key, "UploadId": upload}
        try:
            with self._translated("proven writable"):
                self.fs.call_s3("upload_part", PartNumber=1, Body=bytes(longest), **part, **checksum)
        finally:
            aborted = self._aborted(part)
        unseen = self._unseen(bucket, key, held)
        return Writability(True, "; ".join(("an upload with its settings could be begun", aborted, *unseen)))

    def _settings(self, held: HeldObject, mark: StoreMark) -> dict[str, Any]:
        kept = {name: value for name, value in (held.state or {}).items() if name not in _NOT_SENT}
        return {**kept, "Metadata": {**kept.get("Metadata", {}), **S3_METADATA.texts_of(mark)}}

    def _aborted(self, part: Mapping[str, str]) -> str:
        try:
            self.fs.call_s3("abort_multipart_upload", **part)
        except PermissionError:
            return "it was not aborted: allow s3:AbortMultipartUpload"
        except OSError as error:
            raise StoreUnreachable(
                self.store, f"the trial upload could not be aborted ({type(error).__name__})"
            ) from None
        return "it was aborted; the write itself is conditional"

    def _unseen(self, bucket: str, key: str, held: HeldObject) -> tuple[str, ...]:
        """What S3 hides from who may not read it, and a write drops.

        :raises StoreRefused: the object gives others rights of their own.
        """
        if held.data is None:
            return ()
        hidden = []
        for setting, operation, what in _HIDDEN:
            if setting in held.state or (setting in _LOCKS and "VersionId" not in held.state):
                continue
            try:
                answer = self.fs.call_s3(operation, Bucket=bucket, Key=key)
            except PermissionError:
                hidden.append(what)
            except Exception as error:  # noqa: BLE001  as in _translated
                status, _ = _answer_in(error)
                if not refuses(status) and status != 501:  # which say: this object, or this service, has none
                    hidden.append(what)
            else:
                if operation == "get_object_acl":
                    check_access_list(self.store, answer)
        if not hidden:
            return ()
        return (f"not provable: that a write loses none of {', '.join(hidden)}, which could not be read",)

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
