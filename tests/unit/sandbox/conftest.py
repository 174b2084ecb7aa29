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
    """A receiver that answers what the path says and keeps what it got.

    Each test has a path of its own: what an earlier one has sent may arrive late on a busy machine.
    """

    def __init__(self) -> None:
        self.app = FastAPI(openapi_url=None)
        self.app.post("/{test}/status/{code}")(self._status)
        self.app.post("/{test}/slow/{ms}")(self._slow)
        self.base_url = ""
        self._test = 0
        self.begin()

    def begin(self) -> None:
        """Forget what earlier tests have sent, and what of it is still to come."""
        self._test += 1
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"{self.base_url}/{self._test}"

    async def _status(self, request: Request, test: int, code: int) -> Response:
        await self._keep(request, test)
        # A followed redirect would end at an address that accepts.
        return Response(status_code=code, headers={"Location": f"/{test}/status/200"} if 300 <= code < 400 else {})

    async def _slow(self, request: Request, test: int, ms: int) -> Response:
        await self._keep(request, test)
        await asyncio.sleep(ms / 1000)
        return Response(status_code=200)

    async def _keep(self, request: Request, test: int) -> None:
        body = await request.body()
        if test == self._test:
            self.got.append((request.url.path.removeprefix(f"/{test}"), dict(request.headers), body))


@pytest.fixture(scope="session")
def _serving_target() -> Iterator[Target]:
    target = Target()
    with AppServer(target.app) as server:
        target.base_url = server.url
        yield target


@pytest.fixture
def target(_serving_target: Target) -> Target:
    _serving_target.begin()
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
