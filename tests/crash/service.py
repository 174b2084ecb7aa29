"""A config service whose values a receiver verifies deliveries with; both behind one gate."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.receiver import create_receiver
from featurebase_provider.sandbox.server import AppServer
from tests.crash.gate import Gate

if TYPE_CHECKING:
    from pathlib import Path

RECEIVER = "/receiver"
FEEDS_RECEIVER = "alpha"


class CrashService(AppServer):
    """``GET`` and ``PUT /store/<name>``: a value, the one before it, and a version to compare and set by.

    The receiver below ``/receiver`` verifies with the value of ``alpha``, which the service hands to it as a file.

    :param folder: for that file.
    :param accepts_previous: whether the receiver accepts the value before that, too.
    :param now: the receiver's clock, in Unix seconds.
    """

    def __init__(self, folder: Path, *, accepts_previous: bool = False, now: Callable[[], float] = time.time) -> None:
        self.gate = Gate()
        self.values: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[str]] = {}
        """Fingerprints that each value was set to, in order."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after each change, once it can be read."""
        self._file = folder / "receiver-secret"
        self._file.touch(mode=0o600)
        self._lock = threading.Lock()
        app = FastAPI(openapi_url=None)
        app.add_api_route("/store/{name}", self._get, methods=["GET"])
        app.add_api_route("/store/{name}", self._put, methods=["PUT"])
        previous_key = "previous" if accepts_previous else None
        app.mount(RECEIVER, create_receiver(self._file, key="value", previous_key=previous_key, now=now))
        app.add_middleware(lambda inner: self.gate.around(inner))
        super().__init__(app)

    def put(self, name: str, secret: str, previous: str | None = None) -> None:
        """Set a value, as an operator of the service would."""
        with self._lock:
            version = self.values.get(name, {"version": 0})["version"] + 1
            self.values[name] = {"value": secret, "previous": previous, "version": version}
            self.history.setdefault(name, []).append(fingerprint_of(secret))
            if name == FEEDS_RECEIVER:
                fresh = self._file.with_suffix(".new")
                fresh.write_text(json.dumps({"value": secret, "previous": previous}))
                os.replace(fresh, self._file)
            self.on_change()

    def slots(self, name: str) -> tuple[str | None, str | None]:
        """What a store holds: the value, and the one before it."""
        held = self.values.get(name, {})
        return held.get("value"), held.get("previous")

    async def _get(self, name: str) -> Any:
        return self.values.get(name) or JSONResponse({}, 404)

    async def _put(self, name: str, request: Request, cas: int) -> Any:
        sent = await request.json()
        if cas != self.values.get(name, {"version": 0})["version"]:
            return JSONResponse({}, 409)
        self.put(name, sent["value"], sent.get("previous") or None)
        return {}
