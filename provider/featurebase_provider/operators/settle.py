"""Sets a webhook active again if Featurebase paused it because deliveries failed during the rotation."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class SettleWebhookOperator(FeaturebaseOperator):
    """Set the webhook active again, but only if Featurebase made it inactive for failures of this rotation.

    All of this must hold: the webhook was active when planned; the probe passed; a delivery failed after the refresh;
    and if it is paused, nothing suggests that a person did it (see :func:`why_not_ours`). Otherwise the webhook is left
    as it is. That is an error unless it was inactive when planned. The health figures are logged and returned first,
    since Featurebase resets them.

    :param rotate_task_id: the rotate task of the same Dag run.
    :param probe_task_id: its probe task.
    :returns: ``reactivated`` (bool) and ``health_before`` (the figures).
    :raises AirflowFailException: the webhook is inactive for another reason; the message says what to do.
    """

    stat = "settle"
    loads_first = True

    def __init__(self, *, rotate_task_id: str, probe_task_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rotate_task_id = rotate_task_id
        self.probe_task_id = probe_task_id

    def state_if_it_fails(self, context: Context) -> str:
        """After the probe."""
        return "The stores hold the new secret; the webhook's status was not changed"

    def run(self, context: Context) -> dict[str, Any]:
        """Check, record the health figures, and set the webhook active if that is allowed."""
        rotated = self.rotated(context, self.rotate_task_id)
        probe = operators.context.pulled(context, self.probe_task_id) or {}
        with self.hook.get_conn() as client:
            webhook = client.get_webhook(rotated.plan.webhook_id)
            figures = rotation.plan.HealthFigures.of(webhook)
            if webhook.status == "active":
                self.log.info("The webhook is active; there is nothing to do")
                return {"reactivated": False, "health_before": asdict(figures)}
            if rotated.plan.status != "active":
                to_do = rotation.advice.set_active(webhook.status, webhook.id)
                self.log.warning("The webhook was not active before the run and is left so. %s", to_do)
                return {"reactivated": False, "health_before": asdict(figures)}
            reason = rotation.reactivation.why_not_ours(
                webhook,
                rotated,
                probe_passed=probe.get("result") == "accepted",
                exposure_ms=probe.get("receiver_exposure_ms"),
                now=client.clock.now(),
            )
            if reason is not None:
                raise rotation.errors.WebhookStaysInactive(
                    webhook.id,
                    f"it is {webhook.status!r} and was left so: {reason}{rotation.health.last_result(webhook)}. Every "
                    "store holds the current secret. If the webhook should be active, set it active in Featurebase",
                )
            self.log.warning(
                "Webhook %s is %s%s; health before it is set active: %s",
                webhook.id,
                webhook.status,
                rotation.health.last_result(webhook),
                asdict(figures),
            )
            client.update_webhook(webhook.id, status="active")
        self.log.info("Webhook %s was set active again", webhook.id)
        return {"reactivated": True, "health_before": asdict(figures)}
