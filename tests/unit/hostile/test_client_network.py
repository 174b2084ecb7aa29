"""The Featurebase client against a network and a server that mean it ill; real sockets on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.answers import LARGEST_BODY
from featurebase_provider.featurebase.client import AsyncClient, Client
from featurebase_provider.featurebase.errors import (
    CERTIFICATE_ADVICE,
    ApiUnreachable,
    CertificateRefused,
    UnexpectedAnswer,
)
from featurebase_provider.featurebase.settings import ApiSettings
from tests.servers.scripted_server import answer, scripted_server
from tests.servers.self_signed import self_signed
from tests.unit.hostile.conftest import Authority

FIXTURE = Path(__file__).parents[2] / "fixtures" / "webhook.json"
WEBHOOK = FIXTURE.read_bytes()
ID = "507f1f77bcf86cd799439011"
KEY = "sk_the_api_key"
MEMORY = 16 * 1024 * 1024
"""Bytes that reading one answer may take: what is allowed, its model, and the client."""

Call = Callable[..., Any]


def _sync(method: str, **settings: Any) -> Any:
    with Client(ApiSettings(SecretStr(KEY), max_retries=0, **settings)) as client:
        return getattr(client, method)(ID)


def _async(method: str, **settings: Any) -> Any:
    async def call() -> Any:
        async with AsyncClient(ApiSettings(SecretStr(KEY), max_retries=0, **settings)) as client:
            return await getattr(client, method)(ID)

    return asyncio.run(call())


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Call a method of a client of its own; takes settings."""
    made: Call = request.param
    return made


def said(*parts: bytes) -> Callable[[bytes], Iterable[bytes]]:
    return lambda request: parts


