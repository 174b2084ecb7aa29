from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request, Response

from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.server import AppServer
from featurebase_provider.sandbox.state import SandboxState

HEADERS = {"Authorization": "Bearer sk_sandbox", "Featurebase-Version": "2026-01-01.nova"}
Json = dict[str, Any]


@pytest.fixture
def headers() -> dict[str, str]:
    return dict(HEADERS)


@pytest_asyncio.fixture
async def app() -> AsyncIterator[FastAPI]:
    app = create_sandbox()
    yield app
    await app.state.sandbox.aclose()


@pytest.fixture
def state(app: FastAPI) -> SandboxState:
    return app.state.sandbox


@pytest_asyncio.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the sandbox in process, with key and version."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=HEADERS) as client:
        yield client


@pytest.fixture
def create(api: httpx.AsyncClient) -> Callable[..., Awaitable[Json]]:
    """Creates a webhook, with any field replaced."""

    async def create(**fields: Any) -> Json:
        body = {"name": "Production", "url": "https://example.com/hook", "topics": ["post.created"], **fields}
        answer = await api.post("/v2/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return create


class Target:
    """A receiver that answers what the path says and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.app = FastAPI(openapi_url=None)
        self.app.post("/status/{code}")(self._status)
        self.app.post("/slow/{ms}")(self._slow)
        self.url = ""

    async def _status(self, request: Request, code: int) -> Response:
        await self._keep(request)
        # A followed redirect would end at an address that accepts.
        return Response(status_code=code, headers={"Location": "/status/200"} if 300 <= code < 400 else {})

    async def _slow(self, request: Request, ms: int) -> Response:
        await self._keep(request)
        await asyncio.sleep(ms / 1000)
        return Response(status_code=200)

    async def _keep(self, request: Request) -> None:
        self.got.append((request.url.path, dict(request.headers), await request.body()))


@pytest.fixture(scope="session")
def _serving_target() -> Iterator[Target]:
    target = Target()
    with AppServer(target.app) as server:
        target.url = server.url
        yield target


@pytest.fixture
def target(_serving_target: Target) -> Target:
    _serving_target.got.clear()
    return _serving_target


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until something holds; fails after a minute."""

    async def wait(holds: Callable[[], bool]) -> None:
        give_up = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < give_up, "it never came to hold"
            await asyncio.sleep(0.002)

    return wait
