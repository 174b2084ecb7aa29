"""A server on loopback that says what a test tells it to, byte for byte, with or without TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Say = Callable[[bytes], Iterable[bytes]]


@dataclass
class Scripted:
    """A running server.

    :param connections: how many were made, failed TLS handshakes included.
    :param requests: head and body of each request.
    :param names: the server name of each TLS handshake.
    :param sent: bytes that went out.
    """

    host: str
    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    sent: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def headers(self, number: int = -1) -> dict[str, str]:
        """A request's headers, with names in lower case."""
        lines = self.requests[number].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer, for ``Say``; ``Content_Encoding`` is the header Content-Encoding."""
    given = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def scripted_server(
    say: Say, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Scripted]:
    """Serve one request per connection for the time of a test.

    :param say: makes the bytes of the answer to a request; may go on for ever, the client's hanging up ends it.
    """
    listener = socket.create_server((host, port))
    running = Scripted(host, listener.getsockname()[1])
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: running.names.append(name)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:  # ssl.SSLError is one: the client may refuse our certificate
            connection.settimeout(30)
            stream = tls.wrap_socket(connection, server_side=True) if tls else connection
            with stream:
                request = _read(stream)
                if not request:
                    return
                running.requests.append(request)
                for part in say(request):
                    stream.sendall(part)
                    running.sent += len(part)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            running.connections += 1
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield running
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join(30)


def _read(stream: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = stream.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < (int(lengths[0]) if lengths else 0):
        part = stream.recv(65536)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body
