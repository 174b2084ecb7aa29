"""The probe against DNS, certificates and receivers that mean it ill; real sockets on loopback."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import ProbeFailed
from featurebase_provider.rotation.probe import Probe
from tests.servers.scripted_server import Scripted, answer, scripted_server
from tests.servers.self_signed import self_signed
from tests.unit.hostile.conftest import Authority
from tests.world.fakes import a_webhook

HOST = "receiver.example"
SECRET = SigningSecret("whsec_1")


def said(*parts: bytes) -> Callable[[bytes], Iterable[bytes]]:
    return lambda request: parts


def resolving_to(*addresses: str) -> Callable[[str, int], Iterable[str]]:
    return lambda host, port: addresses


def a_probe(webhook: Webhook, **facts: Any) -> Probe:
    return Probe(webhook, **{"timeout": 0.0, "steady": 0.0, "successes": 1, "reject_check": False, **facts})


@contextmanager
def receiver(context: ssl.SSLContext, *parts: bytes, **place: Any) -> Iterator[Scripted]:
    with scripted_server(said(*(parts or (answer(204),))), tls=context, **place) as server:
        yield server


def test_a_second_look_up_cannot_lead_elsewhere(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name has a harmless address while it is checked, and another right after."""
    context = authority.server(HOST)
    with receiver(context) as checked, receiver(authority.server(HOST), host="127.0.0.2", port=checked.port) as other:
        real = socket.getaddrinfo

        def rebound(host: Any, *args: Any, **kwargs: Any) -> Any:
            return real("127.0.0.2" if host in (HOST, HOST.encode()) else host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        webhook = a_webhook("whsec_1", url=f"https://{HOST}:{checked.port}/hook")
        outcome = a_probe(webhook, successes=3, resolve=resolving_to("127.0.0.1")).run(SECRET)
        assert outcome.passed
        assert httpx.get(f"https://{HOST}:{checked.port}/", trust_env=True).status_code == 204  # the stub works
    assert (checked.connections, other.connections) == (3, 1)
    assert set(checked.names) == {HOST}
    assert checked.headers()["host"] == f"{HOST}:{checked.port}"


def test_each_event_is_checked_anew() -> None:
    """An address that was good for the first event says nothing about the second."""
    with scripted_server(said(answer(204))) as server:
        answers = iter([["127.0.0.1"], ["169.254.169.254"]])
        webhook = a_webhook("whsec_1", url=f"http://localhost:{server.port}/")
        with pytest.raises(ProbeFailed, match="not https|it was not probed"):
            a_probe(webhook, successes=3, resolve=lambda host, port: next(answers)).run(SECRET)
    assert server.connections == 1


@pytest.mark.parametrize("names", [("127.0.0.1",), ("other.example",)])
def test_the_certificate_has_to_be_for_the_urls_name(authority: Authority, names: tuple[str, ...]) -> None:
    """The connection is made to an address, and still a certificate for that address is not enough."""
    with receiver(authority.server(*names)) as server:
        webhook = a_webhook("whsec_1", url=f"https://{HOST}:{server.port}/")
        outcome = a_probe(webhook, resolve=resolving_to("127.0.0.1")).run(SECRET)
    assert outcome.result == "unreachable"
    assert "certificate could not be verified" in outcome.detail
    assert (server.connections, server.requests) == (1, [])


def test_a_self_signed_receiver_gets_no_event(tmp_path: Path) -> None:
    """Neither its signature nor the webhook's headers."""
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiver(context) as server:
        outcome = a_probe(a_webhook("whsec_1", url=f"https://{server.address}/")).run(SECRET)
    assert (outcome.result, server.requests) == ("unreachable", [])
    assert "certificate could not be verified" in outcome.detail


def test_the_tls_context_is_made_once_and_each_event_has_a_connection_of_its_own(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making one takes 20 ms and more, which would count as exposure with each event."""
    made: list[ssl.SSLContext] = []
    real = httpx.create_ssl_context

    def counting(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        made.append(real(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", counting)
    with receiver(authority.server(HOST)) as server:
        webhook = a_webhook("whsec_1", url=f"https://{HOST}:{server.port}/")
        probe = a_probe(webhook, successes=4, resolve=resolving_to("127.0.0.1"))
        assert probe.run(SECRET).passed
    assert (len(made), server.connections, len(server.requests)) == (1, 4, 4)


def test_a_receivers_other_addresses_are_tried(authority: Authority) -> None:
    with receiver(authority.server(HOST)) as server:
        webhook = a_webhook("whsec_1", url=f"https://{HOST}:{server.port}/")
        assert a_probe(webhook, resolve=resolving_to("127.0.0.3", "127.0.0.1")).run(SECRET).passed


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with scripted_server(said(answer(204))) as elsewhere:
        location = f"http://{elsewhere.address}/"
        with scripted_server(said(answer(status, Location=location, Set_Cookie="a=b"))) as server:
            webhook = a_webhook("whsec_1", url=f"http://{server.address}/")
            outcome = a_probe(webhook).run(SECRET)
    assert (outcome.result, len(server.requests), elsewhere.connections) == ("refused", 1, 0)
    assert f"it answered {status}" in outcome.detail


def test_no_proxy_and_no_netrc_of_the_environment_is_used(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would look the name up again, and .netrc would give the receiver a login that is not its own."""
    with receiver(authority.server(HOST)) as server, scripted_server(said(answer(502))) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        webhook = a_webhook("whsec_1", url=f"https://{HOST}:{server.port}/")
        assert a_probe(webhook, resolve=resolving_to("127.0.0.1")).run(SECRET).passed
    assert proxy.connections == 0
    assert "authorization" not in server.headers()
    assert "netrc-password" not in str(server.requests)


def test_the_answers_body_is_not_read() -> None:
    def say(request: bytes) -> Iterable[bytes]:
        yield b"HTTP/1.1 204 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"10000\r\n" + bytes(65536) + b"\r\n"

    with scripted_server(say) as server:
        assert a_probe(a_webhook("whsec_1", url=f"http://{server.address}/")).run(SECRET).passed
    assert server.sent < 16 * 1024 * 1024  # what fits into the sockets' buffers


def test_a_flood_of_headers_is_no_answer() -> None:
    def say(request: bytes) -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X-More: 1\r\n" * 1000

    with scripted_server(say) as server:
        outcome = a_probe(a_webhook("whsec_1", url=f"http://{server.address}/")).run(SECRET)
    assert (outcome.result, outcome.accepted) == ("unreachable", 0)
    assert server.sent < 16 * 1024 * 1024


def test_the_urls_token_and_the_headers_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """httpx logs each url at INFO, query and password included; Airflow's task log shows that level."""
    caplog.set_level(logging.DEBUG)
    with scripted_server(said(answer(204))) as server:
        webhook = a_webhook(
            "whsec_1",
            url=f"http://user:hunter2@{server.address}/hook/part-token?key=query-token",
            request_config={"headers": {"X-Auth": "header-token"}},
        )
        outcome = a_probe(webhook, say=logging.getLogger().info).run(SECRET)
    assert server.requests[0].startswith(b"POST /hook/part-token?key=query-token HTTP/1.1")
    assert server.headers()["x-auth"] == "header-token"
    for hidden in ("hunter2", "part-token", "query-token", "header-token", "whsec_1"):
        assert hidden not in caplog.text + repr(outcome)
