"""Serves the sandbox and the sample receiver: in the foreground, or in a thread for tests and demos."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.connection import BreakableProtocol
from featurebase_provider.sandbox.errors import SandboxUnusable
from featurebase_provider.sandbox.receiver import create_receiver
from featurebase_provider.sandbox.state import DEFAULT_API_KEY, SandboxState

LOOPBACK = "127.0.0.1"
IDLE_SECONDS = 75
"""How long an idle connection is kept: longer than clients keep theirs (httpx: 5 s). Otherwise a client may send a call
just when the server closes the connection."""
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

_ServerT = TypeVar("_ServerT", bound="AppServer")


class _Server(uvicorn.Server):
    """Reports when it is ready, and releases held calls before it waits for calls to end."""

    def __init__(self, app: FastAPI, when_ready: Callable[[], None]) -> None:
        self._sandbox: SandboxState | None = getattr(app.state, "sandbox", None)
        config = uvicorn.Config(
            app,
            http=BreakableProtocol,
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=self._sandbox is None,  # a sandbox has a time of its own
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._sandbox is not None:
            self._sandbox.faults.clear()
        await super().shutdown(sockets)


def open_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket before anything else starts, to find out early if the port is taken; 0 is a free port.

    :raises SandboxUnusable: listening on the address is not possible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, as asyncio sets TCP_NODELAY only where it is. Without that, a call that soon follows
    # another one waits 40 ms for its answer's body.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(socket.SOMAXCONN)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise SandboxUnusable(
            f"cannot listen on {host}:{port} ({reason}); choose another --port, or 0 for a free one"
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """The http URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket, when_ready: Callable[[], None]) -> None:
    """Serve until the process is told to stop; ``when_ready`` is called once calls are answered."""
    _Server(app, when_ready).run([listening])


class AppServer:
    """A context manager that serves an application from a thread, on a loopback port.

    :param app: the application.
    :param port: the port; 0 takes a free one.
    :raises SandboxUnusable: on entering: the port is taken, or the application does not start.
    """

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        self.app = app
        self._port = port
        self._ready = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""
        """Its URL after the context was entered: ``http://127.0.0.1:12345``."""

    def __enter__(self: _ServerT) -> _ServerT:
        listening = open_socket(LOOPBACK, self._port)
        self.url = url_of(listening)
        self._server = _Server(self.app, self._ready.set)
        self._thread = threading.Thread(target=self._run, args=(self._server, listening), daemon=True)
        self._thread.start()
        give_up = time.monotonic() + _START_SECONDS
        while not self._ready.wait(0.05):
            if not self._thread.is_alive() or time.monotonic() > give_up:
                listening.close()
                raise SandboxUnusable(f"the server on {self.url} did not start; read its log for the reason")
        return self

    @staticmethod
    def _run(server: _Server, listening: socket.socket) -> None:
        with contextlib.suppress(SystemExit):  # uvicorn's way to say that the application did not start
            server.run([listening])

    def __exit__(self, *_: object) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            logging.getLogger(__name__).warning("the server on %s is still running", self.url)


class SandboxServer(AppServer):
    """Runs the local Featurebase in a thread.

    :param api_key: the one key that the API accepts.
    :param port: the port; 0 takes a free one.
    :param settings: as of :func:`~featurebase_provider.sandbox.app.create_sandbox`.
    """

    def __init__(self, api_key: str = DEFAULT_API_KEY, *, port: int = 0, **settings: Any) -> None:
        super().__init__(create_sandbox(api_key, **settings), port)
        self.api_key = api_key

    @property
    def state(self) -> SandboxState:
        """Its state. It belongs to the server's thread: only read it here, and change it through ``/_sandbox/``."""
        state: SandboxState = self.app.state.sandbox
        return state


class ReceiverServer(AppServer):
    """Runs the sample receiver in a thread; for the parameters see
    :func:`~featurebase_provider.sandbox.receiver.create_receiver`.
    """

    def __init__(self, secret_file: Any, *, port: int = 0, **options: Any) -> None:
        super().__init__(create_receiver(secret_file, **options), port)
