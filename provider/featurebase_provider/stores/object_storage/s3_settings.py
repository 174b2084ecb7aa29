"""What comes with an S3 object beside its bytes, as the arguments of a PUT that keeps it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEPT = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires",
    "WebsiteRedirectLocation", "StorageClass", "ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled",
    "ObjectLockLegalHoldStatus",
)  # fmt: skip
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_CHECKSUMS = ("SHA256", "SHA1", "CRC32")
"""Algorithms that every S3 client has; in place of another one the client uses its own default."""


def settings_in(store: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """What a PUT has to send along: headers, storage class, encryption, locks, kind of checksum and user metadata.

    :param head: the answer of HeadObject, asked for with ``ChecksumMode``.
    :raises StoreRefused: something of it can't be sent again, or what is written could not be read.
    """
    if head.get("StorageClass") in _ARCHIVES:
        raise StoreRefused(
            store,
            f"its storage class is {head['StorageClass']}, from which nobody could read what is written",
            "Change its storage class; nothing was changed",
        )
    if head.get("ExpiresString") and not isinstance(head.get("Expires"), datetime):
        raise _lost(store, "an Expires header that is no date")
    if head.get("MissingMeta"):
        raise _lost(store, "metadata that S3 does not show as headers")
    settings = {name: head[name] for name in _KEPT if head.get(name) is not None}
    if not str(settings.get("ServerSideEncryption", "")).startswith("aws:kms"):
        settings.pop("SSEKMSKeyId", None)
        settings.pop("BucketKeyEnabled", None)
    until = head.get("ObjectLockRetainUntilDate")
    if head.get("ObjectLockMode") and until and until > datetime.now(timezone.utc):  # S3 takes no date that is over
        settings["ObjectLockMode"], settings["ObjectLockRetainUntilDate"] = head["ObjectLockMode"], until
    algorithms = [name for name in _CHECKSUMS if head.get(f"Checksum{name}")]
    if algorithms:
        settings["ChecksumAlgorithm"] = algorithms[0]
    settings["Metadata"] = dict(head.get("Metadata") or {})
    return settings


def check_access_list(store: str, answer: Mapping[str, Any]) -> None:
    """Insist that an object gives nobody rights but its owner: a PUT drops all others.

    :param answer: of GetObjectAcl.
    :raises StoreRefused: it does.
    """
    owner = answer.get("Owner", {}).get("ID")
    if any(grant.get("Grantee", {}).get("ID") != owner for grant in answer.get("Grants", ())):
        raise _lost(store, "an access list that gives others rights")


def _lost(store: str, what: str) -> StoreRefused:
    return StoreRefused(
        store,
        f"the object has {what}, which a write would drop; nothing was changed",
        "Remove that from the object (a bucket policy can give the same rights), or configure another one",
    )
