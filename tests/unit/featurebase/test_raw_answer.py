"""Bounds of what is read of an answer."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.answers import LARGEST_BODY, LONGEST_BODY_SECONDS, RawAnswer
from featurebase_provider.featurebase.calls import LONGEST_CURSOR, MOST_PAGES, Pages, list_webhooks_call
from featurebase_provider.featurebase.errors import UnexpectedAnswer
from featurebase_provider.featurebase.models import WebhookPage

ID = "507f1f77bcf86cd799439011"


def an_answer(coding: str = "", **options: Any) -> RawAnswer:
    return RawAnswer(httpx.Response(200, headers={"Content-Encoding": coding} if coding else {}), **options)


def test_a_body_may_be_as_long_as_the_bound() -> None:
    answer = an_answer()
    assert answer.take(bytes(LARGEST_BODY))
    assert not answer.is_too_long
    assert not answer.take(b"x")
    assert answer.is_too_long


def test_what_is_unpacked_counts() -> None:
    packed = gzip.compress(bytes(LARGEST_BODY * 8))
    answer = an_answer("gzip")
    assert answer.is_coded
    assert not answer.take(packed)
    assert answer.is_too_long
    assert len(answer.body) == LARGEST_BODY + 1


def test_a_compressed_body_comes_in_chunks() -> None:
    packed = gzip.compress(b"a body")
    answer = an_answer("X-GZip")
    assert all([answer.take(packed[:10]), answer.take(packed[10:])])
    assert answer.body == b"a body"


@pytest.mark.parametrize(
    ("coding", "said"), [("br", "compressed in a way that was not asked for"), ("gzip", "not decompressible")]
)
def test_a_body_that_cannot_be_unpacked_breaks_off(coding: str, said: str) -> None:
    answer = an_answer(coding)
    assert not answer.take(b"neither")
    assert (answer.broke_off, answer.body) == (said, b"")


def test_identity_is_no_coding() -> None:
    assert not an_answer("Identity").is_coded


def test_a_body_that_comes_a_byte_at_a_time_is_left_after_a_while() -> None:
    """The transport's own timeout begins anew with each byte."""
    now = [0.0]
    answer = an_answer(seconds=60.0, monotonic=lambda: now[0])
    assert answer.take(b"a")
    now[0] = 60.0
    assert answer.take(b"b")
    now[0] = 60.1
    assert not answer.take(b"c")
    assert (answer.broke_off, answer.body) == ("too slow", b"ab")


def test_a_client_bounds_the_time(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(RawAnswer.__init__, "__kwdefaults__", {"seconds": 1e9, "monotonic": lambda: now[0]})

    class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(3):
                now[0] += LONGEST_BODY_SECONDS / 2
                yield b" "
            raise AssertionError("read on")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in iter(self):
                yield part

    driver = drive(lambda request: httpx.Response(200, stream=Dripping()), max_retries=0)
    with pytest.raises(UnexpectedAnswer, match="too slow"):
        driver("get_webhook", ID)


def pages_of_webhooks() -> Pages[WebhookPage]:
    return Pages(lambda cursor: list_webhooks_call(cursor=cursor))


def test_a_list_has_an_end_although_each_cursor_is_new() -> None:
    pages = pages_of_webhooks()
    for number in range(MOST_PAGES - 1):
        pages.take(WebhookPage(data=(), next_cursor=f"cursor {number}"))
    with pytest.raises(UnexpectedAnswer, match=f"more than {MOST_PAGES} pages"):
        pages.take(WebhookPage(data=(), next_cursor="one more"))


def test_a_cursor_has_its_documented_length() -> None:
    pages_of_webhooks().take(WebhookPage(data=(), next_cursor="c" * LONGEST_CURSOR))
    with pytest.raises(UnexpectedAnswer, match=f"more than {LONGEST_CURSOR} characters"):
        pages_of_webhooks().take(WebhookPage(data=(), next_cursor="c" * (LONGEST_CURSOR + 1)))
