"""Named https hosts on loopback, behind a proxy: vendors' clients reach them unchanged, as from a company network.

``HTTPS_PROXY`` leads every client to the proxy, which knows the stand-in's hosts and no others, so no request leaves
the machine. ``REQUESTS_CA_BUNDLE`` names the certificate authority that signed for those hosts.
"""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import trustme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


@dataclass
class Request:
    """A request as the stand-in sees it."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What the stand-in says; a text body is sent as it is."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class TlsHosts:
    """A running stand-in.

    :param mode: what the proxy does with a new connection: "pass", "silent" (accepts, never answers), "closed".
    """

    proxy_url: str = ""
    authority: str = ""
    mode: str = "pass"
    seen: list[Request] = field(default_factory=list)
    open: list[socket.socket] = field(default_factory=list)

    def lead(self, patch: pytest.MonkeyPatch) -> None:
        """Make clients in this process go through the proxy and trust the certificates."""
        for name in ("NO_PROXY", "no_proxy", "CURL_CA_BUNDLE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            patch.delenv(name, raising=False)
        for name in ("HTTPS_PROXY", "https_proxy"):
            patch.setenv(name, self.proxy_url)
        patch.setenv("REQUESTS_CA_BUNDLE", self.authority)

    @contextmanager
    def silence(self) -> Iterator[Callable[[], None]]:
        """Say nothing to those who connect, until the given function was called: it waits for the first of them."""
        self.cut()
        self.mode = "silent"

        def wait() -> None:
            for _ in range(3000):
                if self.open:
                    break
                time.sleep(0.01)
            assert self.open
            self.mode = "pass"

        try:
            yield wait
        finally:
            self.mode = "pass"
            self.cut()

    def cut(self) -> None:
        """Close every connection; new ones are served as ``mode`` says."""
        while self.open:
            one = self.open.pop()
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def tls_hosts(hosts: list[str], answer: Callable[[Request], Answer]) -> Iterator[TlsHosts]:
    """Serve these hosts (``*.vault.azure.net``) for the time of a test.

    :param answer: called for each request; None breaks the connection instead.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    running = TlsHosts()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority.cert_pem.write_to_path(folder / "authority.pem")
        running.authority = str(folder / "authority.pem")
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(running, answer))
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        proxy = socket.create_server(("127.0.0.1", 0))
        running.proxy_url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        arguments = (running, proxy, hosts, server.server_address[1])
        threading.Thread(target=_accept, args=arguments, daemon=True).start()
        try:
            yield running
        finally:
            proxy.shutdown(socket.SHUT_RDWR)
            proxy.close()
            running.cut()
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(running: TlsHosts, answer: Callable[[Request], Answer | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body would wait until its headers are acknowledged

        def handle(self) -> None:
            with suppress(OSError):  # a test cut the connection
                super().handle()

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            host = headers["host"].partition(":")[0]
            request = Request(self.command, host, url.path, dict(parse_qsl(url.query)), headers, body)
            running.seen.append(request)
            said = answer(request)
            if said is None:
                self.close_connection = True
                return
            data = said.body.encode() if isinstance(said.body, str) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, text in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


def _accept(running: TlsHosts, proxy: socket.socket, hosts: list[str], port: int) -> None:
    while True:
        try:
            inner, _ = proxy.accept()
        except OSError:
            return
        if running.mode == "closed":
            inner.close()
            continue
        running.open.append(inner)
        if running.mode == "pass":
            threading.Thread(target=_tunnel, args=(running, inner, hosts, port), daemon=True).start()


def _tunnel(running: TlsHosts, inner: socket.socket, hosts: list[str], port: int) -> None:
    head = b""
    with suppress(OSError):
        while not head.endswith(b"\r\n\r\n"):
            received = inner.recv(1)
            if not received:
                return
            head += received
        method, target, _ = head.split(b" ", 2)
        host = target.decode().rpartition(":")[0]
        if method != b"CONNECT" or not any(fnmatch(host, one) for one in hosts):
            inner.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            inner.shutdown(socket.SHUT_RDWR)
            return
        with inner, socket.create_connection(("127.0.0.1", port)) as outer:
            running.open.append(outer)
            for one in (inner, outer):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            inner.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(running, outer, inner), daemon=True)
            back.start()
            _pass_on(running, inner, outer)
            back.join()


def _pass_on(running: TlsHosts, source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if running.mode == "pass":
                sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
