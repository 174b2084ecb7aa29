from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    AuthenticationFailed,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
    WebhookNotFound,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ID = "507f1f77bcf86cd799439011"
OTHER = "507f1f77bcf86cd799439012"


class BrokenBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that gives its start, then fails."""

    def __init__(self, start: bytes, failure: Exception) -> None:
        self.start, self.failure = start, failure

    def __iter__(self) -> Iterator[bytes]:
        yield self.start
        raise self.failure

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.start
        raise self.failure


class EndlessBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that never ends; counts the bytes that were taken from it."""

    taken = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.taken += 65536
            yield b" " * 65536

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


def failing(drive: Any, answer: httpx.Response | Exception, call: str = "get_webhook", **options: Any) -> ApiError:
    """Drive a call into an answer that is no success, without retries."""

    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    arguments: tuple[Any, ...] = {"list_webhooks": (), "create_webhook": ("n", "https://r.test", [])}.get(call, (ID,))
    driver = drive(handler, max_retries=0)
    with pytest.raises(ApiError) as caught:
        driver(call, *arguments, **options)
    assert caught.value.__context__ is None, "a context would hold the request or the body"
    return caught.value


@pytest.mark.parametrize(
    ("name", "status", "kind", "code", "param"),
    [
        ("error_authentication", 401, AuthenticationFailed, "invalid_api_key", None),
        ("error_authorization", 403, PermissionDenied, "plan_required", None),
        ("error_invalid_request", 400, InvalidRequest, "parameter_invalid", "url"),
        ("error_not_found", 404, WebhookNotFound, "webhook_not_found", "id"),
        ("error_not_found", 410, WebhookNotFound, "webhook_not_found", "id"),
        ("error_rate_limit", 429, RateLimited, "rate_limit_exceeded", None),
        ("error_api", 500, ApiUnavailable, "internal_error", None),
        ("error_authentication", 400, AuthenticationFailed, "invalid_api_key", None),
    ],
)
def test_documented_errors(
    drive: Any, fixture_json: Any, name: str, status: int, kind: type[ApiError], code: str, param: str | None
) -> None:
    """Each error type has its class, which carries status, code, param and message."""
    body = fixture_json(name)
    error = failing(drive, httpx.Response(status, json=body))
    assert type(error) is kind
    assert (error.status, error.code, error.param, error.path) == (status, code, param, f"/v2/webhooks/{ID}")
    assert (error.type, error.detail) == (body["error"]["type"], body["error"]["message"])


@pytest.mark.parametrize("status", [408, 500, 504])
@pytest.mark.parametrize("type_", ["invalid_request_error", "authentication_error"])
def test_a_timeout_or_a_5xx_is_no_refusal_whatever_its_body_says(drive: Any, status: int, type_: str) -> None:
    """What became of the call is unknown: taken for a refusal, a refresh that was carried out would be missed."""
    error = failing(drive, httpx.Response(status, json={"error": {"type": type_}}))
    assert (type(error), error.type) == (ApiUnavailable, type_)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (404, InvalidRequest),  # a gateway's, where the base URL leads elsewhere; not that the webhook is gone
        (408, ApiUnavailable),
        (409, InvalidRequest),
        (410, InvalidRequest),
        (418, InvalidRequest),
        (422, InvalidRequest),
        (429, RateLimited),
        (500, ApiUnavailable),
        (502, ApiUnavailable),
        (520, ApiUnavailable),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad gateway</html>",
        b"",
        b"[]",
        b'{"error": "no"}',
        b'{"error": {"type": 5, "message": null}}',
        b"\xff",
    ],
)
def test_errors_that_are_not_featurebases_keep_their_status(
    drive: Any, status: int, kind: type[ApiError], body: bytes
) -> None:
    """A proxy's page is judged by its status."""
    error = failing(drive, httpx.Response(status, content=body))
    assert type(error) is kind
    assert (error.status, error.type, error.code) == (status, None, None)
    assert "html" not in str(error)


