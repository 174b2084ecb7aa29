"""The store http against a network and a service that mean it ill; real sockets on loopback."""

from __future__ import annotations

import json
import ssl
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.stores.http import HttpStore
from tests.servers.scripted_server import answer, scripted_server
from tests.servers.self_signed import self_signed
from tests.unit.hostile.conftest import Authority

STORE = HttpStore(
    url="/value", body='{"value": {{ secret | tojson }}}', read={"url": "/value", "current": "$.value"}, timeout=5
)
HELD = json.dumps({"value": "whsec_held"}).encode()
TOKEN = "Bearer the-connections-own-token"


def said(*parts: bytes) -> Callable[[bytes], Iterable[bytes]]:
    return lambda request: parts


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def make(url: str, **fields: Any) -> None:
        connection = {"conn_type": "http", "host": url, "extra": {"Authorization": TOKEN}, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", json.dumps(connection))

    return make


def read() -> str | None:
    armed = STORE.arm()
    try:
        held = armed.read()
        return held.current.reveal() if held.current else None
    finally:
        armed.close()


def test_netrc_does_not_replace_the_connections_token(connect: Any) -> None:
    with scripted_server(said(answer(200, HELD))) as server:
        connect(f"http://{server.address}")
        assert read() == "whsec_held"
    assert server.headers()["authorization"] == TOKEN


def test_netrc_is_not_asked_over_https_either(connect: Any, authority: Authority) -> None:
    with scripted_server(said(answer(200, HELD)), tls=authority.server("localhost")) as server:
        connect(f"https://localhost:{server.port}")
        assert read() == "whsec_held"
    assert server.headers()["authorization"] == TOKEN


def test_the_connections_login_is_used(connect: Any) -> None:
    with scripted_server(said(answer(200, HELD))) as server:
        connect(f"http://{server.address}", login="user", password="pass", extra={})
        read()
    assert server.headers()["authorization"] == "Basic dXNlcjpwYXNz"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_plain_http_to_this_machine_goes_past_any_proxy(
    connect: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with scripted_server(said(answer(200, HELD))) as server, scripted_server(said(answer(502))) as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.address}")
        connect(f"http://{server.address}")
        assert read() == "whsec_held"
    assert proxy.connections == 0


def test_a_service_with_a_certificate_of_nobody_gets_no_request(connect: Any, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with scripted_server(said(answer(200, HELD)), tls=context) as server:
        connect(f"https://{server.address}")
        with pytest.raises(StoreUnreachable, match="SSLError.*REQUESTS_CA_BUNDLE"):
            read()
    assert server.requests == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(connect: Any, status: int) -> None:
    with scripted_server(said(answer(200, HELD))) as elsewhere:
        location = f"http://{elsewhere.address}/"
        with scripted_server(said(answer(status, Location=location))) as server:
            connect(f"http://{server.address}")
            with pytest.raises(StoreError, match=str(status)):
                read()
    assert elsewhere.connections == 0


def test_a_small_answer_that_unpacks_to_much_is_refused(connect: Any) -> None:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1024 * 1024)
    bomb = b"".join([packer.compress(block) for _ in range(128)] + [packer.flush()])
    with scripted_server(said(answer(200, bomb, Content_Encoding="gzip"))) as server:
        connect(f"http://{server.address}")
        armed = STORE.arm()
        tracemalloc.start()
        try:
            with pytest.raises(StoreRefused, match="has more than"):
                armed.read()
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()
            armed.close()


@pytest.mark.parametrize("url", ["/v1/../x", "/v1/%2e%2e/x", "/v1/.%2E/x", "/v1/..%2fx", "/.."])
def test_a_path_that_leads_up_is_no_path(url: str) -> None:
    with pytest.raises(ValueError, match="write the path"):
        HttpStore(url=url, body='{"value": {{ secret | tojson }}}', adopt=True)


def test_a_version_cannot_lead_the_write_elsewhere(connect: Any) -> None:
    """The version is the service's own text, and may be a part of the path."""
    held = json.dumps({"value": "whsec_held", "version": ".."}).encode()
    store = HttpStore(
        url="/v1/{{ version }}/value",
        body='{"value": {{ secret | tojson }}}',
        read={"url": "/value", "current": "$.value", "version": "$.version"},
    )
    with scripted_server(said(answer(200, held))) as server:
        connect(f"http://{server.address}")
        armed = store.arm()
        with pytest.raises(StoreRefused, match="would lead to another path; nothing was changed"):
            armed.prove_writable()
        armed.close()
    assert [request.split(b" ", 1)[0] for request in server.requests] == [b"GET"]


def test_an_endless_answer_is_refused(connect: Any) -> None:
    def say(request: bytes) -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b" " * 65536

    with scripted_server(say) as server:
        connect(f"http://{server.address}")
        with pytest.raises(StoreRefused, match="has more than"):
            read()
    assert server.sent < 16 * 1024 * 1024
