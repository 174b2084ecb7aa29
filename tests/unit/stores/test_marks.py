from __future__ import annotations

import re

import pytest

from featurebase_provider.rotation.store import MANAGED_BY, StoreMark
from featurebase_provider.stores.shared.marks import AWS_TAGS, LABELS, NOTE, S3_METADATA, VAULT_METADATA, MarkCodec

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "https://airflow.example.com/ops")
AWS_ALLOWED = re.compile(r"[A-Za-z0-9 _.:/=+@-]{0,256}")
CODECS = pytest.mark.parametrize("codec", [LABELS, VAULT_METADATA, AWS_TAGS, S3_METADATA, NOTE])


@CODECS
@pytest.mark.parametrize(
    "managed_from", [MARK.managed_from, "http://[::1]:8080/?a=b&c=%20~", "Büro, 3. Stock", "a=3Db"]
)
def test_a_mark_reads_back_beside_other_texts(codec: MarkCodec, managed_from: str) -> None:
    mark = StoreMark(MARK.webhook_id, MARK.fingerprint, managed_from)
    assert codec.mark_in({"cost": "low", **codec.texts_of(mark)}) == mark


@pytest.mark.parametrize("managed_from", ["http://[::1]:8080/?a=b&c=%20~", "Büro, 3. Stock"])
def test_tags_of_aws_hold_what_aws_allows(managed_from: str) -> None:
    texts = AWS_TAGS.texts_of(StoreMark(MARK.webhook_id, MARK.fingerprint, managed_from))
    assert all(AWS_ALLOWED.fullmatch(text) for text in texts.values())


def test_metadata_of_s3_is_ascii() -> None:
    texts = S3_METADATA.texts_of(StoreMark(MARK.webhook_id, MARK.fingerprint, "Büro"))
    assert all(text.isascii() for text in texts.values())


@pytest.mark.parametrize(("codec", "longest"), [(LABELS, 256), (AWS_TAGS, 256), (VAULT_METADATA, 512)])
def test_a_long_origin_is_cut_to_what_the_vendor_takes(codec: MarkCodec, longest: int) -> None:
    texts = codec.texts_of(StoreMark(MARK.webhook_id, MARK.fingerprint, "https://" + "a" * 600))
    assert max(map(len, texts.values())) == longest
    assert codec.mark_in(texts) is not None


@CODECS
def test_an_incomplete_mark_or_one_of_another_program_is_none(codec: MarkCodec) -> None:
    texts = codec.texts_of(MARK)
    assert codec.mark_in({}) is None
    for name in texts:
        assert codec.mark_in({other: text for other, text in texts.items() if other != name}) is None
        assert codec.mark_in({**texts, name: ""}) is None
    assert codec.mark_in({**texts, codec.names[-1]: "somebody"}) is None


@CODECS
def test_only_our_texts_are_ours(codec: MarkCodec) -> None:
    texts = codec.texts_of(MARK)
    assert codec.own({"cost": "low", "featurebase-other": "theirs", **texts}) == texts


def test_the_names_on_stored_secrets_are_those_of_older_versions() -> None:
    assert LABELS.texts_of(MARK) == {
        "featurebase-webhook-id": MARK.webhook_id,
        "featurebase-fingerprint": MARK.fingerprint,
        "featurebase-managed-from": MARK.managed_from,
        "featurebase-managed-by": MANAGED_BY,
    }
    assert set(NOTE.texts_of(MARK)) == {"webhook_id", "fingerprint", "managed_from", "managed_by"}
