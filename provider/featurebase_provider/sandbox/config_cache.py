"""What deliveries know of webhooks: their present configuration or, with the switch ``config_cache``, an older one."""

from __future__ import annotations

import copy
from collections.abc import Callable

from featurebase_provider.sandbox.webhooks import Webhook, Webhooks


class ConfigCache:
    """Loads a webhook when a delivery needs it, and uses this copy until it is too old.

    Each webhook is loaded on its own and as a whole: url, status, topics, headers, timeout and secret are always of one
    moment, but those of two webhooks may be of different moments. A change by the API or by Featurebase does not reach
    a copy; a webhook that was deleted stays in use as long as its copy.

    :param webhooks: the webhooks as they are now.
    :param seconds: how long a copy is used; 0: there is none.
    :param now: Unix seconds.
    """

    def __init__(self, webhooks: Webhooks, seconds: Callable[[], float], now: Callable[[], float]) -> None:
        self._webhooks, self._seconds, self._now = webhooks, seconds, now
        self._copies: dict[str, tuple[float, Webhook]] = {}

    def find(self, webhook_id: str) -> Webhook | None:
        """The webhook as deliveries know it, to be read only; None if there is none."""
        now, seconds = self._now(), self._seconds()
        loaded_at, known = self._copies.get(webhook_id, (now, None))
        if known is not None and now - loaded_at < seconds:
            return known
        self._copies.pop(webhook_id, None)
        webhook = self._webhooks.find(webhook_id)
        if webhook is not None and seconds:
            webhook = copy.deepcopy(webhook)
            self._copies[webhook_id] = now, webhook
        return webhook

    def subscribed_to(self, topic: str) -> list[Webhook]:
        """The active webhooks that subscribe to this topic, as deliveries know them, in the order of their creation."""
        ids = sorted({*self._copies, *(webhook.id for webhook in self._webhooks.all())})
        known = (self.find(webhook_id) for webhook_id in ids)
        return [webhook for webhook in known if webhook and webhook.takes(topic)]
