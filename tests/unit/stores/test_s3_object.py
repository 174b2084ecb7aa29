from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.object_storage.s3 import S3Object
from featurebase_provider.stores.object_storage.s3_settings import settings_in
from tests.contract.s3_cases import S3JsonCase
from tests.contract.store_case import write_to

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "Überwachung, Tallinn")


class Answer(Exception):
    """An error as botocore makes it of an answer."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__("the body was whsec_secret")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class NoCredentialsError(Exception):
    """Has the name of botocore's."""


class BrokenS3:
    """Raises instead of answering."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def split_path(self, path: str) -> tuple[str, str, None]:
        return "bucket", "key", None

    def call_s3(self, method: str, **request: Any) -> Any:
        raise self.error


def translated(cause: Exception) -> OSError:
    """What s3fs makes of it."""
    error = OSError("the body was whsec_secret")
    error.__cause__ = cause
    return error


@pytest.fixture
def case() -> Iterator[S3JsonCase]:
    built = S3JsonCase()
    yield built
    built.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (translated(Answer(412, "PreconditionFailed")), StoreConflict),
        (translated(Answer(409, "ConditionalRequestConflict")), StoreConflict),
        (translated(Answer(403, "AccessDenied")), StoreRefused),
        (translated(Answer(400, "InvalidRequest")), StoreRefused),
        (translated(Answer(404, "whsec_secret leaks")), StoreRefused),
        (translated(Answer(429, "TooManyRequests")), StoreUnreachable),
        (translated(Answer(503, "SlowDown")), StoreUnreachable),
        (Answer(500, "InternalError"), StoreUnreachable),
        (NoCredentialsError("whsec_secret"), StoreRefused),
        (PermissionError("whsec_secret"), StoreRefused),
        (TimeoutError("whsec_secret"), StoreUnreachable),
        (RuntimeError("whsec_secret"), StoreUnreachable),
    ],
)
def test_answers_become_refusals_conflicts_or_outages(error: Exception, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as caught:
        S3Object("a store", BrokenS3(error), "bucket/key").read()
    assert type(caught.value) is kind
    assert "whsec_secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_encryption_and_storage_class_stay(case: S3JsonCase) -> None:
    """What a plain PUT would reset is sent along."""
    case.s3.put_object(
        Bucket=case.bucket,
        Key=case.key,
        Body=b'{"current": "whsec_a"}',
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="alias/aws/s3",
        StorageClass="STANDARD_IA",
        ContentLanguage="et",
    )
    armed = case.config().arm()
    armed.prove_writable()
    write_to(armed, SecretPair(SigningSecret("whsec_b")), held=armed.read(), mark=MARK)
    head = case.s3.head_object(Bucket=case.bucket, Key=case.key)
    assert (head["ServerSideEncryption"], head["StorageClass"], head["ContentLanguage"]) == (
        "aws:kms",
        "STANDARD_IA",
        "et",
    )
    assert head["SSEKMSKeyId"].endswith("alias/aws/s3")
    assert armed.read().mark == MARK


def test_locks_expiry_and_the_kind_of_checksum_go_over(case: S3JsonCase) -> None:
    """The new version is held as long as the old one, and by nothing less."""
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=2)
    case.bucket = f"locked-{case.bucket}"
    case.s3.create_bucket(Bucket=case.bucket, ObjectLockEnabledForBucket=True)
    case.s3.put_object(
        Bucket=case.bucket,
        Key=case.key,
        Body=b'{"current": "whsec_a"}',
        Expires=until,
        ChecksumAlgorithm="SHA256",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON",
    )
    armed = case.config().arm()
    before = case.s3.head_object(Bucket=case.bucket, Key=case.key)
    assert armed.prove_writable().proven
    write_to(armed, SecretPair(SigningSecret("whsec_b")), held=armed.read(), mark=MARK)
    after = case.s3.head_object(Bucket=case.bucket, Key=case.key, ChecksumMode="ENABLED")
    assert before["VersionId"] != after["VersionId"]
    for name in ("Expires", "ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus"):
        assert after[name] == before[name]
    assert "ChecksumSHA256" in after


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"StorageClass": "GLACIER"}, "storage class is GLACIER"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "storage class is DEEP_ARCHIVE"),
        ({"ExpiresString": "never"}, "an Expires header that is no date"),
        ({"MissingMeta": 1}, "metadata that S3 does not show"),
    ],
)
def test_what_cannot_go_over_is_refused(head: dict[str, Any], said: str) -> None:
    with pytest.raises(StoreRefused, match=said):
        settings_in("a store", head)


def test_only_what_a_put_takes_is_sent() -> None:
    """A retention that is over, and a key without the encryption that it is for, would have the PUT refused."""
    over = datetime.now(timezone.utc) - timedelta(days=1)
    head = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": over, "ServerSideEncryption": "AES256"}
    settings = settings_in("a store", {**head, "SSEKMSKeyId": "key", "BucketKeyEnabled": False, "ChecksumCRC32C": "x"})
    assert settings == {"ServerSideEncryption": "AES256", "Metadata": {}}
    dsse = {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "key"}
    assert settings_in("a store", dsse) == {**dsse, "Metadata": {}}


def test_an_access_list_of_the_objects_own_is_refused_beforehand(case: S3JsonCase) -> None:
    """A PUT drops it, and with it somebody's right to read the secret."""
    case.put("whsec_a")
    assert case.config().arm().prove_writable().proven
    case.s3.put_object_acl(Bucket=case.bucket, Key=case.key, ACL="public-read")
    with pytest.raises(StoreRefused, match="an access list that gives others rights"):
        case.config().arm().prove_writable()


