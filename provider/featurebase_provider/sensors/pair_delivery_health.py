"""Waits for real deliveries of a pair's live half, and checks whether they succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.sensors.webhook_delivery_health import WebhookDeliveryHealthSensor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.store import StoredValue


class PairDeliveryHealthSensor(WebhookDeliveryHealthSensor):
    """Wait until Featurebase's figures for the half that delivers now show that deliveries succeed.

    See :class:`~featurebase_provider.sensors.webhook_delivery_health.WebhookDeliveryHealthSensor`. A store may hold
    that half's secret in either slot: a receiver of a pair accepts both.
    """

    @property
    def is_of_pair(self) -> bool:
        """Always."""
        return True

    def state_if_it_fails(self, context: Context) -> str:
        """The stores hold more than the new secret."""
        return "The stores were updated, but deliveries were not checked"

    def is_held(self, webhook: Webhook, held: StoredValue) -> bool:
        """Whether a store holds the half's secret in either slot."""
        return webhook.secret in (held.current, held.previous)