@pytest.mark.parametrize("call", ["list_webhooks", "create_webhook"])
def test_not_found_without_a_webhook_is_not_about_one(drive: Any, fixture_json: Any, call: str) -> None:
    """A 404 of the whole collection means a wrong address or version."""
    assert type(failing(drive, httpx.Response(404, json=fixture_json("error_not_found")), call)) is InvalidRequest


def test_error_with_a_broken_body_keeps_its_status(drive: Any) -> None:
    broken = BrokenBody(b'{"error"', httpx.ReadError("gone"))
    assert type(failing(drive, httpx.Response(401, stream=broken))) is AuthenticationFailed


def test_messages_of_the_api_are_cleaned_and_shortened(drive: Any) -> None:
    """No control characters, no key, no secret, and no essay gets into an error."""
    fault = {
        "type": "invalid_request_error",
        "code": "\x1b[31mbad\nsk_live_key",
        "message": f"key sk_live_key, secret whsec_abc123, header hunter2\x07 {'x' * 400}",
        "param": "requestConfig",
    }
    answer = httpx.Response(400, json={"error": fault})
    error = failing(drive, answer, "create_webhook", headers={"Authorization": "hunter2"})
    assert error.code == "[31mbad [redacted]"
    assert error.detail.startswith("key [redacted], secret [redacted], header [redacted] xxx")
    assert len(error.detail) == 300


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308])
def test_redirects_are_not_followed(drive: Any, status: int) -> None:
    """The API does not redirect; following one could take the key elsewhere."""
    answer = httpx.Response(status, headers={"Location": "https://evil.test/"})
    error = failing(drive, answer, "refresh_secret")
    assert isinstance(error, UnexpectedAnswer)
    assert "redirect" in error.detail
    assert not error.outcome_known


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id": "507f', b"\xff\xfe", b"null", b"[" * 5000])
def test_body_that_is_not_json(drive: Any, body: bytes) -> None:
    error = failing(drive, httpx.Response(200, content=body), "refresh_secret")
    assert isinstance(error, UnexpectedAnswer)
    assert (error.detail, error.body_broken) == ("the body is not JSON", True)


@pytest.mark.parametrize("failure", [httpx.ReadError("x"), httpx.RemoteProtocolError("x"), httpx.ReadTimeout("x")])
def test_body_that_breaks_off(drive: Any, failure: Exception) -> None:
    error = failing(drive, httpx.Response(200, stream=BrokenBody(b'{"id":', failure)), "refresh_secret")
    assert isinstance(error, UnexpectedAnswer)
    assert error.detail == f"the body is incomplete ({type(failure).__name__})"
    assert error.status == 200
    assert not error.outcome_known


def test_body_that_does_not_unpack(drive: Any) -> None:
    answer = httpx.Response(200, stream=BrokenBody(b"no gzip", AssertionError()), headers={"Content-Encoding": "gzip"})
    error = failing(drive, answer)
    assert isinstance(error, UnexpectedAnswer)
    assert error.body_broken


def test_reading_stops_at_the_largest_body(drive: Any) -> None:
    endless = EndlessBody()
    error = failing(drive, httpx.Response(200, stream=endless))
    assert isinstance(error, UnexpectedAnswer)
    assert "longer than 1048576 bytes" in error.detail
    assert not error.body_broken
    assert endless.taken < 1_300_000


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"topics": 5, "secret": {"whsec_abc123": 1}}, "secret (secret_type), topics (tuple_type)"),
        ({"id": None}, "id (missing)"),
        (dict.fromkeys(("id", "name", "url", "version", "status", "createdAt"), []), "(string_type) and 1 more"),
    ],
)
def test_wrong_shape_names_the_fields_at_fault(
    drive: Any, fixture_json: Any, changes: dict[str, Any], named: str
) -> None:
    """The error tells where to look, never what was there."""
    error = failing(drive, httpx.Response(200, json={**fixture_json("webhook"), **changes}), "refresh_secret")
    assert isinstance(error, UnexpectedAnswer)
    assert named in error.detail
    assert not error.body_broken
    assert "abc123" not in str(error)


