"""One client for all triggers of a triggerer that use the same connection."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import AuthenticationFailed, FeaturebaseError
from featurebase_provider.featurebase.pace import Pace
from featurebase_provider.hooks.featurebase import FeaturebaseHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from featurebase_provider.featurebase.client import AsyncClient
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.featurebase.settings import ApiSettings

CONNECTION_KEPT_FOR = 60.0
"""Seconds after which the connection is read again, in case somebody changed it."""
REFUSED_KEY_KEPT_FOR = 5.0
"""The same after Featurebase refused the API key: a read that waited for its turn began before the key was replaced."""

log = logging.getLogger(__name__)


class NotConnected(FeaturebaseError):
    """The connection can't be read in this triggerer, or its settings are invalid.

    It names the cause's class only: the cause's text may be that of any secrets backend.
    """

    def __init__(self, conn_id: str, cause: str) -> None:
        super().__init__(conn_id, cause)
        self.conn_id, self.cause = conn_id, cause

    def __str__(self) -> str:
        return f"This triggerer can't use connection {self.conn_id!r} ({self.cause})"


@dataclass
class _Open:
    """A client, and how many reads it is sending."""

    settings: ApiSettings
    client: AsyncClient
    reads: int = 0
    is_replaced: bool = False


class SharedReads:
    """Reads webhooks with one connection, for all triggers of one event loop.

    They share a pool of connections and a pace. A connection that was changed is used from its next reading on, which
    comes after :data:`CONNECTION_KEPT_FOR`, or at once if Featurebase refuses the API key. A failed read is not sent
    again here: a trigger's next poll does that.

    :param conn_id: id of the Airflow connection.
    """

    def __init__(self, conn_id: str) -> None:
        self.triggers = 0
        """How many triggers use it."""
        self._hook = FeaturebaseHook(conn_id)
        self._pace = Pace()
        self._one_at_a_time = asyncio.Lock()
        self._open: _Open | None = None
        self._checked_at = float("-inf")

    @property
    def clock(self) -> ServerClock:
        """Featurebase's clock; the same one after the client was replaced."""
        if self._open is None:
            raise AssertionError("it is not connected")
        return self._open.client.clock

    async def get_webhook(self, webhook_id: str) -> Webhook:
        """Read one webhook, its current secret included.

        :raises ApiError: the read failed.
        """
        began = time.monotonic()
        used = await self.connect()
        try:
            return await self._read(used, webhook_id)
        except AuthenticationFailed:
            newer = await self._checked_since(max(began, time.monotonic() - REFUSED_KEY_KEPT_FOR))
            if newer is used:
                raise
        return await self._read(newer, webhook_id)

    async def connect(self) -> _Open:
        """The client to use. One trigger reads the connection again when it is time; the others don't wait for that.

        :raises NotConnected: the connection can't be read, and was not read before.
        """
        since = time.monotonic() - CONNECTION_KEPT_FOR
        if self._open is not None and (self._checked_at >= since or self._one_at_a_time.locked()):
            return self._open
        return await self._checked_since(since)

    async def _checked_since(self, since: float) -> _Open:
        """The client to use; the connection was read after ``since`` (monotonic seconds).

        The calling trigger's own task reads the connection: in a task that Airflow does not know, its sync calls fail.
        """
        async with self._one_at_a_time:
            if self._open is None or self._checked_at < since:
                began, known = time.monotonic(), self._open
                self._open = await self._checked(known)
                self._checked_at = began
                if known is not None and known is not self._open:
                    known.is_replaced = True
                    await self._close_if_idle(known)
            return self._open

    async def _checked(self, known: _Open | None) -> _Open:
        try:
            settings = replace(await self._hook.asettings(), max_retries=0)
            if known is not None and settings == known.settings:
                return known
            client = await self._hook.aclient(settings, pace=self._pace)
        except Exception as exc:  # noqa: BLE001 - a secrets backend may raise anything
            conn_id, problem = self._hook.featurebase_conn_id, type(exc).__name__
            if known is None:
                raise NotConnected(conn_id, problem) from None
            log.warning("Connection %r can't be read again (%s): triggers go on with what it was", conn_id, problem)
            return known
        if known is not None:
            log.info("Connection %r was changed: triggers go on with what it is now", self._hook.featurebase_conn_id)
            client.clock = known.client.clock
        return _Open(settings, client)

    async def _read(self, used: _Open, webhook_id: str) -> Webhook:
        used.reads += 1
        try:
            return await used.client.get_webhook(webhook_id)
        finally:
            used.reads -= 1
            await self._close_if_idle(used)

    async def _close_if_idle(self, used: _Open) -> None:
        if used.is_replaced and not used.reads:
            await used.client.close()

    async def close(self) -> None:
        """Close the connections. No read may be under way."""
        if self._open is not None:
            await self._open.client.close()


_SHARED: dict[tuple[asyncio.AbstractEventLoop, str], SharedReads] = {}


@asynccontextmanager
async def shared_reads(conn_id: str) -> AsyncIterator[SharedReads]:
    """The reads of all triggers with this connection. The last trigger that leaves closes the client.

    :param conn_id: id of the Airflow connection.
    :raises NotConnected: the connection can't be read, or its settings are invalid.
    """
    key = (asyncio.get_running_loop(), conn_id)
    reads = _SHARED.setdefault(key, SharedReads(conn_id))
    reads.triggers += 1
    try:
        await reads.connect()
        yield reads
    finally:
        reads.triggers -= 1
        if not reads.triggers:
            del _SHARED[key]
            await reads.close()
