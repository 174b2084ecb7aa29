from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores.object_storage.s3 import S3Object
from tests.contract.s3_cases import S3JsonCase

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
    armed.write(SecretPair(SigningSecret("whsec_b")), held=armed.read(), mark=MARK)
    head = case.s3.head_object(Bucket=case.bucket, Key=case.key)
    assert (head["ServerSideEncryption"], head["StorageClass"], head["ContentLanguage"]) == (
        "aws:kms",
        "STANDARD_IA",
        "et",
    )
    assert head["SSEKMSKeyId"].endswith("alias/aws/s3")
    assert armed.read().mark == MARK


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
    assert caught.value.__suppress_context__


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
