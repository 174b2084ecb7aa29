"""Rules between the fields of a pair of webhooks: each yields the contradictions that it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.config.probe import PAIR_EVENTS
from featurebase_provider.late import LateModule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from featurebase_provider.config import errors
    from featurebase_provider.config.errors import Problem
    from featurebase_provider.config.settings import WebhookSettings
    from featurebase_provider.stores.base import StoreConfig
else:  # a file without errors does not need it
    errors = LateModule("featurebase_provider.config.errors")


def pair_settings_problems(s: WebhookSettings) -> Iterator[Problem]:
    """What ``strategy: overlap`` requires and excludes among the settings."""
    if s.probe is None:
        message = (
            "is required with strategy: overlap: it shows that the receiver accepts both secrets before the traffic "
            "moves; add probe: true"
        )
        yield errors.Problem(("probe", "strategy"), message)
    elif s.probe.successes < PAIR_EVENTS:
        message = f"must be at least {PAIR_EVENTS} with strategy: overlap, which is its default then"
        yield errors.Problem(("probe", "strategy"), message, ("probe", "successes"))
    if s.reactivate:
        message = "does not go with strategy: overlap, which never sets a webhook active that Featurebase has paused"
        yield errors.Problem(("reactivate", "strategy"), message)
    if s.allow_inactive:
        message = "does not go with strategy: overlap, where one webhook of the pair is active and the other is paused"
        yield errors.Problem(("allow_inactive", "strategy"), message)


def pair_store_problems(stores: Mapping[int, StoreConfig]) -> Iterator[Problem]:
    """Stores that can't hold the secrets of both webhooks; ``stores`` by their number in the list."""
    for index, store in stores.items():
        if (lack := _lack(store)) is not None:
            yield errors.Problem(("stores", "strategy"), lack, ("stores", index))


def _lack(store: StoreConfig) -> str | None:
    """Why a store can't hold the secrets of a pair, and what to do; None if it can."""
    if not store.readable:
        return (
            f"can't be read back ({store.full_name}), but strategy: overlap compares what each store holds. Use "
            "another store type; one of type http can be read back if read is described"
        )
    if not store.keeps_previous:
        how = store.how_to_keep_previous
        advice = f"Set {how}" if how else f"The type {store.type} can't; use another store type"
        return f"keeps one secret ({store.full_name}), but strategy: overlap needs the secrets of both. {advice}"
    return None
