"""A config service whose values a receiver verifies deliveries with; both behind one gate."""

from __future__ import annotations

import os
import threading
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
    """

    def __init__(self, folder: Path) -> None:
        self.gate = Gate()
        self.values: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[str]] = {}
        """Fingerprints that each value was set to, in order."""
        self._file = folder / "receiver-secret"
        self._file.touch(mode=0o600)
        self._lock = threading.Lock()
        app = FastAPI(openapi_url=None)
        app.add_api_route("/store/{name}", self._get, methods=["GET"])
        app.add_api_route("/store/{name}", self._put, methods=["PUT"])
        app.mount(RECEIVER, create_receiver(self._file))
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
                fresh.write_text(secret)
                os.replace(fresh, self._file)

    async def _get(self, name: str) -> Any:
        return self.values.get(name) or JSONResponse({}, 404)

    async def _put(self, name: str, request: Request, cas: int) -> Any:
        sent = await request.json()
        if cas != self.values.get(name, {"version": 0})["version"]:
            return JSONResponse({}, 409)
        self.put(name, sent["value"], sent.get("previous") or None)
        return {}
