"""Wait for real deliveries after a rotation, and judge them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseSensorOperator

from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.operators.base import FeaturebaseOperator, pulled, resolve_stores, task_errors
from featurebase_provider.rotation.distribution import arming
from featurebase_provider.rotation.errors import RotationError, StoresDisagree, StoresUnread
from featurebase_provider.rotation.health import HealthWatch, Verdict, last_result
from featurebase_provider.rotation.history import lineage_of
from featurebase_provider.rotation.lineage import Lineage, read_current, secret_of
from featurebase_provider.triggers.webhook_delivery_health import (
    DeliveryHealthEvent,
    WebhookDeliveryHealthTrigger,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.store import Store

KINDS = ("healthy", "failing", "quiet", "inactive", "unreadable")


class DeliveriesFail(RotationError):
    """Real deliveries failed after the secret was distributed."""

    retry_helps = False


class DeliveryHealthUnreadable(RotationError):
    """Featurebase could not be read too often in a row, so nothing was judged."""


class WebhookDeliveryHealthSensor(FeaturebaseOperator, BaseSensorOperator):
    """Wait until Featurebase's own figures show that deliveries succeed, without holding a worker.

    Only results dated after the last push plus the webhook's delivery timeout count. A success and no consecutive
    failure is healthy; 3 consecutive failures, or one and no success until ``wait``, is failing; neither is quiet:
    the task passes if the probe has, and is skipped otherwise. Last, every store is compared with Featurebase.

    :param wait: how long to wait for deliveries.
    :param poll_interval: seconds between two reads of Featurebase.
    :param stores: the stores to compare; stores, or mappings as in the rotation file.
    :param rotate_task_id: the rotate task of the same Dag run, or None to count from now.
    :param push_task_ids: its push tasks.
    :param probe_task_id: its probe task, or None.
    :param deferrable: False polls on the worker.
    :returns: ``kind`` and ``detail`` of the verdict.
    :raises AirflowSkipException: nothing was delivered, and no probe has passed.
    :raises AirflowFailException: deliveries fail, the webhook is inactive, or a store holds another secret.
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
        super().__init__(**kwargs)
        self.wait = wait
        self.poll_interval = poll_interval
        self.stores = stores
        self.rotate_task_id = rotate_task_id
        self.push_task_ids = push_task_ids
        self.probe_task_id = probe_task_id
        self.deferrable = deferrable

    def standing(self, context: Context) -> str:
        """After the pushes."""
        return "The stores were brought to the new secret, deliveries were not judged"

    def run(self, context: Context) -> dict[str, Any]:
        """Find out from when results count, and wait."""
        with self.hook.get_conn() as client:
            webhook = client.get_webhook(self.webhook_id)
            rotated = self.rotation(context, self.rotate_task_id)
            if rotated is not None and rotated.plan.status != "active" != webhook.status:
                self.log.info("The webhook was %s before the rotation: no delivery will come", rotated.plan.status)
                return self._conclude(context, client, "quiet")
            since = self._last_push(context, rotated) or client.clock.now()
            counts_from = since + timedelta(milliseconds=webhook.request_config.timeout_ms)
            deadline = time.time() + self.wait.total_seconds()
            self.log.info("Waiting up to %s for deliveries dated after %s", self.wait, counts_from.isoformat())
            watch = HealthWatch(counts_from)
            verdict = watch.observe(webhook)
            if verdict is not None:
                return self._conclude(context, client, verdict.kind)
            if not self.deferrable:
                return self._conclude(context, client, self._poll(client, watch, deadline))
        self.defer(
            trigger=WebhookDeliveryHealthTrigger(
                webhook_id=self.webhook_id,
                featurebase_conn_id=self.featurebase_conn_id,
                counts_from=counts_from.isoformat(),
                deadline=deadline,
                poll_interval=self.poll_interval,
            ),
            method_name="execute_complete",
            timeout=self.wait + timedelta(minutes=5),
        )
        return None

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the trigger's verdict, and compare the stores."""
        self.learn_webhook(context)
        with task_errors(self.standing(context)), self.hook.get_conn() as client:
            return self._conclude(context, client, checked_event(event, webhook_id=self.webhook_id)["kind"])

    def _last_push(self, context: Context, rotated: RotationOutcome | None) -> datetime | None:
        moments = [rotated.distributed_at] if rotated is not None else []
        for task_id in self.push_task_ids:
            moments.append((pulled(context, task_id) or {}).get("pushed_at"))
        return max((datetime.fromisoformat(moment) for moment in moments if moment), default=None)

    def _poll(self, client: Client, watch: HealthWatch, deadline: float) -> str:
        while True:
            time.sleep(max(0.0, min(self.poll_interval, deadline - time.time())))
            left = deadline - time.time()
            webhook = client.get_webhook(self.webhook_id)
            verdict = watch.conclude(webhook) if left <= 0 else watch.observe(webhook)
            if verdict is not None:
                return verdict.kind

    def _conclude(self, context: Context, client: Client, kind: str) -> dict[str, Any]:
        rotated = self.rotation(context, self.rotate_task_id)
        lineage = lineage_of(rotated.plan, rotated) if rotated is not None else Lineage()
        webhook = read_current(client, self.webhook_id, lineage)
        probe = pulled(context, self.probe_task_id) or {}
        probed = probe.get("result") == "accepted"
        verdict = Verdict(cast("Any", kind), sentence(kind, webhook, probed=probed))
        result = {"kind": verdict.kind, "detail": verdict.detail}
        context["ti"].xcom_push(key="return_value", value=result)
        self._compare_stores(webhook)
        self.log.info("Deliveries: %s: %s", verdict.kind, verdict.detail)
        if kind == "unreadable":
            raise DeliveryHealthUnreadable(webhook.id, verdict.detail)
        if kind in ("failing", "inactive"):
            raise DeliveriesFail(webhook.id, verdict.detail)
        if kind == "quiet" and not probed:
            raise AirflowSkipException(f"Skipped: {verdict.detail}")
        return result

    def _compare_stores(self, webhook: Webhook) -> None:
        current = secret_of(webhook)
        with arming(resolve_stores(self.stores)) as ready:
            unread = tuple(ready.problems.values())
            wrong = [str(problem) for problem in unread]
            for label, held in ready.held.items():
                if not held.readable:
                    self.log.info("Store %s can't be compared: it never shows what it holds", ready.armed[label].name)
                elif held.current != current:
                    wrong.append(f"store {ready.armed[label].name} holds {held.shown}")
        if wrong and len(wrong) == len(unread) and all(problem.retry_helps for problem in unread):
            raise StoresUnread(
                webhook.id,
                f"every store was brought to Featurebase's secret ({current.fingerprint}), but not all can be "
                f"read now to compare them: {'; '.join(wrong)}. A retry compares again",
            )
        if wrong:
            raise StoresDisagree(
                webhook.id,
                f"Featurebase's secret is {current.fingerprint}, and not every store can be shown to hold it: "
                f"{'; '.join(wrong)}. Clear their push tasks, or trigger the Dag with mode=distribute",
            )


