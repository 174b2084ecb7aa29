"""Waits for real deliveries after a rotation, and checks whether they succeed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from featurebase_provider import featurebase, operators, rotation, sensors
from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.operators.base import FeaturebaseOperator, without_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.health import DeliveryWait, WaitEnd
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.store import Store, StoredValue

TRIGGERER_MAY_LAG = timedelta(minutes=5)
"""How long after the end of the wait Airflow still waits for the trigger's event."""
WATCHES_FIRST = 10.0
"""Seconds in which the worker itself watches at first, if a delivery can count by then. Where deliveries are frequent,
one that counts comes sooner than a deferral and the way back from it take."""
UNUSED: Mapping[str, tuple[Any, str]] = {
    "mode": ("poke", "it is deferred, which holds no worker either; deferrable=False polls on the worker"),
    "soft_fail": (False, "failing deliveries after a rotation must not look like a task that had nothing to do"),
    "never_fail": (False, "failing deliveries after a rotation must not look like a task that had nothing to do"),
    "silent_fail": (False, "fewer than ten failed reads of Featurebase in a row are tolerated anyway"),
    "exponential_backoff": (False, "set poll_interval to the time between two reads"),
    "max_wait": (None, "set poll_interval to the time between two reads"),
    "poke_interval": (None, "set poll_interval to the time between two reads"),
    "timeout": (None, "set wait to the time to wait for deliveries"),
}
"""Arguments of Airflow's sensors that this one does not support: the value that is allowed, and what to do instead."""


