from __future__ import annotations

import re

import pytest

from featurebase_provider.rotation.store import StoreMark
from featurebase_provider.stores.shared.aws_mark import mark_in, own_tags, tags_of

MARK = StoreMark("507f1f77bcf86cd799439011", "sha256:0123456789abcdef", "https://airflow.example.com/ops")
ALLOWED = re.compile(r"[A-Za-z0-9 _.:/=+@-]{0,256}")


@pytest.mark.parametrize(
    "managed_from", [MARK.managed_from, "http://[::1]:8080/?a=b&c=%20~", "Büro, 3. Stock", "a=3Db"]
)
def test_a_mark_survives_as_tags(managed_from: str) -> None:
    """Whatever names an Airflow fits into the characters that AWS allows in tags, and comes back."""
    mark = StoreMark(MARK.webhook_id, MARK.fingerprint, managed_from)
    tags = tags_of(mark)
    assert all(ALLOWED.fullmatch(tag["Value"]) for tag in tags)
    assert mark_in([{"Key": "cost", "Value": "low"}, *tags]) == mark


def test_a_long_origin_is_cut() -> None:
    """A tag holds 256 characters."""
    tags = tags_of(StoreMark(MARK.webhook_id, MARK.fingerprint, "https://" + "a" * 300))
    assert max(len(tag["Value"]) for tag in tags) == 256
    assert mark_in(tags) is not None


def test_tags_of_others_are_no_mark() -> None:
    """An incomplete mark, or one that another program set, is none."""
    tags = tags_of(MARK)
    assert mark_in([]) is None
    for left_out in range(len(tags)):
        assert mark_in(tags[:left_out] + tags[left_out + 1 :]) is None
    assert mark_in([*tags[:3], {"Key": "featurebase-managed-by", "Value": "somebody"}]) is None


def test_only_ours_are_written_again() -> None:
    """Other tags are not ours to repeat."""
    tags = tags_of(MARK)
    assert own_tags([{"Key": "cost", "Value": "low"}, *tags]) == tags
