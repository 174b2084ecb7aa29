"""Finds a webhook by its id or by its exact name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.current import ReadsWebhooks
from featurebase_provider.rotation.errors import PlanRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.models import Webhook

SHOWN_IDS = 5


class ListsWebhooks(ReadsWebhooks, Protocol):
    """The part of the Featurebase client that finds a webhook."""

    def list_webhooks(self) -> Iterable[Webhook]:
        """All webhooks, page after page."""


def find_webhook(api: ListsWebhooks, webhook_id: str, name: str | None) -> Webhook:
    """Read the webhook by id, or find the one with exactly this name.

    :raises PlanRefused: no webhook has the name, or several have.
    :raises ApiError: Featurebase could not be read.
    """
    if webhook_id:
        return api.get_webhook(webhook_id)
    if not name:
        raise PlanRefused("(none)", "webhook_id and webhook_name are both empty once rendered; nothing was changed")
    found = named(api.list_webhooks(), name)
    if len(found) != 1:
        raise PlanRefused(
            "(by name)", f"{not_one(found, name)}; nothing was changed. Use webhook_id in the rotation file instead"
        )
    return api.get_webhook(found[0].id)


def named(webhooks: Iterable[Webhook], name: str | None) -> list[Webhook]:
    """The webhooks with exactly this name; Featurebase allows several."""
    return [webhook for webhook in webhooks if webhook.name == name]


def not_one(found: list[Webhook], name: str | None) -> str:
    """The message for a name that no webhook, or more than one, has."""
    ids = ", ".join(webhook.id for webhook in found[:SHOWN_IDS])
    problem = f"{len(found)} webhooks ({ids}) have" if found else "no webhook has"
    return f"{problem} the name {one_line(name)!r}"
