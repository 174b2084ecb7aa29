"""A TCP relay before a real server, which can cut its connections or go silent."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Relay:
    """Passes bytes on between its own port and a server's."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._silent = False
        self.turns = 0
        """How often a client had to wait for the server: requests that were sent before the answer count once."""
        self._asking = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(inner)
            if self._silent:
                continue
            outer = socket.create_connection(self._upstream)
            self._open.append(outer)
            for source, sink in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._pass_on, args=(source, sink, source is inner), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_asking: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.turns += is_asking and not self._asking
                self._asking = is_asking
                if not self._silent:
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close every connection; new ones are served."""
        while self._open:
            one = self._open.pop()
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def fall_silent(self) -> None:
        """Accept and answer nothing from now on."""
        self._silent = True

    def close(self) -> None:
        """Stop listening and close every connection; safe to call twice."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


@contextmanager
def relay_to(host: str, port: int) -> Iterator[Relay]:
    """A relay for the time of a test."""
    relay = Relay(host, port)
    try:
        yield relay
    finally:
        relay.close()
