"""Bounds of what is read of an answer."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.answers import LARGEST_BODY, LONGEST_BODY_SECONDS, RawAnswer
from featurebase_provider.featurebase.calls import LONGEST_CURSOR, MOST_PAGES, WebhookPages
from featurebase_provider.featurebase.errors import UnexpectedAnswer
from featurebase_provider.featurebase.models import LONGEST_SECRET, LONGEST_TIMEOUT_MS, Webhook, WebhookPage

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


def test_a_list_has_an_end_although_each_cursor_is_new() -> None:
    pages = WebhookPages()
    for number in range(MOST_PAGES - 1):
        pages.take(WebhookPage(data=(), next_cursor=f"cursor {number}"))
    with pytest.raises(UnexpectedAnswer, match=f"more than {MOST_PAGES} pages"):
        pages.take(WebhookPage(data=(), next_cursor="one more"))


def test_a_cursor_has_its_documented_length() -> None:
    WebhookPages().take(WebhookPage(data=(), next_cursor="c" * LONGEST_CURSOR))
    with pytest.raises(UnexpectedAnswer, match=f"more than {LONGEST_CURSOR} characters"):
        WebhookPages().take(WebhookPage(data=(), next_cursor="c" * (LONGEST_CURSOR + 1)))


def a_webhook(fixture_json: Any, **changes: Any) -> Webhook:
    return Webhook.model_validate({**fixture_json("webhook"), **changes})


@pytest.mark.parametrize(
    ("status", "taken"),
    [
        ("active", "active"),
        ("some_new-Status2", "some_new-Status2"),
        ("active\n", "unrecognised"),
        ("\x1b[31mactive", "unrecognised"),
        ("paused\u202e", "unrecognised"),
        ("a" * 41, "unrecognised"),
        ("", "unrecognised"),
    ],
)
def test_a_status_is_a_word(fixture_json: Any, status: str, taken: str) -> None:
    """It is logged, kept in XCom and in asset events."""
    assert a_webhook(fixture_json, status=status).status == taken


@pytest.mark.parametrize(("given", "taken"), [(5000, 5000), (0, 1), (-(10**30), 1), (10**30, LONGEST_TIMEOUT_MS)])
def test_a_delivery_timeout_is_one_that_can_be_waited_for(fixture_json: Any, given: int, taken: int) -> None:
    webhook = a_webhook(fixture_json, requestConfig={"timeoutMs": given})
    assert webhook.request_config.timeout_ms == taken


@pytest.mark.parametrize(
    "secret", ["whsec_a\nb", "whsec_\x00", "whsec_\x1b[0m", "whsec_\u202e", "w" * (LONGEST_SECRET + 1)]
)
def test_a_signing_secret_is_a_short_text_of_one_line(fixture_json: Any, secret: str) -> None:
    """It goes into files and headers; its value is in no error."""
    with pytest.raises(ValueError, match="secret_text") as caught:
        a_webhook(fixture_json, secret=secret)
    assert "whsec_" not in str(caught.value)


@pytest.mark.parametrize("field", ["consecutiveFailures", "errorsSinceLastSuccess"])
def test_a_count_is_a_number_that_can_be_shown(fixture_json: Any, field: str) -> None:
    assert a_webhook(fixture_json, health={field: 10**400}).unread == (f"health.{field}",)


ODD_JSON = {
    rb'"health": {"avgResponseTime": NaN, "lastResponseTime": 1e999}': ["avgResponseTime", "lastResponseTime"],
    rb'"lastStatus": {"code": 200, "message": "so \ud83d", "timestamp": "2026-01-15T10:30:00Z"}': [],
    rb'"name": "\uDE00\ud83d\ude00\\ud83d\"\ud83dx"': [],
    b'"description": "\xff\xfe"': [],
}


@pytest.mark.parametrize("odd", ODD_JSON)
def test_what_is_no_character_or_number_keeps_the_rest_readable(drive: Any, odd: bytes) -> None:
    """Featurebase's own language can write half a character, as of a message cut within an emoji."""
    body = b'{"id": "%s", "secret": "whsec_abc", %s}' % (ID.encode(), odd)
    webhook = drive(lambda request: httpx.Response(200, content=body))("get_webhook", ID)
    assert webhook.secret.reveal() == "whsec_abc"
    assert sorted(name.rpartition(".")[2] for name in webhook.unread) == ODD_JSON[odd]
    assert webhook.name in ("", '\ufffd\U0001f600\\ud83d"\ufffdx')
    assert webhook.last_status is None or webhook.last_status.message == "so \ufffd"


@pytest.mark.parametrize("secret", [rb"whsec_\ud83d", b"whsec_\xff"])
def test_a_secret_with_a_lost_character_is_none(drive: Any, secret: bytes) -> None:
    """What would be written to the stores is not what Featurebase signs with."""
    body = b'{"id": "%s", "secret": "%s"}' % (ID.encode(), secret)
    with pytest.raises(UnexpectedAnswer, match="secret_text"):
        drive(lambda request: httpx.Response(200, content=body))("get_webhook", ID)