def test_the_trial_upload_has_all_that_the_write_sends(case: S3JsonCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights, limits and keys are then asked for beforehand. The bytes are none of the object's."""
    case.put("whsec_a", "whsec_b")
    armed = case.config().arm()
    sent: dict[str, Any] = {}
    fs = armed._backend.fs  # type: ignore[attr-defined]
    call = type(fs).call_s3

    def noting(method: str, **request: Any) -> Any:
        sent[method] = request
        return call(fs, method, **request)

    monkeypatch.setattr(fs, "call_s3", noting)
    armed.trial = SigningSecret("whsec_" + "x" * 500)
    armed.prove_writable()
    begun, part = sent["create_multipart_upload"], sent["upload_part"]
    assert begun["Tagging"] == "cost=low"
    assert begun["CacheControl"] == "no-store"
    assert begun["Metadata"].keys() > {"owner", "featurebase-fingerprint"}
    assert len(part["Body"]) > 1000
    assert not part["Body"].strip(b"\0")


def test_what_may_not_be_seen_is_said(case: S3JsonCase) -> None:
    """S3 leaves out of its answers what the caller may not read."""
    case.s3.put_bucket_versioning(Bucket=case.bucket, VersioningConfiguration={"Status": "Enabled"})
    case.s3.put_object(Bucket=case.bucket, Key=case.key, Body=b'{"current": "whsec_a"}')
    with case.allowed("s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:AbortMultipartUpload") as config:
        detail = config.arm().prove_writable().detail
    assert "not provable" in detail
    for right in ("s3:GetObjectTagging", "s3:GetObjectAcl", "s3:GetObjectRetention"):  # moto shows legal holds to all
        assert right in detail


def test_a_foreign_manager_is_no_mark_of_ours(case: S3JsonCase) -> None:
    case.s3.put_object(
        Bucket=case.bucket,
        Key=case.key,
        Body=b'{"current": "whsec_a"}',
        Metadata={"featurebase-managed-by": "somebody", "featurebase-webhook-id": "1"},
    )
    assert case.config().arm().read().mark is None


def test_a_binary_object_is_refused_without_quoting_it(case: S3JsonCase) -> None:
    case.s3.put_object(Bucket=case.bucket, Key=case.key, Body=b"\xff\xfewhsec_secret")
    with pytest.raises(StoreRefused, match="not UTF-8") as caught:
        case.config().arm().read()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_tags_that_cannot_be_read_would_be_lost(case: S3JsonCase) -> None:
    """A PUT drops an object's tags, so it is refused where they cannot be sent along."""
    case.put("whsec_a")
    with (
        case.allowed("s3:GetObject", "s3:ListBucket", "s3:PutObject") as config,
        pytest.raises(StoreRefused, match="s3:GetObjectTagging"),
    ):
        config.arm().read()


def test_an_upload_that_cannot_be_aborted_still_proves_it(case: S3JsonCase) -> None:
    case.s3.put_object(Bucket=case.bucket, Key=case.key, Body=b'{"current": "whsec_a"}')
    with case.allowed("s3:GetObject", "s3:ListBucket", "s3:PutObject") as config:
        proof = config.arm().prove_writable()
    assert proof.proven
    assert "s3:AbortMultipartUpload" in proof.detail
