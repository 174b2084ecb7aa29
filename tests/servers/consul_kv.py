"""A stand-in for Consul's key-value API: values in base64, check-and-set by ModifyIndex, tokens with rights."""

from __future__ import annotations

import base64
from contextlib import suppress
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tests.servers.asgi_server import serve

WRITER, READER = "token-that-writes", "token-that-reads"


class ConsulKv:
    """The entries, and the app that serves them."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.index = 10
        self.app = FastAPI(openapi_url=None)
        self.app.get("/v1/kv/{key:path}")(self.get)
        self.app.put("/v1/kv/{key:path}")(self.put)
        self.app.delete("/v1/kv/{key:path}")(self.delete)

    @staticmethod
    def _denied(request: Request, *tokens: str) -> Response | None:
        if request.headers.get("X-Consul-Token") in tokens:
            return None
        return Response("Permission denied: token lacks permission 'key:write'", 403, media_type="text/plain")

    async def get(self, key: str, request: Request) -> Any:
        if denied := self._denied(request, WRITER, READER):
            return denied
        entry, headers = self.entries.get(key), {"X-Consul-Index": str(self.index)}
        return JSONResponse([entry], headers=headers) if entry else Response(status_code=404, headers=headers)

    async def put(self, key: str, request: Request, cas: int | None = None) -> Any:
        if denied := self._denied(request, WRITER):
            return denied
        body = await request.body()  # from here on nobody comes in between: check and set are one step
        entry = self.entries.get(key, {"CreateIndex": self.index + 1, "ModifyIndex": 0})
        if cas is not None and cas != entry["ModifyIndex"]:
            return False
        self.index += 1
        value = base64.b64encode(body).decode()
        self.entries[key] = {
            "LockIndex": 0, "Key": key, "Flags": 0, "Value": value, "CreateIndex": entry["CreateIndex"],
            "ModifyIndex": self.index,
        }  # fmt: skip
        return True

    async def delete(self, key: str, request: Request) -> Any:
        if denied := self._denied(request, WRITER):
            return denied
        with suppress(KeyError):
            del self.entries[key]
        return True


@cache
def consul_kv() -> tuple[str, ConsulKv]:
    """One server for the whole test session: its URL, and what it holds."""
    kv = ConsulKv()
    return serve(kv.app), kv
