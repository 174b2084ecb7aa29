"""Turns a response of the Featurebase API into a model or an error."""

from __future__ import annotations

import math
import re
import time
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from featurebase_provider.featurebase.certificates import is_certificate_error
from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    AuthenticationFailed,
    CertificateRefused,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
    WebhookNotFound,
)
from featurebase_provider.featurebase.models import DeletedWebhook, Webhook
from featurebase_provider.featurebase.server_clock import read_http_date
from featurebase_provider.featurebase.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from featurebase_provider.featurebase.calls import ApiCall, T

LARGEST_BODY = 1024 * 1024
"""Largest body that is read, in decompressed bytes; a page of 100 webhooks has about a tenth of that."""
LONGEST_BODY_SECONDS = 60.0
"""Longest time in seconds that a body may take; httpx's read timeout starts again with each chunk."""

_ERROR_FOR_TYPE: dict[str | None, type[ApiError]] = {
    "authentication_error": AuthenticationFailed,
    "authorization_error": PermissionDenied,
    "invalid_request_error": InvalidRequest,
    "rate_limit_error": RateLimited,
    "api_error": ApiUnavailable,
}
_ERROR_FOR_STATUS: dict[int, type[ApiError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    429: RateLimited,
}
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape sequence of JSON: a character in two halves, one half by itself (group 1), or another."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class RawAnswer:
    """A response whose body is read up to a size and time limit. It records why the body is incomplete.

    :param seconds: how long the body may take.
    :param monotonic: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        response: httpx.Response,
        *,
        seconds: float = math.inf,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.is_too_long = False
        self.broke_off: str | None = None
        """Why the body is incomplete: the class name of the transport's error, or a short description."""
        self._body = bytearray()
        self._monotonic, self._give_up = monotonic, monotonic() + seconds
        self._coding = response.headers.get("Content-Encoding", "").strip().lower()
        self._inflate = zlib.decompressobj(wbits=31) if self._coding in ("gzip", "x-gzip") else None

    @property
    def body(self) -> bytes:
        """The part of the body that was read, decompressed."""
        return bytes(self._body)

    @property
    def is_coded(self) -> bool:
        """Whether the body is compressed. Read raw chunks then: only :meth:`take` limits the decompressed size."""
        return self._coding not in ("", "identity")

    def take(self, chunk: bytes) -> bool:
        """Add a chunk of the body; False if reading should stop."""
        if self._monotonic() > self._give_up:
            self.broke_off = "too slow"
        elif self.is_coded:
            chunk = self._decompressed(chunk)
        if self.broke_off is not None:
            return False
        self._body += chunk
        self.is_too_long = len(self._body) > LARGEST_BODY
        return not self.is_too_long

    def _decompressed(self, chunk: bytes) -> bytes:
        if self._inflate is None:
            self.broke_off = "compressed in a way that was not asked for"
            return b""
        try:
            return self._inflate.decompress(chunk, LARGEST_BODY + 1 - len(self._body))
        except zlib.error:
            self.broke_off = "not decompressible"
            return b""


class _Fault(NamedTuple):
    """The ``error`` object of an answer, fit to be shown."""

    type: str | None = None
    code: str | None = None
    detail: str = ""
    param: str | None = None


def unreachable(call: ApiCall[Any], failure: httpx.RequestError, secrets: Sequence[str]) -> ApiUnreachable:
    """Describe a call that got no answer.

    :param secrets: values to leave out of the message.
    """
    detail = type(failure).__name__
    if isinstance(failure, httpx.ConnectError) and str(failure):
        # The system's or the TLS library's words. Other errors' texts may quote a header.
        detail = f"{detail}: {clean_text(str(failure), secrets=secrets)}"
    kind = CertificateRefused if is_certificate_error(failure) else ApiUnreachable
    return kind(call.method, call.path, detail=detail, was_sent=not isinstance(failure, _NEVER_SENT))


def read_answer(call: ApiCall[T], answer: RawAnswer, secrets: Sequence[str], now: float) -> T | ApiError:
    """Return a response's model, or the error that it means.

    The error is returned, not raised: the traceback of an error raised here would hold the response and the API key
    in its frames, and error trackers send frames.

    :param secrets: values to remove from messages, in case the API quotes them.
    :param now: Unix time in seconds, used where the response has no ``Date`` header.
    """
    unexpected = partial(UnexpectedAnswer, call.method, call.path, answer.status)
    if 300 <= answer.status < 400:
        return unexpected(detail="a redirect, which is not followed")
    if answer.status >= 400:
        return _error(call, answer, secrets, now)
    if answer.is_too_long:
        return unexpected(detail=f"the body is longer than {LARGEST_BODY} bytes")
    if answer.broke_off:
        return unexpected(detail=f"the body is incomplete ({answer.broke_off})", body_broken=True)
    payload = _decoded(answer.body)
    if payload is None:
        return unexpected(detail="the body is not JSON", body_broken=True)
    try:
        value = call.answer.model_validate(payload)
    except ValidationError as exc:
        faults = _faults(exc)
        return unexpected(detail=clean_text(f"fields missing or of the wrong kind: {faults}", secrets=secrets))
    other = _another_webhook(call, value)
    return unexpected(detail=f"it is about another webhook, {other}") if other else value


def _another_webhook(call: ApiCall[Any], value: object) -> str | None:
    if call.webhook_id is None or not isinstance(value, (Webhook, DeletedWebhook)):
        return None
    return None if value.id.lower() == call.webhook_id.lower() else value.id


def _decoded(body: bytes) -> Any:
    """The parsed JSON body, or None if it is not JSON. Invalid characters become U+FFFD."""
    try:
        return from_json(body)
    except ValueError:
        # A message that was cut within an emoji ends in half of one: JSON can say that, but it is no text.
        text = _ESCAPE.sub(lambda found: found[0] if found[1] is None else r"\ufffd", body.decode("utf-8", "replace"))
    try:
        return from_json(text)
    except ValueError:
        return None


def _faults(error: ValidationError) -> str:
    """Name the fields at fault, never their values."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{'.'.join(map(str, fault['loc'])) or 'the whole body'} ({fault['type']})" for fault in details]
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")


def _error(call: ApiCall[Any], answer: RawAnswer, secrets: Sequence[str], now: float) -> ApiError:
    fault = _read_fault(answer.body, (*secrets, *call.confidential))
    return _error_class(call, answer.status, fault)(
        call.method,
        call.path,
        answer.status,
        fault.type,
        fault.code,
        fault.detail,
        fault.param,
        seconds_to_wait(answer, now),
    )


def _error_class(call: ApiCall[Any], status: int, fault: _Fault) -> type[ApiError]:
    if status == 408 or status >= 500:  # whatever the body says: the call may or may not have taken effect
        return ApiUnavailable
    error = _ERROR_FOR_TYPE.get(fault.type, _ERROR_FOR_STATUS.get(status, InvalidRequest))
    # A 404 without Featurebase's error body may come from a gateway: the base URL may lead elsewhere.
    said = fault.type or fault.code
    if error is InvalidRequest and status in (404, 410) and call.webhook_id is not None and said:
        return WebhookNotFound
    return error


def _read_fault(body: bytes, secrets: Sequence[str]) -> _Fault:
    payload = _decoded(body)
    fault = payload.get("error") if isinstance(payload, dict) else None
    if not isinstance(fault, dict):
        return _Fault(detail="the response has no error body of the kind that Featurebase sends")

    def text(name: str, limit: int) -> str | None:
        value = fault.get(name)
        return (clean_text(value, secrets=secrets, limit=limit) or None) if isinstance(value, str) else None

    return _Fault(text("type", 60), text("code", 60), text("message", 300) or "", text("param", 100))


def seconds_to_wait(answer: RawAnswer, now: float) -> float | None:
    """Seconds to wait before the next try, from ``Retry-After`` or the end of the rate limit's window."""
    now = _server_time(answer, now)
    retry_after = answer.headers.get("Retry-After", "").strip()
    if (seconds := _number(retry_after)) is not None:
        return seconds
    if (moment := read_http_date(retry_after)) is not None:
        return max(0.0, moment - now)
    if answer.status != 429:
        return None
    return seconds_to_reset(answer, now)


def seconds_to_reset(answer: RawAnswer, now: float) -> float | None:
    """Read ``X-RateLimit-Reset``, whose unit is not documented: its size tells which it is."""
    reset = _number(answer.headers.get("X-RateLimit-Reset", "").strip())
    if reset is None or reset < 1e8:  # seconds from now, as nobody waits for three years
        return reset
    moment = reset / 1000 if reset >= 1e11 else reset  # Unix time, in milliseconds or in seconds
    return max(0.0, moment - _server_time(answer, now))


def _server_time(answer: RawAnswer, now: float) -> float:
    server_time = read_http_date(answer.headers.get("Date"))
    return now if server_time is None else server_time


def _number(text: str) -> float | None:
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", text):
        return None
    return float(text)
