"""Stops a rotation if another entry of the rotation file means the same webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.rotation.errors import PlanRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.featurebase.models import Webhook


def check_only_entry(
    webhook: Webhook, conn_id: str, others: Iterable[WebhookConfig], *, say: Callable[[str], None]
) -> None:
    """Check that no other entry of the rotation file means this webhook, alone or as a half of a pair.

    One entry may use its id and another its name, or they may use different connections, so the file alone does not
    show it. Call this on the task's main thread: it may read other connections.

    :param conn_id: the connection with which the webhook was read.
    :param others: the other entries.
    :param say: logs a message if another entry could not be checked, which does not stop the run.
    :raises PlanRefused: another entry means this webhook; the message names it.
    """
    for other in others:
        if _means(other, webhook, conn_id, say):
            raise PlanRefused(
                webhook.id,
                f"the entry {other.name!r} of the rotation file means this webhook too, so two Dags would rotate one "
                "secret and undo each other's stores; nothing was changed. Keep one entry, with the stores of both",
            )


def _means(other: WebhookConfig, webhook: Webhook, conn_id: str, say: Callable[[str], None]) -> bool:
    ids = other.webhook_ids or (other.webhook_id and (other.webhook_id,))
    if ids:
        return webhook.id.lower() in {webhook_id.lower() for webhook_id in ids}
    if other.webhook_name != webhook.name:
        return False
    if other.featurebase_conn_id == conn_id:
        return True
    # Another workspace may have a webhook of the same name.
    try:
        with FeaturebaseHook(other.featurebase_conn_id).get_conn() as client:
            return any(listed.id == webhook.id for listed in client.list_webhooks())
    except FeaturebaseError as exc:
        say(f"could not check whether the entry {other.name!r} means this webhook too: {exc}")
        return False
