"""Finds what two webhooks of one file must not share: a name, a webhook, a place for the secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.config.credentials import shown_value
from featurebase_provider.config.errors import Fault
from featurebase_provider.config.models import WebhookSettings
from featurebase_provider.featurebase.text import without_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from featurebase_provider.config.checking import CheckedWebhook
    from featurebase_provider.config.merging import Place


def repeated(webhooks: Iterable[CheckedWebhook]) -> Iterator[Fault]:
    """A fault at each second use, naming the place and line of the first.

    A webhook that one entry names by id and another by name is not seen here: only Featurebase knows.
    """
    seen: dict[tuple[Any, ...], Place] = {}
    for webhook in webhooks:
        for key, place, what in _claims(webhook):
            first = seen.setdefault(key, place)
            if first is not place:
                where = f"{first.field} (line {first.line})"
                yield Fault(place.line, place.field, without_tokens(f"{what} {where}"))


def _claims(webhook: CheckedWebhook) -> Iterator[tuple[tuple[Any, ...], Place, str]]:
    """What a webhook claims for itself: what it is, where that stands, and the words for a second claim."""
    values, place = webhook.values, webhook.source.place
    connection = values.get("featurebase_conn_id", WebhookSettings.model_fields["featurebase_conn_id"].default)
    if isinstance(name := values.get("name"), str):
        message = f"{shown_value(name)} would name the same Dag as"
        yield ("name", name), place(("name",)), message
    if isinstance(webhook_id := values.get("webhook_id"), str):
        message = f"{shown_value(webhook_id)} is the same webhook as"
        yield ("webhook_id", str(connection), webhook_id.lower()), place(("webhook_id",)), message
    if isinstance(webhook_name := values.get("webhook_name"), str):
        message = f"{shown_value(webhook_name)} is the same webhook as"
        yield ("webhook_name", str(connection), webhook_name), place(("webhook_name",)), message
    for index, store in webhook.stores.items():
        message = f"writes to {store.target}, the same target as"
        yield ("target", store.target), place(("stores", index)), message
