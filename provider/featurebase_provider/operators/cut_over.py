"""Pauses the old half of a pair, once the new one has delivered and nothing is lost by it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.base import without_frames
from featurebase_provider.operators.pair_task import PairTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.cut_over import CutOverWatch
    from featurebase_provider.rotation.pair_records import PairRecords
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store

TRIGGERER_MAY_LAG = timedelta(minutes=5)
"""How long after the end of the wait Airflow still waits for the trigger's event."""
WATCHES_FIRST = 20.0
"""Seconds in which the worker itself watches at first. Where events are frequent, the new half's first delivery comes
sooner than a deferral and the way back from it take, and until the old half is paused each event comes twice."""
UNWATCHED = "unwatched"
"""The event of a triggerer that could not start to watch."""


class CutOverOperator(PairTask):
    """Wait for the new half's first accepted delivery, then pause the old half.

    It watches on the worker for its first seconds (:data:`WATCHES_FIRST`), then from the triggerer.

    The old half is paused once the new one has delivered (or ``first_delivery`` is over) and no delivery of the old one
    failed since the plan (or ``pending`` is over), and two reads show the new one active with the secret that was
    probed. If the new half fails, it is paused instead, and the old one never stopped. A half that a person or
    Featurebase paused is never set active. It is safe to run again at any time.

    :param stores: the stores, which are updated first if the old half's secret was changed meanwhile.
    :param rotate_task_id: the rotate task of the same Dag run.
    :param probe_task_id: its probe task, which knows the secrets that were proven.
    :param first_delivery: how long to wait for the new half's first accepted delivery.
    :param pending: how long to wait for retries of failed deliveries of the old half.
    :param poll_interval: seconds between two reads of Featurebase, at most; the first ones follow sooner.
    :param deferrable: False polls on the worker.
    :returns: ``moved``, ``detail``, ``activated_at`` and ``paused_at`` (server time, ISO 8601), ``polls``, and
        ``refused``: how many failed deliveries these reads saw.
    :raises CutOverStopped: the new half fails, or a person or Featurebase intervened.
    :raises CutOverUnread: too many reads failed; a retry goes on.
    """

    stat = "cut_over"
    loads_first = True

    def __init__(
        self,
        *,
        stores: Sequence[Store | Mapping[str, Any]],
        rotate_task_id: str,
        probe_task_id: str,
        first_delivery: timedelta = timedelta(minutes=5),
        pending: timedelta = timedelta(hours=1),
        poll_interval: float = 15.0,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stores = stores
        self.rotate_task_id = rotate_task_id
        self.probe_task_id = probe_task_id
        self.first_delivery = first_delivery
        self.pending = pending
        self.poll_interval = poll_interval
        self.deferrable = deferrable

    def state_if_it_fails(self, context: Context) -> str:
        """Both secrets are in the stores, whichever half delivers."""
        return "The stores hold both secrets, so no delivery is refused, whichever webhook delivers"

    def run(self, context: Context) -> dict[str, Any]:
        """Watch from the worker for a moment, then hand over to the triggerer."""
        return self._go_on(context, {})

    @without_frames
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the step that the trigger saw, or watch on the worker if the triggerer could not."""
        with self.ending(context):
            if not isinstance(event, Mapping) or not isinstance(event.get("watched"), Mapping):
                raise rotation.errors.CutOverUnread(
                    self.webhook_id, "the trigger's event says nothing; a retry looks again"
                )
            if event.get("kind") == "unreadable":
                raise rotation.errors.CutOverUnread(
                    self.webhook_id,
                    f"Featurebase could not be read {rotation.health.MAX_POLL_FAILURES} times in a row, so it is not "
                    "known whether the old webhook may be paused. Both webhooks may deliver. A retry goes on",
                )
            return self._go_on(context, event["watched"], seen=event.get("kind"))

    def _go_on(self, context: Context, watched: Mapping[str, Any], seen: str | None = None) -> dict[str, Any]:
        plan = self.rotated(context, self.rotate_task_id).plan
        was_live = rotation.pair_records.pair_of(plan).was_live
        if was_live == plan.webhook_id.lower() or plan.mode == "dry_run":
            self.log.info("This run moves no deliveries; there is nothing to do")
            return {"moved": False, "detail": "this run moves no deliveries"}
        with self.hook.get_conn() as client:
            records = self.pair_records(context, plan.host)
            watch = self._watch(context, client, plan, records, watched)
            source = records.source(client, plan, self.previous_for, now=client.clock.now, may_miss=True)
            steps = rotation.cut_over_steps.CutOverSteps(
                client,
                plan,
                records.memory,
                source,
                records.rule(plan),
                watch,
                records.leaked_by_now,
                client.clock.now,
                self.log.info,
            )
            defers_from = time.monotonic() + (0 if watched else WATCHES_FIRST)
            while True:
                step = steps.look(seen)
                if step.kind != "wait":
                    seen = None
                    result = steps.take(step, operators.stores.resolve_stores(self.stores))
                    if result is not None:
                        return result
                elif self.deferrable and seen != UNWATCHED and time.monotonic() >= defers_from:
                    self._defer(client, watch)
                else:
                    time.sleep(watch.next_read_in(self.poll_interval))

    def _watch(
        self,
        context: Context,
        client: Client,
        plan: RotationPlan,
        records: PairRecords,
        watched: Mapping[str, Any],
    ) -> CutOverWatch:
        probed = (operators.context.pulled(context, self.probe_task_id) or {}).get("halves") or {}
        if not {rotation.pair_records.pair_of(plan).was_live, plan.webhook_id.lower()} <= probed.keys():
            raise rotation.errors.CutOverUnread(
                plan.webhook_id,
                f"the task {self.probe_task_id} left no result for both webhooks (a task that was marked success by "
                "hand leaves none), so it is unknown which secrets the receiver accepts; nothing was paused. Clear it "
                "and all tasks after it",
            )
        activated = records.moves.activated
        if activated is not None and activated.webhook_id.lower() != plan.webhook_id.lower():
            raise rotation.errors.CutOverStopped(
                plan.webhook_id,
                f"a later run has begun to move the deliveries to webhook {activated.webhook_id}, so this one changed "
                "nothing. Trigger a new run",
            )
        return rotation.cut_over.watch_of(
            plan,
            records.moves,
            {half: str((outcome or {}).get("fingerprint")) for half, outcome in probed.items()},
            now=client.clock.now(),
            first_delivery=self.first_delivery,
            pending=self.pending,
            watched=watched,
        )

    def _defer(self, client: Client, watch: CutOverWatch) -> None:
        from featurebase_provider.triggers.cut_over import CutOverTrigger

        ends = watch.cut_over.ends(max(watch.cut_over.first_delivery, watch.cut_over.pending))
        self.defer(
            trigger=CutOverTrigger(
                cut_over=asdict(watch.cut_over),
                featurebase_conn_id=self.featurebase_conn_id,
                replaced=sorted(watch.replaced),
                poll_interval=self.poll_interval,
                watched=watch.state,
            ),
            method_name="execute_complete",
            timeout=max(ends - client.clock.now(), timedelta()) + TRIGGERER_MAY_LAG,
        )
