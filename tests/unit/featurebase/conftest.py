from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.client import AsyncClient, Client
from featurebase_provider.featurebase.settings import ApiSettings

FIXTURES = Path(__file__).parents[2] / "fixtures"

Handler = Callable[[httpx.Request], httpx.Response]


class Driver:
    """One client, sync or async, driven in the same way; remembers what it waited, told and sent."""

    def __init__(self, colour: str, handler: Handler | None, **settings: Any) -> None:
        self.waits: list[float] = []
        self.secrets: list[str] = []
        self.requests: list[httpx.Request] = []
        settings = {"api_key": SecretStr("sk_live_key"), "base_url": "https://api.test", **settings}
        self.settings = ApiSettings(**settings)
        self._loop = asyncio.new_event_loop() if colour == "async" else None

        def record(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            assert handler
            return handler(request)

        transport = httpx.MockTransport(record) if handler else None
        self.client: Client | AsyncClient
        if self._loop:
            self.client = AsyncClient(self.settings, on_secret=self._learn, transport=transport, sleep=self._wait)
        else:
            self.client = Client(
                self.settings, on_secret=self.secrets.append, transport=transport, sleep=self.waits.append
            )

    async def _learn(self, secret: str) -> None:
        self.secrets.append(secret)

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def __call__(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the client; lists what it iterates over."""
        result = getattr(self.client, method)(*args, **options)
        if self._loop is None:
            return list(result) if isinstance(result, Iterator) else result
        return self._loop.run_until_complete(_listed(result) if isinstance(result, AsyncIterator) else result)

    def close(self) -> None:
        self("close")
        self("close")
        if self._loop:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


async def _listed(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Iterator[Callable[..., Driver]]:
    """Make a driver whose requests a handler answers (None: the real network)."""
    drivers: list[Driver] = []

    def make(handler: Handler | None, **settings: Any) -> Driver:
        drivers.append(Driver(request.param, handler, **settings))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


@pytest.fixture
def fixture_json() -> Callable[[str], Any]:
    """Read one of the documented example answers."""
    return lambda name: json.loads((FIXTURES / f"{name}.json").read_text())