def test_a_server_with_a_certificate_of_nobody_gets_no_request(call: Call, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with (
        scripted_server(said(answer(200, WEBHOOK)), tls=context) as server,
        pytest.raises(CertificateRefused, match="certificate verify failed") as caught,
    ):
        call("refresh_secret", base_url=f"https://{server.address}")
    assert server.connections == 1
    assert server.requests == []
    assert not caught.value.was_sent
    assert "SSL_CERT_FILE (a file) or SSL_CERT_DIR (a folder)" in str(caught.value)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_advice_names_what_counts(
    call: Call, authority: Authority, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The client trusts an authority by the variables that the advice recommends, and by no other."""
    folder = authority.path.parent / "authorities"
    folder.mkdir()
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", authority.path], check=True, capture_output=True, text=True
    )
    (folder / f"{hashed.stdout.strip()}.0").write_bytes(authority.path.read_bytes())
    for one in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(one)
    monkeypatch.setenv(name, str(folder if name == "SSL_CERT_DIR" else authority.path))
    with scripted_server(said(answer(200, WEBHOOK)), tls=authority.server("127.0.0.1")) as server:
        if name in CERTIFICATE_ADVICE.partition(";")[0]:
            assert call("get_webhook", base_url=f"https://{server.address}").id == ID
        else:
            with pytest.raises(CertificateRefused, match=f"{name}|base URL"):
                call("get_webhook", base_url=f"https://{server.address}")


def test_a_certificate_has_to_be_for_the_servers_name(call: Call, authority: Authority) -> None:
    with (
        scripted_server(said(answer(200, WEBHOOK)), tls=authority.server("other.example")) as server,
        pytest.raises(ApiUnreachable, match="certificate"),
    ):
        call("get_webhook", base_url=f"https://{server.address}")
    assert server.requests == []


def test_an_authority_of_ones_own_is_named_by_the_environment(call: Call, authority: Authority) -> None:
    with scripted_server(said(answer(200, WEBHOOK)), tls=authority.server("127.0.0.1")) as server:
        assert call("get_webhook", base_url=f"https://{server.address}").id == ID


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get_webhook", "refresh_secret"])
def test_a_redirect_is_not_followed(call: Call, status: int, method: str) -> None:
    """It would take the API key to another host, and a refresh to nobody knows where."""
    with scripted_server(said(answer(200, WEBHOOK))) as elsewhere:
        location = f"http://{elsewhere.address}/"
        with (
            scripted_server(said(answer(status, Location=location))) as server,
            pytest.raises(UnexpectedAnswer, match="a redirect, which is not followed"),
        ):
            call(method, base_url=f"http://{server.address}")
    assert (len(server.requests), elsewhere.connections) == (1, 0)


def _endless(head: bytes, part: bytes) -> Callable[[bytes], Iterable[bytes]]:
    def say(request: bytes) -> Iterable[bytes]:
        yield head
        while True:
            yield part

    return say


def test_an_endless_body_is_left_after_a_mebibyte(call: Call) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    tracemalloc.start()
    try:
        with (
            scripted_server(_endless(head, b" " * 65536)) as server,
            pytest.raises(UnexpectedAnswer, match=f"longer than {LARGEST_BODY} bytes"),
        ):
            call("get_webhook", base_url=f"http://{server.address}")
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def _zipped_once(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1024 * 1024)
    return b"".join([packer.compress(block) for _ in range(size // len(block))] + [packer.flush()])


def test_a_small_answer_that_unpacks_to_much_is_left_after_a_mebibyte(call: Call) -> None:
    """128 MiB in 128 KiB; memory stays at what is allowed."""
    bomb = _zipped_once(128 * 1024 * 1024)
    assert len(bomb) < 150_000
    tracemalloc.start()
    try:
        with (
            scripted_server(said(answer(200, bomb, Content_Encoding="gzip"))) as server,
            pytest.raises(UnexpectedAnswer, match=f"longer than {LARGEST_BODY} bytes"),
        ):
            call("get_webhook", base_url=f"http://{server.address}")
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip, gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("status", [200, 500])
def test_other_codings_are_not_unpacked(call: Call, coding: str, status: int) -> None:
    body = gzip.compress(_zipped_once(32 * 1024 * 1024))
    tracemalloc.start()
    try:
        with (
            scripted_server(said(answer(status, body, Content_Encoding=coding))) as server,
            pytest.raises(Exception, match="compressed in a way|answered 500"),
        ):
            call("get_webhook", base_url=f"http://{server.address}")
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert server.headers()["accept-encoding"] == "gzip"


def test_an_answer_may_be_compressed(call: Call) -> None:
    with scripted_server(said(answer(200, gzip.compress(WEBHOOK), Content_Encoding="GZIP"))) as server:
        assert call("get_webhook", base_url=f"http://{server.address}").id == ID


@pytest.mark.parametrize("body", [b"not gzip at all", gzip.compress(WEBHOOK)[:40]], ids=["not gzip", "cut short"])
def test_a_broken_compressed_body_is_an_answer_to_be_read_again(call: Call, body: bytes) -> None:
    with (
        scripted_server(said(answer(200, body, Content_Encoding="gzip"))) as server,
        pytest.raises(UnexpectedAnswer) as caught,
    ):
        call("get_webhook", base_url=f"http://{server.address}")
    assert caught.value.body_broken


def test_a_flood_of_headers_ends_as_no_answer(call: Call) -> None:
    with (
        scripted_server(_endless(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n" * 1000)) as server,
        pytest.raises(ApiUnreachable),
    ):
        call("get_webhook", base_url=f"http://{server.address}")
    assert server.sent < 16 * 1024 * 1024  # what fits into the sockets' buffers


def test_netrc_does_not_replace_the_key(call: Call) -> None:
    with scripted_server(said(answer(200, WEBHOOK))) as server:
        call("get_webhook", base_url=f"http://{server.address}")
    assert server.headers()["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_plain_http_to_this_machine_goes_past_any_proxy(
    call: Call, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Through a proxy the key would leave the machine in the clear."""
    with scripted_server(said(answer(200, WEBHOOK))) as server, scripted_server(said(answer(502))) as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.address}")
        assert call("get_webhook", base_url=f"http://{server.address}").id == ID
    assert proxy.connections == 0


def test_a_proxy_for_https_sees_no_more_than_the_hosts_name(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(said(answer(502))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        with pytest.raises(ApiUnreachable):
            call("refresh_secret", base_url="https://api.example")
    assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
    assert KEY.encode() not in b"".join(proxy.requests)
    assert ID.encode() not in b"".join(proxy.requests)


@pytest.mark.parametrize(
    "texts",
    [
        {"name": "\x1b[31m\r\n2026-01-01 ERROR forged", "description": "{{ conn.featurebase_default.password }}"},
        {"status": "active\n2026-01-01 ERROR forged"},
        {"url": "javascript:alert(1)", "topics": ["<script>"] * 1000},
        {"lastStatus": {"code": -1, "message": "\u2028\u202e" * 10_000, "timestamp": "9999-12-31T23:59:59.999Z"}},
        {"requestConfig": {"timeoutMs": 10**18, "headers": {"X\r\n": "\r\n"}}},
    ],
)
def test_odd_texts_are_taken_as_texts(call: Call, texts: dict[str, Any]) -> None:
    body = json.dumps({**json.loads(WEBHOOK), **texts}).encode()
    with scripted_server(said(answer(200, body))) as server:
        webhook = call("get_webhook", base_url=f"http://{server.address}")
    assert webhook.status in ("active", "unrecognised")
    assert webhook.request_config.timeout_ms <= 120_000
