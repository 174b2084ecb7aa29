"""A Featurebase that quotes, in its errors, all that it was sent and all that it knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI, Request, Response

from featurebase_provider.sandbox.server import AppServer

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld


class EchoingFeaturebase(AppServer):
    """Stands before a world's sandbox: carries every call out, and answers each refresh with a talkative 500.

    The answer's body quotes the new signing secret, the call's Authorization header and the webhook's request headers;
    its own headers give the Authorization header back.
    """

    def __init__(self, world: FeaturebaseWorld) -> None:
        app = FastAPI(openapi_url=None)
        app.api_route("/{path:path}", methods=["GET", "POST"])(self._answer)
        super().__init__(app)
        self._world = world

    async def _answer(self, path: str, request: Request) -> Response:
        sent = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{self._world.sandbox.url}/{path}"
            answer = await client.request(request.method, url, headers=sent, params=request.query_params)
        if request.method == "GET":
            return Response(answer.content, answer.status_code, media_type="application/json")
        quoted = {"sent": sent, "webhook": answer.json()}
        fault = {
            "type": "api_error",
            "code": json.dumps(sent["authorization"]),
            "message": f"could not finish: {answer.json()['secret']} for {sent['authorization']}, {json.dumps(quoted)}",
            "param": answer.json()["secret"],
            "status": 500,
        }
        headers = {"X-Echo": sent["authorization"], "WWW-Authenticate": sent["authorization"]}
        return Response(json.dumps({"error": fault, **quoted}), 500, headers, media_type="application/json")
