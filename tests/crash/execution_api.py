"""Stands between Airflow's workers and its API server, so that the writing of a record can be held from outside."""

from __future__ import annotations

import httpx
from fastapi import FastAPI, Request, Response

from featurebase_provider.sandbox.server import AppServer
from tests.crash.gate import Gate

METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD"]
SECONDS = 120.0
_OF_THE_CONNECTION = {"host", "connection", "content-length", "content-encoding", "transfer-encoding"}


class ExecutionApi(AppServer):
    """Passes every call on, once its gate lets it.

    :param server: URL of Airflow's API server.
    """

    def __init__(self, server: str) -> None:
        self.gate = Gate()
        self._behind = server
        # No connection is kept: the API server closes idle ones after as many seconds as httpx keeps them.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=SECONDS, trust_env=False, limits=limits)
        app = FastAPI(openapi_url=None)
        app.add_api_route("/{path:path}", self._pass_on, methods=METHODS)
        app.add_middleware(lambda inner: self.gate.around(inner))
        super().__init__(app)

    async def _pass_on(self, request: Request) -> Response:
        url = httpx.URL(self._behind).copy_with(raw_path=_raw_path(request))
        headers = [(name, value) for name, value in request.headers.items() if name not in _OF_THE_CONNECTION]
        answer = await self._client.request(request.method, url, headers=headers, content=await request.body())
        kept = {name: value for name, value in answer.headers.items() if name not in _OF_THE_CONNECTION}
        return Response(answer.content, answer.status_code, kept)


def _raw_path(request: Request) -> bytes:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path
