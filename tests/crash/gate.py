"""A gate before an HTTP service: holds a call from outside, before or after it takes effect, and keeps a journal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

When = Literal["before", "after"]
Matches = Callable[[str, str, bytes], bool]
"""Told method, path and body of a call."""
POLL_SECONDS = 0.02
TURNS = 5
"""Of the event loop, after which the end of a connection that was closed before a release has been seen."""


@dataclass(slots=True)
class Visit:
    """One call: whether it took effect, and whether it was answered."""

    method: str
    path: str
    committed: bool = False
    answered: bool = False


@dataclass(eq=False)
class GateHold:
    """Calls that are held until they are let go or the client has left.

    :param matches: which calls.
    :param when: held before the call takes effect, or after it and before its answer.
    :param count: how many calls are held; later ones pass.
    """

    matches: Matches
    when: When
    count: int = 1
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    visits: list[Visit] = field(default_factory=list)

    def is_reached(self) -> bool:
        """Whether a call stands at the gate, as the journal shows it."""
        committed = self.when == "after"
        return self.held.is_set() and any(one.committed == committed and not one.answered for one in self.visits)

    def release(self) -> None:
        """Let the calls go on."""
        self.released.set()


class Gate:
    """ASGI middleware; holds and refusals are set from any thread."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self._holds: list[GateHold] = []
        self._refusals: list[tuple[str, str]] = []
        self._failures: list[Matches] = []
        self._app: ASGIApp | None = None

    def around(self, app: ASGIApp) -> Gate:
        """Stand before this application."""
        self._app = app
        return self

    def hold(self, matches: Matches, when: When = "before", *, count: int = 1) -> GateHold:
        """Hold the next matching calls."""
        hold = GateHold(matches, when, count)
        self._holds.append(hold)
        return hold

    def refuse(self, method: str, path: str) -> None:
        """Answer 503 to the next such call, which takes no effect."""
        self._refusals.append((method, path))

    def fail(self, matches: Matches) -> None:
        """Answer 503 to all such calls, which take no effect."""
        self._failures.append(matches)

    def drop(self, hold: GateHold) -> None:
        """Forget one hold, and let its calls go on."""
        if hold in self._holds:
            self._holds.remove(hold)
        hold.release()

    def open(self) -> None:
        """Forget holds, refusals and failures, and let everything go on."""
        holds, self._holds = self._holds, []
        self._refusals.clear()
        self._failures.clear()
        for hold in holds:
            hold.release()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an ASGI call."""
        assert self._app is not None
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        visit = Visit(method, path)
        self.visits.append(visit)
        body = await _body(receive)
        refused = (method, path) in self._refusals
        if refused:
            self._refusals.remove((method, path))
        if refused or any(matches(method, path, body) for matches in [*self._failures]):
            visit.answered = True
            await Response(status_code=503)(scope, receive, send)
            return
        hold = self._taken(method, path, body)
        if hold is not None and hold.when == "before" and not await self._wait(hold, visit, receive):
            return
        answer: list[Message] = []
        await self._app(scope, _replay(body, receive), _into(answer))
        visit.committed = True
        if hold is not None and hold.when == "after" and not await self._wait(hold, visit, receive):
            return
        for message in answer:
            await send(message)
        visit.answered = True

    def _taken(self, method: str, path: str, body: bytes) -> GateHold | None:
        for hold in [*self._holds]:
            if hold.count and hold.matches(method, path, body):
                hold.count -= 1
                return hold
        return None

    @staticmethod
    async def _wait(hold: GateHold, visit: Visit, receive: Receive) -> bool:
        """Hold the call; tells whether it goes on, as opposed to a client that had left when it was let go."""
        hold.visits.append(visit)
        hold.held.set()
        left = asyncio.create_task(_until_left(receive))
        try:
            while not hold.released.is_set() and not left.done():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(POLL_SECONDS)
            for _ in range(TURNS):
                await asyncio.sleep(POLL_SECONDS)
            return not left.done()
        finally:
            left.cancel()


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _into(answer: list[Message]) -> Send:
    async def send(message: Message) -> None:
        answer.append(message)

    return send