def checked_event(event: Mapping[str, Any] | None, *, webhook_id: str) -> DeliveryHealthEvent:
    """Take the trigger's event for what it must be.

    :raises DeliveryHealthUnreadable: it is missing, of another webhook, or of no known kind.
    """
    if not isinstance(event, Mapping) or event.get("webhook_id") != webhook_id or event.get("kind") not in KINDS:
        raise DeliveryHealthUnreadable(
            webhook_id, "the trigger's event is not a verdict on this webhook; clear this task"
        )
    return cast("DeliveryHealthEvent", event)


def sentence(kind: str, webhook: Webhook, *, probed: bool) -> str:
    """The verdict in one sentence, with Featurebase's own result, code and time."""
    last = last_result(webhook)
    forward = "The old secret can't be restored: see that every receiver has loaded the new one"
    return {
        "healthy": f"a delivery after the push succeeded{last}",
        "failing": f"deliveries fail since the push{last}. {forward}, then clear this task",
        "inactive": f"the webhook is {webhook.status!r}, so nothing is delivered{last}. {forward}, set it active in "
        "Featurebase, then clear this task",
        "quiet": "Featurebase delivered nothing since the push; "
        + ("the probe has passed" if probed else "no probe has shown that the receiver accepts the secret"),
        "unreadable": "Featurebase could not be read often enough to judge. The stores hold the new secret; a retry "
        "looks again",
    }[kind]
