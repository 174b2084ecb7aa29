"""Breaks a client's connection, for which ASGI offers no means.

The sandbox's own server (``server.py``) makes each connection's transport available to the application. Without it, as
under ``httpx.ASGITransport``, the error that a client would have seen is raised.
"""

from __future__ import annotations

import itertools
import socket
import struct
from typing import Any

import httpx
from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "featurebase_sandbox.transport"
_NUMBER = "featurebase_sandbox.connection"
_LINGER_NOT = struct.pack("ii", 1, 0)


class BreakableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with the transport and a connection number in each request's ``scope["state"]``."""

    _numbers = itertools.count(1)

    def connection_made(self, transport: Any) -> None:
        """Remember the transport for the requests of this connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport, _NUMBER: next(self._numbers)}


def is_breakable(scope: Scope) -> bool:
    """Whether the call came over a connection of the sandbox's own server."""
    return _TRANSPORT in scope.get("state", {})


def connection_number(scope: Scope) -> int:
    """A number that identifies the call's connection; 0 if there is none."""
    number: int = scope.get("state", {}).get(_NUMBER, 0)
    return number


async def until_client_left(receive: Receive) -> None:
    """Wait until the client has closed the connection of a call whose body was read."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def reset_connection(scope: Scope, receive: Receive) -> None:
    """End the call with a TCP reset.

    :raises httpx.ReadError: there is no connection to break.
    """
    if not is_breakable(scope):
        raise httpx.ReadError("the sandbox was told to reset the connection")
    await _abort(scope, receive, linger=False)


async def close_connection(scope: Scope, receive: Receive) -> None:
    """End the call by closing the connection normally, without a response.

    :raises httpx.RemoteProtocolError: there is no connection to break.
    """
    if not is_breakable(scope):
        raise httpx.RemoteProtocolError("the sandbox was told to close the connection without an answer")
    await _abort(scope, receive, linger=True)


async def _abort(scope: Scope, receive: Receive, *, linger: bool) -> None:
    transport = scope["state"][_TRANSPORT]
    if not linger:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
    # uvicorn reports a missing response as an error of the application until it has seen the connection close.
    await until_client_left(receive)
