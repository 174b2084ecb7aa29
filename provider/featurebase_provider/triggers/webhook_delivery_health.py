"""Watches a webhook's real deliveries from the triggerer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.rotation.health import MAX_POLL_FAILURES, DeliveryWait, HealthWatch, WaitEnd
from featurebase_provider.triggers.pauses import first_pause, jittered
from featurebase_provider.triggers.shared_reads import NotConnected, shared_reads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from featurebase_provider.triggers.shared_reads import SharedReads

__all__ = ["MAX_POLL_FAILURES", "DeliveryHealthEvent", "WebhookDeliveryHealthTrigger"]


class DeliveryHealthEvent(TypedDict):
    """The trigger's event. It is stored in the metadata database, so it contains only ids and a verdict.

    ``kind`` is the verdict; or ``unreadable`` if too many reads of Featurebase failed in a row; or ``unwatched`` if the
    triggerer could not start, for example because it can't read the connection.
    """

    webhook_id: str
    kind: Literal["healthy", "failing", "quiet", "inactive", "unreadable", "unwatched"]


class WebhookDeliveryHealthTrigger(BaseTrigger):
    """Poll the webhook until its deliveries give a verdict, or until the deadline.

    The sensor has just read the webhook, so the first read comes one interval later, and not sooner than the scheduler
    has taken note of the deferral: see :data:`~featurebase_provider.triggers.pauses.SCHEDULER_LAG`.

    The triggerer's own clock is not used: it may be hours off.

    All arguments are stored in the metadata database: they are only ids and times.

    :param webhook_id: the webhook's id.
    :param featurebase_conn_id: id of the Airflow connection to Featurebase.
    :param counts_from: server time (ISO 8601) after which results count.
    :param deadline: Unix seconds by Featurebase's clock. It is absolute, so that a restart of the triggerer does not
        extend the wait. (Up to version 0.1 it was by the worker's clock, which is the same if that is right.)
    :param poll_interval: seconds between two reads; not longer than the wait.
    """

    def __init__(
        self,
        *,
        webhook_id: str,
        featurebase_conn_id: str,
        counts_from: str,
        deadline: float,
        poll_interval: float = 15.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.webhook_id = webhook_id
        self.featurebase_conn_id = featurebase_conn_id
        self.counts_from = counts_from
        self.deadline = deadline
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments, for the metadata database."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "webhook_id": self.webhook_id,
                "featurebase_conn_id": self.featurebase_conn_id,
                "counts_from": self.counts_from,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll; yield one event."""
        try:
            async with shared_reads(self.featurebase_conn_id) as reads:
                kind: WaitEnd | Literal["unwatched"] = await self._wait(reads)
        except NotConnected as exc:
            self.log.warning(
                "%s, so a worker will watch the deliveries. Make the connection available to the triggerer too", exc
            )
            await asyncio.sleep(first_pause(self.poll_interval))
            kind = "unwatched"
        yield self._event(kind)

    def _event(self, kind: WaitEnd | Literal["unwatched"]) -> TriggerEvent:
        event = DeliveryHealthEvent(webhook_id=self.webhook_id, kind=kind)
        return TriggerEvent(event)  # type: ignore[no-untyped-call] # Airflow leaves it untyped

    async def _wait(self, reads: SharedReads) -> WaitEnd:
        wait = DeliveryWait(
            HealthWatch(datetime.fromisoformat(self.counts_from)),
            until=datetime.fromtimestamp(self.deadline, tz=timezone.utc),
            poll_interval=self.poll_interval,
            clock=reads.clock,
            say=self.log.warning,
        )
        await asyncio.sleep(first_pause(wait.pause))
        while True:
            try:
                end: WaitEnd | None = wait.take(await reads.get_webhook(self.webhook_id))
            except ApiError as exc:
                end = wait.fail(exc)
            if end is not None:
                return end
            await asyncio.sleep(jittered(wait.pause))