def test_json_that_is_no_object(drive: Any) -> None:
    assert "the whole body" in failing(drive, httpx.Response(200, json=["whsec_a"])).detail


@pytest.mark.parametrize("call", ["get_webhook", "refresh_secret", "delete_webhook"])
def test_answer_about_another_webhook_is_refused(drive: Any, fixture_json: Any, call: str) -> None:
    """Another webhook's secret must never be taken for this one's."""
    name = "deleted_webhook" if call == "delete_webhook" else "webhook"
    error = failing(drive, httpx.Response(200, json={**fixture_json(name), "id": OTHER}), call)
    assert isinstance(error, UnexpectedAnswer)
    assert OTHER in error.detail


def test_deletion_that_did_not_happen_is_an_error(drive: Any, fixture_json: Any) -> None:
    answer = httpx.Response(200, json={**fixture_json("deleted_webhook"), "deleted": False})
    assert "deleted (literal_error)" in failing(drive, answer, "delete_webhook").detail


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), False),
        (httpx.ConnectError(""), False),
        (httpx.ConnectTimeout("x"), False),
        (httpx.PoolTimeout("x"), False),
        (httpx.ReadTimeout("x"), True),
        (httpx.WriteError("x"), True),
        (httpx.ReadError("x"), True),
        (httpx.RemoteProtocolError("x"), True),
        (httpx.ProxyError("x"), True),
    ],
)
def test_calls_without_an_answer(drive: Any, failure: Exception, sent: bool) -> None:
    """Only a connection that was never made proves that nothing was sent."""
    error = failing(drive, failure, "refresh_secret")
    assert isinstance(error, ApiUnreachable)
    assert (error.status, error.was_sent, error.outcome_known) == (None, sent, not sent)
    assert error.detail.startswith(type(failure).__name__)


def test_connection_error_keeps_the_systems_words_only(drive: Any) -> None:
    """What the system or the TLS library says helps; other texts may quote a header."""
    certificate = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    assert "self-signed" in failing(drive, certificate).detail
    header = httpx.LocalProtocolError("Illegal header value b'Bearer sk_live_key'")
    assert failing(drive, header).detail == "LocalProtocolError"


RESET = 1_768_473_030


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {}, None),
        (429, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": " 7 "}, 7),
        (503, {"Retry-After": "7.5"}, 7.5),
        (429, {"Retry-After": "Thu, 15 Jan 2026 10:30:20 GMT"}, 20),
        (429, {"Retry-After": "Thu, 15 Jan 2026 10:29:00 GMT"}, 0),
        (429, {"Retry-After": "soon"}, None),
        (429, {"Retry-After": "-5"}, None),
        (429, {"Retry-After": "nan"}, None),
        (429, {"Retry-After": "9" * 400}, None),
        (429, {"X-RateLimit-Reset": str(RESET)}, 30),
        (429, {"X-RateLimit-Reset": str(RESET * 1000 + 500)}, 30.5),
        (429, {"X-RateLimit-Reset": str(RESET - 60)}, 0),
        (429, {"X-RateLimit-Reset": "42"}, 42),
        (429, {"X-RateLimit-Reset": "later"}, None),
        (429, {"Retry-After": "7", "X-RateLimit-Reset": "42"}, 7),
        (503, {"X-RateLimit-Reset": "42"}, None),
    ],
)
def test_time_that_an_answer_asks_to_wait(
    drive: Any, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Moments count by the server's own clock; the reset's undocumented unit shows by its size."""
    answer = httpx.Response(status, headers={"Date": "Thu, 15 Jan 2026 10:30:00 GMT", **headers})
    assert failing(drive, answer).retry_after == seconds


def test_wait_counts_by_the_local_clock_where_the_answer_has_no_date(
    drive: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = drive(lambda request: httpx.Response(429, headers={"X-RateLimit-Reset": str(RESET)}), max_retries=0)
    monkeypatch.setattr(driver.client.clock, "local", lambda: RESET - 12.0)
    with pytest.raises(RateLimited) as caught:
        driver("get_webhook", ID)
    assert caught.value.retry_after == 12
