"""Rules between the fields of one webhook: each yields the contradictions that it finds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from featurebase_provider.config.shared_places import clashes
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from featurebase_provider.config import errors
    from featurebase_provider.config.errors import Problem
    from featurebase_provider.config.settings import WebhookSettings
    from featurebase_provider.stores.base import StoreConfig
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")

FEATUREBASE_RETRIES = timedelta(hours=7, minutes=1)
"""Time from a delivery's first failed attempt to its last retry (Featurebase guide "Delivery behaviors")."""

IDENTIFIERS = ("webhook_id", "webhook_name", "webhook_ids")
"""The fields that say which webhook, or which pair of webhooks, an entry is about."""


def naming_problems(named: Collection[str], strategy: str) -> Iterator[Problem]:
    """A webhook is identified exactly once, by id or by name; a pair by both ids.

    :param named: which of :data:`IDENTIFIERS` are given.
    :param strategy: ``refresh`` or ``overlap``.
    """
    if "webhook_ids" in named:
        for name in ("webhook_id", "webhook_name"):
            if name in named:
                yield errors.Problem(
                    (name, "webhook_ids"), "identifies the webhook a second time; keep only webhook_ids for a pair"
                )
        if strategy != "overlap":
            yield errors.Problem(
                ("strategy", "webhook_ids"), "must be overlap if webhook_ids names a pair: write strategy: overlap"
            )
    elif strategy == "overlap":
        message = (
            "is required with strategy: overlap: the ids of both webhooks of the pair, such as [<id>, <id>], instead "
            "of webhook_id or webhook_name. featurebase pair-webhook makes the second webhook"
        )
        yield errors.Problem(("webhook_ids", "strategy"), message)
    elif {"webhook_id", "webhook_name"} <= set(named):
        yield errors.Problem(
            ("webhook_name", "webhook_id"), "identifies the webhook a second time; keep either this or webhook_id"
        )
    elif not named:
        yield errors.Problem(("webhook_id", "webhook_name"), "is required, or webhook_name instead")


def settings_problems(s: WebhookSettings) -> Iterator[Problem]:
    """Contradictions between fields that ``defaults:`` may contain."""
    if s.min_age is not None and s.max_age is not None and s.min_age >= s.max_age:
        yield errors.Problem(("min_age", "max_age"), "must be shorter than max_age")
    if s.reactivate and s.probe is None:
        message = "requires the probe, which shows that the receiver accepts the new secret; add probe: true"
        yield errors.Problem(("reactivate", "probe"), message)
    if s.refresh_grace >= s.execution_timeout:
        message = "must be shorter than execution_timeout, or the task is stopped while it waits for the refresh"
        yield errors.Problem(("refresh_grace", "execution_timeout"), message)
    for delay in ("retry_delay", "push_retry_delay"):
        if getattr(s, delay) > s.max_retry_delay:
            yield errors.Problem((delay, "max_retry_delay"), "must not be longer than max_retry_delay")
    for index, entry in enumerate(s.notify):
        if "approval_needed" in entry.events and s.approval is None:
            message = "names approval_needed, but no approval is configured; add approval: always"
            yield errors.Problem(("notify", "approval"), message, ("notify", index, "events"))
    if s.strategy == "overlap":
        from featurebase_provider.config.pair_agreement import pair_settings_problems  # most entries are no pair

        yield from pair_settings_problems(s)
    elif "overlap" in s.model_fields_set:
        yield errors.Problem(("overlap", "strategy"), "has no effect without strategy: overlap")


def store_problems(settings: WebhookSettings, stores: Mapping[int, StoreConfig]) -> Iterator[Problem]:
    """Contradictions among the stores and with the webhook's settings; ``stores`` by their number in the list."""
    labels: dict[str, int] = {}
    for index, store in stores.items():
        first = labels.setdefault(store.label, index)
        if first != index:
            message = f"is also the label of stores[{first}]; labels name push tasks and must be unique in a webhook"
            yield errors.Problem(("stores",), message, ("stores", index, "label"))
    if settings.previous_for < FEATUREBASE_RETRIES and any(store.keeps_previous for store in stores.values()):
        message = (
            "must be at least PT7H1M if a store keeps the previous secret: Featurebase retries deliveries "
            "that long, and does not document which secret signs a retry"
        )
        yield errors.Problem(("previous_for", "stores"), message)
    if settings.strategy == "overlap":
        from featurebase_provider.config.pair_agreement import pair_store_problems

        yield from pair_store_problems(stores)


def target_problems(stores: tuple[StoreConfig, ...]) -> Iterator[Problem]:
    """Two stores of one webhook must not write to the same place; :func:`.loading.repeated` checks the whole file."""
    for index, first, what in clashes(dict(enumerate(stores))):
        yield errors.Problem(("stores",), f"{what} stores[{first}]", ("stores", index))
