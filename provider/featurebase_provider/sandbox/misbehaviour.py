"""Carries out the faults of ``faults.py`` and the stale reads of ``behaviour.py``, between the gate and the API."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import httpx
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featurebase_provider.sandbox.connection import (
    close_connection,
    connection_number,
    is_breakable,
    reset_connection,
    until_client_left,
)
from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.faults import FaultInput
from featurebase_provider.sandbox.gate import is_api_path
from featurebase_provider.sandbox.state import SandboxState

_STALE = "featurebase_sandbox.stale"
_NEVER_RUN = b'{"object": "webhook", "id": "507f1f77bcf86cd799439011", "name": "never carried out"}'


def reads_stale(scope: Scope) -> bool:
    """Whether this call must show webhooks as before their last change."""
    return bool(scope.get(_STALE, False))


@dataclass(slots=True)
class Answer:
    """A response of the API that was caught before it was sent."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def catch(self, message: Message) -> None:
        """Take an ASGI message instead of sending it."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def as_response(self) -> Response:
        """The caught response, to be sent."""
        response = Response(self.body, self.status)
        response.raw_headers = self.headers
        return response


class Misbehaviour:
    """Passes each call through unchanged, unless a fault waits for it or it is the turn of a stale read."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an ASGI call."""
        if scope["type"] != "http" or not is_api_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        fault = self._state.faults.take(scope["method"], scope["path"])
        spoilt = fault is not None and fault.kind == "stale_read"
        stale = self._is_stale(scope) or spoilt
        scope = {**scope, _STALE: stale}
        if fault is None or spoilt:
            await self._app(scope, receive, send)
        else:
            body = await _read_body(receive)
            if body is not None:
                await _FaultyCall(self._app, self._state, fault, body, scope, receive, send).run()

    def _is_stale(self, scope: Scope) -> bool:
        if scope["method"] != "GET":
            return False
        user_agent = Headers(scope=scope).get("user-agent", "")
        return self._state.reads.next_is_stale(connection=connection_number(scope), user_agent=user_agent)


@dataclass(slots=True)
class _FaultyCall:
    """One call and its fault. The call's body was read: ``receive`` only reports when the client disconnects."""

    app: ASGIApp
    state: SandboxState
    fault: FaultInput
    body: bytes
    scope: Scope
    receive: Receive
    send: Send

    async def run(self) -> None:
        if self.fault.kind == "status":
            await self._status()
        elif self.fault.kind == "latency":
            await self._latency()
        elif self.fault.kind == "malformed":
            await self._malformed()
        elif self.fault.kind == "late_commit":
            await self._late_commit()
        else:
            await self._no_answer()

    async def _status(self) -> None:
        if self.fault.commit:
            await self._carry_out()
        await self._send(_error_response(self.fault, default_status=500))

    async def _latency(self) -> None:
        left = asyncio.create_task(until_client_left(self.receive))
        try:
            answer = await self._carry_out() if self.fault.commit else None
            await self._hold()
            answer = answer or await self._carry_out()
            if not left.done():
                await self._send(answer.as_response())
        finally:
            left.cancel()

    async def _malformed(self) -> None:
        answer = Answer(body=_NEVER_RUN) if self.fault.commit is False else await self._carry_out()
        content, media_type = _malformed_body(self.fault.body, answer.body)
        status = self.fault.status or answer.status
        await self._send(Response(content, status, self.fault.headers, media_type))

    async def _late_commit(self) -> None:
        self.state.start_late(self._carry_out_later())
        if self.fault.status is None:
            await self._hold_until_left(None)
            await close_connection(self.scope, self.receive)
        else:
            await self._send(_error_response(self.fault, default_status=504))

    async def _no_answer(self) -> None:
        if self.fault.commit or self.fault.kind == "drop_response":
            await self._carry_out()
        if self.fault.kind == "reset":
            await reset_connection(self.scope, self.receive)
            return
        if self.fault.kind == "hang":
            await self._hold_until_left(self.fault.seconds)
        await close_connection(self.scope, self.receive)

    async def _carry_out(self) -> Answer:
        answer = Answer()
        messages: list[Message] = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        await self.app(dict(self.scope), replay, answer.catch)
        return answer

    async def _carry_out_later(self) -> None:
        await asyncio.sleep(self.fault.seconds or 0)
        await self._carry_out()

    async def _hold(self) -> None:
        """Wait as long as the fault says, or until the faults are cleared."""
        try:
            await asyncio.wait_for(self.state.faults.released.wait(), self.fault.seconds)
        except asyncio.TimeoutError:
            return

    async def _hold_until_left(self, seconds: float | None) -> None:
        """Wait this many seconds, or until the faults are cleared or the client disconnects.

        :raises httpx.ReadTimeout: there is no connection, so the client could not disconnect; raised immediately.
        """
        if seconds is None and not is_breakable(self.scope):
            raise httpx.ReadTimeout("the sandbox was told to hang")
        waits = [
            asyncio.create_task(self.state.faults.released.wait()),
            asyncio.create_task(until_client_left(self.receive)),
        ]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _send(self, response: Response) -> None:
        await response(self.scope, self.receive, self.send)


async def _read_body(receive: Receive) -> bytes | None:
    """The call's whole body; None if the client disconnected before it was sent."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def _error_response(fault: FaultInput, default_status: int) -> Response:
    status = fault.status or default_status
    if status in (204, 205, 304):
        content = b""
    elif status < 400:
        content = b"{}"
    else:
        refusal = CallRefused(status, "sandbox_fault", "The sandbox was told to return this error")
        content = json.dumps(refusal.body()).encode()
    response = Response(content, status, media_type="application/json")
    MutableHeaders(raw=response.raw_headers).update(fault.headers)
    return response


def _malformed_body(kind: str, body: bytes) -> tuple[bytes, str]:
    """The body to send instead of ``body``, and its media type."""
    if kind == "html":
        return b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>", "text/html"
    if kind == "not_json":
        return b"OK " + body, "application/json"
    if kind == "wrong_type":
        return b"[" + body + b"]", "application/json"
    return body[: len(body) // 2], "application/json"
