"""The sample receiver: verifies deliveries as Featurebase's guide "Security" says, and records them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from featurebase_provider.featurebase.errors import SignatureRejected
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, verify
from featurebase_provider.sandbox.inbox import Inbox
from featurebase_provider.sandbox.secret_file import SecretFile

CLOCK_TIMEOUT = 10.0
"""Seconds."""


def create_receiver(
    secret_file: str | os.PathLike[str],
    *,
    key: str | None = None,
    previous_key: str | None = None,
    reload_seconds: float = 0.0,
    clock_url: str | None = None,
    now: Callable[[], float] = time.time,
) -> FastAPI:
    """Create a receiver that accepts deliveries on any path.

    It answers 200 to a verified event, 401 with a reason to a delivery that it can't verify, 400 to a verified body
    that is not an event, and 503 while its clock can't be read. ``GET /received`` lists accepted events (first
    acceptance, times in ms since 1970) with their repeats, and ``GET /refused`` lists the refusals by reason.

    :param secret_file: see :class:`~featurebase_provider.sandbox.secret_file.SecretFile`, also for ``key``,
        ``previous_key`` and ``reload_seconds``.
    :param clock_url: the ``/_sandbox/clock`` of a sandbox. It is asked at each delivery, so that deliveries are not
        too old or too new after the sandbox's clock was advanced. Without it the time is ``now``.
    :param now: Unix seconds.
    :raises SandboxUnusable: the options contradict each other, or the only read of the file finds no secret.
    """
    file = SecretFile(secret_file, key=key, previous_key=previous_key, reload_seconds=reload_seconds)
    clock = None if clock_url is None else _FollowedClock(clock_url)
    inbox = Inbox()
    app = FastAPI(title="Sample receiver", openapi_url=None)

    @app.get("/received")
    async def received() -> list[dict[str, Any]]:
        return [event.as_json() for event in inbox.accepted]

    @app.get("/refused")
    async def refused() -> list[dict[str, Any]]:
        return [{"reason": why, "count": len(times), "times": times} for why, times in inbox.refused.items()]

    @app.post("/{path:path}")
    async def deliver(request: Request) -> Response:
        body = await request.body()
        try:
            moment = now() if clock is None else await clock.now()
        except (httpx.HTTPError, ValueError, TypeError, KeyError):
            inbox.refuse("the clock cannot be read", int(now() * 1000))
            return JSONResponse({"error": "the clock cannot be read"}, 503)
        try:
            secret = _verified(request, body, file, moment)
        except SignatureRejected as refusal:
            inbox.refuse(refusal.reason, int(moment * 1000))
            return JSONResponse({"error": refusal.reason}, 401)
        event = _event(body)
        if event is None:
            inbox.refuse("the body is not an event", int(moment * 1000))
            return JSONResponse({"error": "the body is not an event"}, 400)
        inbox.accept(event, int(moment * 1000), secret)
        return JSONResponse({"received": event["id"]})

    return app


class _FollowedClock:
    """The clock of a sandbox.

    :param url: its ``/_sandbox/clock``.
    """

    def __init__(self, url: str) -> None:
        # No connection is kept, so none must be closed: an application that is mounted is not told when to end.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._url, self._client = url, httpx.AsyncClient(limits=limits, timeout=CLOCK_TIMEOUT, trust_env=False)

    async def now(self) -> float:
        """Unix seconds.

        :raises httpx.HTTPError: there is no response, or it is an error.
        :raises ValueError, TypeError, KeyError: the response contains no time.
        """
        answer = await self._client.get(self._url)
        return float(answer.raise_for_status().json()["now"])


def _verified(request: Request, body: bytes, file: SecretFile, now: float) -> str:
    """The fingerprint of the secret that signed a delivery."""
    secrets = file.secrets()
    if file.problem is not None:
        raise SignatureRejected(file.problem)
    signed_with = verify(
        body,
        timestamp=request.headers.get(TIMESTAMP_HEADER),
        signature=request.headers.get(SIGNATURE_HEADER),
        secrets=secrets,
        now=now,
    )
    return signed_with.fingerprint


def _event(body: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("id"), str) else None
