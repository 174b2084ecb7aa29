"""On a real connection, with every library's debug log on, nothing secret is told."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.errors import ApiError, ApiUnreachable, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "507f1f77bcf86cd799439011"
SECRETS = ("sk_live_key", "whsec_", "abc123", "hunter2")


class Peer:
    """A listening socket that sends the same bytes to everybody who connects, and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                self.connections += 1
                request = b""
                while b"\r\n\r\n" not in request:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return  # close() said goodbye
                    request += chunk
                connection.sendall(self.answer)

    def close(self) -> None:
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(timeout=5)
        self._listener.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def http(status: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body


def confidential_webhook(fixture_json: Any) -> bytes:
    webhook = fixture_json("webhook")
    webhook["requestConfig"]["headers"] = {"Authorization": "Bearer hunter2"}
    return json.dumps(webhook).encode()


def everything_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    chain = "".join(traceback.format_exception(error))
    return "\n".join((str(error), repr(error), chain, repr(pickle.dumps(error)), repr(vars(error)), caplog.text))


def test_success_tells_no_secret(drive: Any, peer: Peer, fixture_json: Any, caplog: pytest.LogCaptureFixture) -> None:
    peer.answer = http("200 OK", confidential_webhook(fixture_json))
    with caplog.at_level(logging.DEBUG):
        driver = drive(None, base_url=peer.url)
        webhook = driver("get_webhook", ID)
    assert driver.secrets == ["whsec_abc123def456ghi789", "Bearer hunter2"]
    told = "\n".join((caplog.text, repr(webhook), repr(driver.client), repr(driver.settings)))
    assert "httpcore" in caplog.text
    assert not [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize("method", ["get_webhook", "refresh_secret"])
@pytest.mark.parametrize("case", ["truncated", "wrong shape", "error quoting secrets", "no answer", "no HTTP"])
def test_failure_tells_no_secret(
    drive: Any, peer: Peer, fixture_json: Any, caplog: pytest.LogCaptureFixture, method: str, case: str
) -> None:
    """Neither message, repr, pickle, attributes, exception chain nor any log holds a secret."""
    body = confidential_webhook(fixture_json)
    quoting = {"error": {"type": "api_error", "message": "sk_live_key whsec_abc123", "code": "whsec_abc123"}}
    peer.answer = {
        "truncated": http("200 OK", body[:-10], length=len(body)),
        "wrong shape": http("200 OK", body.replace(b'"id"', b'"ID"')),
        "error quoting secrets": http("500 Oops", json.dumps(quoting).encode()),
        "no answer": b"",
        "no HTTP": body,
    }[case]
    with caplog.at_level(logging.DEBUG):
        driver = drive(None, base_url=peer.url, max_retries=1)
        with pytest.raises(ApiError) as caught:
            driver(method, ID)
    told = everything_told(caught.value, caplog)
    assert not [secret for secret in SECRETS if secret in told]
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert peer.connections == (2 if method == "get_webhook" and case != "wrong shape" else 1)


def test_truncated_refresh_has_an_unknown_outcome(drive: Any, peer: Peer, fixture_json: Any) -> None:
    """The status arrived, the new secret did not: the caller has to read it."""
    body = confidential_webhook(fixture_json)
    peer.answer = http("200 OK", body[:-10], length=len(body))
    with pytest.raises(UnexpectedAnswer, match="is incomplete") as caught:
        drive(None, base_url=peer.url)("refresh_secret", ID)
    assert not caught.value.outcome_known


def test_refused_connection_was_never_sent(drive: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ApiUnreachable, match="could not be sent: ConnectError") as caught:
        drive(None, base_url=f"http://127.0.0.1:{port}")("refresh_secret", ID)
    assert caught.value.outcome_known
