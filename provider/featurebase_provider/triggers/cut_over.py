"""Watches both halves of a pair from the triggerer until the next step of a cut-over is due."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from featurebase_provider.featurebase.errors import ApiError, WebhookNotFound
from featurebase_provider.rotation.cut_over import CutOver, CutOverWatch
from featurebase_provider.rotation.health import MAX_POLL_FAILURES, pause_after
from featurebase_provider.rotation.pair import Pair
from featurebase_provider.triggers.pauses import first_pause, jittered
from featurebase_provider.triggers.shared_reads import NotConnected, shared_reads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from featurebase_provider.triggers.shared_reads import SharedReads


class CutOverTrigger(BaseTrigger):
    """Poll both halves until a step is due. It changes nothing: a worker takes the step.

    The first read comes when the scheduler has taken note of the deferral: see
    :data:`~featurebase_provider.triggers.pauses.SCHEDULER_LAG`.

    The triggerer's own clock is not used: it may be hours off. All arguments are stored in the metadata database: they
    are only ids, fingerprints, times and counts.

    :param cut_over: the fields of :class:`~featurebase_provider.rotation.cut_over.CutOver`.
    :param replaced: fingerprints of replaced secrets.
    :param featurebase_conn_id: id of the Airflow connection to Featurebase.
    :param poll_interval: seconds between two reads, at most; the first ones may follow sooner.
    :param watched: the state of the watch so far: see ``CutOverWatch.state``.
    """

    def __init__(
        self,
        *,
        cut_over: Mapping[str, Any],
        featurebase_conn_id: str,
        replaced: Sequence[str] = (),
        poll_interval: float = 15.0,
        watched: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.cut_over = CutOver(**cut_over)
        self.featurebase_conn_id = featurebase_conn_id
        self.replaced = replaced
        self.poll_interval = poll_interval
        self.watched = watched or {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments, for the metadata database."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "cut_over": asdict(self.cut_over),
                "featurebase_conn_id": self.featurebase_conn_id,
                "replaced": list(self.replaced),
                "poll_interval": self.poll_interval,
                "watched": dict(self.watched),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll; yield one event: the step's ``kind`` (or ``unreadable``, ``unwatched``), and the state of the watch."""
        watch = CutOverWatch(self.cut_over, frozenset(self.replaced), **self.watched)
        try:
            async with shared_reads(self.featurebase_conn_id) as reads:
                kind = await self._wait(reads, watch)
        except NotConnected as exc:
            self.log.warning(
                "%s, so a worker will watch the cut-over. Make the connection available to the triggerer too", exc
            )
            await asyncio.sleep(first_pause(self.poll_interval))
            kind = "unwatched"
        yield _event(kind, watch)

    async def _wait(self, reads: SharedReads, watch: CutOverWatch) -> str:
        failures = 0
        pause = first_pause(watch.next_read_in(self.poll_interval))
        while True:
            await asyncio.sleep(pause)
            try:
                pair = await self._read(reads)
            except ApiError as exc:
                failures += 1
                self.log.warning("read %d of %d failed: %s", failures, MAX_POLL_FAILURES, exc)
                if failures >= MAX_POLL_FAILURES or not exc.retry_helps:
                    return "unreadable"
            else:
                failures = 0
                step = watch.observe(pair, now=reads.clock.now())
                if step.kind != "wait":
                    return step.kind
            pause = jittered(pause_after(failures, watch.next_read_in(self.poll_interval)))

    async def _read(self, reads: SharedReads) -> Pair:
        found = []
        for webhook_id in (self.cut_over.old, self.cut_over.new):
            try:
                found.append(await reads.get_webhook(webhook_id))
            except WebhookNotFound:
                continue
        return Pair.of((self.cut_over.old, self.cut_over.new), found)


def _event(kind: str, watch: CutOverWatch) -> TriggerEvent:
    event = {"kind": kind, "watched": watch.state}
    return TriggerEvent(event)  # type: ignore[no-untyped-call] # Airflow leaves it untyped