class WebhookDeliveryHealthSensor(FeaturebaseOperator, BaseSensorOperator):
    """Wait until Featurebase's own figures show that deliveries succeed.

    It watches on the worker for its first seconds (:data:`WATCHES_FIRST`), then from the triggerer, which holds no
    worker.

    Only results dated after the last push plus the webhook's delivery timeout count. A success without consecutive
    failures is *healthy*. 3 consecutive failures, or at least one failure and no success until ``wait`` is over, are
    *failing*. Everything else is *quiet*: the task succeeds if the probe has passed, and is skipped otherwise. Finally,
    every store is compared with Featurebase.

    If a try could not read Featurebase, Airflow's retry does not start a new wait: it reads at least once, and until
    ``wait`` after the last push. A cleared task starts a new wait. Without ``rotate_task_id`` and ``push_task_ids``
    each try starts a new wait.

    :param wait: how long to wait for deliveries.
    :param poll_interval: seconds between two reads of Featurebase, at most; the first ones follow sooner.
    :param stores: the stores to compare; stores, or mappings as in the rotation file.
    :param rotate_task_id: the rotate task of the same Dag run, or None to count from now.
    :param push_task_ids: its push tasks.
    :param probe_task_id: its probe task, or None.
    :param deferrable: False polls on the worker; so does True where the wait is shorter than a deferral takes.
    :returns: ``kind`` and ``detail`` of the verdict, and ``stores_hold``: fingerprint of the secret that every readable
        store holds.
    :raises ValueError: an argument of Airflow's sensors is given that this one does not support (:data:`UNUSED`).
    :raises AirflowSkipException: too few deliveries to decide, and no probe has passed.
    :raises AirflowFailException: deliveries fail, the webhook is inactive, or a store holds another secret.
    :raises DeliveryHealthUnreadable: Featurebase could not be read ten times in a row; a retry looks again.
    :raises StoresUnread: a store did not answer to the comparison; a retry compares again.
    """

    stat = "verify_delivery"

    def __init__(
        self,
        *,
        wait: timedelta = timedelta(minutes=15),
        poll_interval: float = 15.0,
        stores: Sequence[Store | Mapping[str, Any]] = (),
        rotate_task_id: str | None = None,
        push_task_ids: Sequence[str] = (),
        probe_task_id: str | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        for name, (value, instead) in UNUSED.items():
            if name in kwargs and kwargs.pop(name) != value:
                raise ValueError(f"{type(self).__name__} does not support {name}: {instead}")
        # Set here, so that default_args do not override it, and that Airflow need not look its own timeout up.
        super().__init__(mode="poke", soft_fail=False, never_fail=False, timeout=wait, **kwargs)
        self.wait = wait
        self.poll_interval = poll_interval
        self.stores = stores
        self.rotate_task_id = rotate_task_id
        self.push_task_ids = push_task_ids
        self.probe_task_id = probe_task_id
        self.deferrable = deferrable

    def state_if_it_fails(self, context: Context) -> str:
        """After the pushes."""
        return "The stores were updated to the new secret, but deliveries were not checked"

    def run(self, context: Context) -> dict[str, Any]:
        """Determine from when results count, and wait."""
        from featurebase_provider.triggers.pauses import SCHEDULER_LAG
        from featurebase_provider.triggers.webhook_delivery_health import WebhookDeliveryHealthTrigger

        with self.hook.get_conn() as client:
            webhook = client.get_webhook(self.webhook_id)
            now = client.clock.now()
            rotated = self.rotation(context, self.rotate_task_id)
            pushed = self._last_push(context, rotated)
            counts_from = (pushed or now) + timedelta(milliseconds=webhook.request_config.timeout_ms)
            if rotated is not None and rotated.plan.status != "active" != webhook.status:
                self.log.info("The webhook was %s before the rotation: no delivery will come", rotated.plan.status)
                return self._conclude(context, client, "quiet", counts_from)
            wait = self._wait_for(client, counts_from, self._until(context, pushed, now))
            self.log.info("Waiting until %s for deliveries dated after %s", wait.until, counts_from)
            end: WaitEnd | None = wait.take(webhook)
            if end is None:
                end = self._watch_first(client, wait)
            left = wait.until - client.clock.now()
            if end is None and (not self.deferrable or left.total_seconds() <= SCHEDULER_LAG):
                end = self._poll(client, wait)
            if end is not None:
                return self._conclude(context, client, end, counts_from)
        self.defer(
            trigger=WebhookDeliveryHealthTrigger(
                webhook_id=self.webhook_id,
                featurebase_conn_id=self.featurebase_conn_id,
                counts_from=counts_from.isoformat(),
                deadline=wait.until.timestamp(),
                poll_interval=min(self.poll_interval, left.total_seconds()),
            ),
            method_name="execute_complete",
            kwargs={"counts_from": counts_from.isoformat(), "until": wait.until.isoformat()},
            timeout=left + TRIGGERER_MAY_LAG,
        )
        return None

    @without_frames
    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,
        counts_from: str | None = None,
        until: str | None = None,
    ) -> dict[str, Any]:
        """Take the trigger's verdict, or poll if the trigger could not, and compare the stores.

        :param counts_from: server time (ISO 8601) after which results count; None from a sensor of version 0.1.
        :param until: server time (ISO 8601) at which the wait ends; None likewise.
        """
        with self.ending(context), self.hook.get_conn() as client:
            kind = sensors.verdict.checked_event(event, webhook_id=self.webhook_id)["kind"]
            since = datetime.fromisoformat(counts_from) if counts_from is not None else None
            if kind == sensors.verdict.UNWATCHED:
                end = datetime.fromisoformat(until) if until is not None else client.clock.now()
                self.log.warning("The triggerer could not watch the deliveries; this worker does so until %s", end)
                kind = self._poll(client, self._wait_for(client, since or client.clock.now(), end))
            return self._conclude(context, client, kind, since)

    def _wait_for(self, client: Client, counts_from: datetime, until: datetime) -> DeliveryWait:
        return rotation.health.DeliveryWait(
            rotation.health.HealthWatch(counts_from),
            until=until,
            poll_interval=self.poll_interval,
            clock=client.clock,
            say=self.log.warning,
        )

    def _until(self, context: Context, pushed: datetime | None, now: datetime) -> datetime:
        """When the wait ends, in server time."""
        ti: Any = context["ti"]
        # What Airflow counts retries from, which is not 1 in a task that was cleared.
        first_try = ti.max_tries - self.retries + 1
        if pushed is None or ti.try_number <= first_try:
            return now + self.wait
        left = min(pushed + self.wait - now, self.wait)
        return now + left if left.total_seconds() > self.poll_interval else now

    def _last_push(self, context: Context, rotated: RotationOutcome | None) -> datetime | None:
        moments = [rotated.distributed_at] if rotated is not None else []
        for task_id in self.push_task_ids:
            moments.append((operators.context.pulled(context, task_id) or {}).get("pushed_at"))
        return max((datetime.fromisoformat(moment) for moment in moments if moment), default=None)

    def _watch_first(self, client: Client, wait: DeliveryWait) -> WaitEnd | None:
        """Watch for a moment, with reads that follow soon; None if that decides nothing."""
        left, end = WATCHES_FIRST, None
        pauses = wait.first_pauses()
        while end is None and (pause := next(pauses)) <= left:
            began = time.monotonic()
            end = self._look_after(pause, client, wait)
            left -= time.monotonic() - began  # in an outage a read takes longer than the pauses
        return end

    def _poll(self, client: Client, wait: DeliveryWait) -> WaitEnd:
        while True:
            end = self._look_after(wait.pause, client, wait)
            if end is not None:
                return end

    def _look_after(self, pause: float, client: Client, wait: DeliveryWait) -> WaitEnd | None:
        time.sleep(pause)
        try:
            return wait.take(client.get_webhook(self.webhook_id))
        except featurebase.ApiError as exc:
            return wait.fail(exc)

    def _conclude(
        self, context: Context, client: Client, kind: WaitEnd, counts_from: datetime | None
    ) -> dict[str, Any]:
        rotated = self.rotation(context, self.rotate_task_id)
        order = (
            rotation.history.order_of(rotated.plan, rotated) if rotated is not None else rotation.current.SecretOrder()
        )
        webhook = rotation.current.read_current(client, self.webhook_id, order)
        probed = (operators.context.pulled(context, self.probe_task_id) or {}).get("result") == "accepted"
        delivered = True
        if counts_from is not None:
            watch, now = rotation.health.HealthWatch(counts_from), client.clock.now()
            delivered = watch.delivered(webhook, now=now)
            newer = watch.observe(webhook, now=now)
            if kind in ("quiet", "unreadable") and newer is not None and newer.kind == "healthy":
                kind = "healthy"
        detail = sensors.verdict.sentence(kind, webhook, probed=probed, delivered=delivered)
        if kind == "inactive" and webhook.status == "active":
            kind, detail = "unreadable", sensors.verdict.CONTRADICTION
        result = {"kind": kind, "detail": detail}
        context["ti"].xcom_push(key="return_value", value=result)
        sensors.verdict.compare_stores(
            operators.stores.resolve_stores(self.stores), webhook, self.is_held, say=self.log.info
        )
        result["stores_hold"] = str(webhook.fingerprint)
        context["ti"].xcom_push(key="return_value", value=result)
        self.log.info("Deliveries: %s: %s", kind, detail)
        if kind == "unreadable":
            raise rotation.errors.DeliveryHealthUnreadable(webhook.id, detail)
        if kind in ("failing", "inactive"):
            raise rotation.errors.DeliveriesFail(webhook.id, detail)
        if kind == "quiet" and not probed:
            raise AirflowSkipException(f"Skipped: {detail}")
        return result

    def is_held(self, webhook: Webhook, held: StoredValue) -> bool:
        """Whether a store holds the webhook's secret where its readers look for it."""
        return held.current == webhook.secret
