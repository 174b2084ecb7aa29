"""Several sample receivers in one process, each with its own secret file, and with the hiccups that real ones have.

Usage: python -m dev.soak.receivers --port N --folder PATH --names a,b,c --seed S [--hiccups SHARE] [--previous]
       [--clock-url URL] [--reload-seconds S]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dev.soak.combinations import KEY, PREVIOUS_KEY
from featurebase_provider.rotation.probe import ID_PREFIX
from featurebase_provider.sandbox import server
from featurebase_provider.sandbox.receiver import create_receiver

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ATTEMPTS_THAT_FAIL = 2
"""Of an event that meets a hiccup, so that it is in the midst of its retries for the next hour of the sandbox's."""


class Hiccups:
    """Answers 503 to the first attempts of some events, as a receiver that restarts would; which ones, the seed says.

    An event whose item has ``fails`` meets as many hiccups as that says. The probe's events are left alone: a probe
    is about the signature.
    """

    def __init__(self, app: ASGIApp, *, seed: int, share: float) -> None:
        self._app, self._seed, self._share = app, seed, share
        self._seen: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an ASGI call."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        messages: list[Message] = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        if self._fails(b"".join(message.get("body", b"") for message in messages)):
            await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replay, send)

    def _fails(self, body: bytes) -> bool:
        try:
            event = json.loads(body)
            event_id, item = str(event["id"]), event.get("data", {}).get("item", {})
        except (ValueError, TypeError, KeyError):
            return False
        if event_id.startswith(ID_PREFIX):
            return False
        self._seen[event_id] += 1
        return self._seen[event_id] <= int(item.get("fails", self._drawn(event_id)))

    def _drawn(self, event_id: str) -> int:
        drawn = int.from_bytes(hashlib.sha256(f"{self._seed}:{event_id}".encode()).digest()[:4], "big") / 2**32
        return ATTEMPTS_THAT_FAIL if drawn < self._share else 0


def main() -> int:
    """Serve until told to end."""
    from fastapi import FastAPI

    options = _options()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    app = FastAPI(openapi_url=None)
    for name in options.names.split(","):
        previous = PREVIOUS_KEY if options.previous else None
        file = options.folder / f"{name}.env"
        receiver = create_receiver(
            file,
            key=KEY,
            previous_key=previous,
            reload_seconds=options.reload_seconds,
            clock_url=options.clock_url,
        )
        app.mount(f"/{name}", Hiccups(receiver, seed=options.seed, share=options.hiccups))
    server.serve(app, server.open_socket(server.LOOPBACK, options.port), lambda: None)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.soak.receivers", description="Sample receivers with hiccups.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where NAME.env files are")
    parser.add_argument("--names", required=True, help="comma-separated; each receiver answers below /NAME")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--hiccups", type=float, default=0.0, help="share of events whose first attempts get a 503")
    parser.add_argument("--previous", action="store_true", help="accept the previous secret too")
    parser.add_argument("--clock-url", default=None, help="the sandbox's clock, to follow it")
    parser.add_argument("--reload-seconds", type=float, default=0.0, help="how long what was read counts")
    return parser.parse_args()


def _leave(_: int, __: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
