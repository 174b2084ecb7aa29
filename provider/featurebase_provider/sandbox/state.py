"""One sandbox: a workspace with its webhooks, and everything that happens to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from featurebase_provider.sandbox.cancelling import cancel_all
from featurebase_provider.sandbox.clock import RetryClock
from featurebase_provider.sandbox.deliveries import Deliveries, RetrySigning
from featurebase_provider.sandbox.faults import FaultBook
from featurebase_provider.sandbox.journal import Journal
from featurebase_provider.sandbox.rate_limit import DEFAULT_CALLS_PER_MINUTE, RateLimit
from featurebase_provider.sandbox.webhooks import DEFAULT_WEBHOOK_LIMIT, Webhooks

DEFAULT_API_KEY = "sk_sandbox"
DEFAULT_PAUSE_AFTER = 50


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What is fixed for a sandbox's life; a reset leaves it as it is.

    :param api_key: the one key that the API accepts.
    :param default_version: API version of calls that name none. The default has no webhook endpoints, so that
        a client which forgets the header fails at once.
    :param retry_signing: see :class:`~featurebase_provider.sandbox.deliveries.Deliveries`.
    :param pause_after: consecutive delivery failures that pause a webhook; 0 for never.
    :param calls_per_minute: rate limit of the API key.
    :param webhook_limit: webhooks that the workspace may have.
    :param now: Unix seconds.
    """

    api_key: str = DEFAULT_API_KEY
    default_version: str = "2025-12-12.clover"
    retry_signing: RetrySigning = "current"
    pause_after: int = DEFAULT_PAUSE_AFTER
    calls_per_minute: int = DEFAULT_CALLS_PER_MINUTE
    webhook_limit: int = DEFAULT_WEBHOOK_LIMIT
    now: Callable[[], float] = time.time


class SandboxState:
    """The state of a sandbox. To be used on its event loop's thread."""

    webhooks: Webhooks
    journal: Journal
    rate_limit: RateLimit
    clock: RetryClock
    deliveries: Deliveries

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.faults = FaultBook()
        self._late: set[asyncio.Task[None]] = set()
        self._begin()

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.settings.now() * 1000)

    def start_late(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after its call was answered; a reset ends it."""
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def reset(self) -> None:
        """Forget everything and end all that is under way: deliveries, emissions, late and held calls."""
        ended = self.deliveries
        self._begin()
        await self._end(ended)

    async def aclose(self) -> None:
        """End everything that is under way."""
        await self._end(self.deliveries)

    async def _end(self, deliveries: Deliveries) -> None:
        self.faults.clear()
        await cancel_all([*self._late])
        await deliveries.aclose()

    def _begin(self) -> None:
        settings = self.settings
        self.webhooks = Webhooks(settings.now, settings.webhook_limit)
        self.journal = Journal()
        self.rate_limit = RateLimit(settings.calls_per_minute, settings.now)
        self.clock = RetryClock()
        self.deliveries = Deliveries(
            self.webhooks,
            self.journal,
            self.clock,
            retry_signing=settings.retry_signing,
            pause_after=settings.pause_after,
            now=settings.now,
        )
