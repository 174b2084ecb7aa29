"""Checks one configured webhook and its stores as preflight does, and lists the findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.cli.checked_pair import CheckedPair
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.check import PADDED, check_stores
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.errors import MemorySpoilt
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.one_store import WriteRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.config.models import WebhookConfig
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.check import StoreCheck
    from featurebase_provider.rotation.pair import Pair

_PUSH = "Trigger the webhook's Dag with mode=distribute, which writes the current secret without refreshing"


@dataclass(frozen=True, slots=True)
class WebhookCheck:
    """One webhook of the rotation file and its stores; holds no secret.

    :param name: the webhook's name in the rotation file.
    :param webhook_id: its id; None if it is configured by name and Featurebase could not be asked.
    :param fingerprint: fingerprint of Featurebase's current secret, or None if unknown.
    :param problem: why the secret, or the records of earlier runs, could not be read.
    :param stores: a row per store.
    :param pair: both webhooks of a pair; None for a single webhook.
    """

    name: str
    webhook_id: str | None
    fingerprint: str | None
    problem: str | None
    stores: tuple[StoreCheck, ...]
    pair: CheckedPair | None = None

    @property
    def findings(self) -> tuple[str, ...]:
        """What needs attention, one or more sentences each."""
        own = [] if self.problem is None else [self.problem]
        halves = self.pair.problems if self.pair is not None else ()
        return (*own, *halves, *(found for store in self.stores if (found := self.finding(store)) is not None))

    def finding(self, store: StoreCheck) -> str | None:
        """What needs attention at one of its stores, or None."""
        if self.pair is not None and store.problem is None and store.holding == "differs":
            return f"store {store.name}: {self.pair.difference(store)}. {_PUSH}"
        return finding(store)


def finding(store: StoreCheck) -> str | None:
    """What needs attention at a store of a single webhook, or None."""
    if store.problem is not None:
        return str(store.problem)
    if store.holding == "absent":
        return f"store {store.name}: it holds no secret yet. {_PUSH}"
    if store.holding == "differs":
        return (
            f"store {store.name}: it holds another secret ({store.fingerprint}) than Featurebase, so receivers that "
            f"read it reject deliveries. {_PUSH}"
        )
    if store.holding == "padded":
        return f"store {store.name}: {PADDED}. {_PUSH}"
    if store.holding == "unfinished":
        return f"store {store.name}: it holds the secret, but a step after the write is not done. {_PUSH}"
    return None


def check_webhook(
    config: WebhookConfig,
    read: Callable[[WebhookConfig], tuple[Webhook, str]],
    history_of: Callable[[WebhookConfig, str, str], History],
) -> WebhookCheck:
    """Read the webhook and check all its stores; if the webhook can't be read, the stores are not compared.

    :param read: reads the webhook from Featurebase and returns it with the API's base URL; an error is a finding.
    :param history_of: returns what earlier runs recorded about the webhook with this base URL and id; MemorySpoilt is
        a finding.
    """
    try:
        webhook, host = read(config)
        secret = secret_of(webhook)
    except FeaturebaseError as exc:
        stores = check_stores(config.stores, WriteRule(config.webhook_id or "", ""), current=None)
        return WebhookCheck(config.name, config.webhook_id, None, str(exc), stores)
    problem = None
    try:
        history = history_of(config, host, webhook.id)
    except MemorySpoilt as exc:
        history, problem = History(webhook.id), str(exc)
    rule = WriteRule(webhook.id, "", known=frozenset(history.known), leaked=history.leaked)
    checks = check_stores(config.stores, rule, current=secret.fingerprint, secret=secret)
    return WebhookCheck(config.name, webhook.id, secret.fingerprint, problem, checks)


def check_pair(
    config: WebhookConfig,
    read: Callable[[WebhookConfig], tuple[Pair, str]],
    history_of: Callable[[WebhookConfig, str, str], History],
) -> WebhookCheck:
    """Read both webhooks of a pair and check all its stores, as :func:`check_webhook` does.

    :param read: reads both webhooks and returns them with the API's base URL; an error is a finding.
    """
    try:
        pair, host = read(config)
        checked = CheckedPair.of(pair)
        live = pair.live or (pair.active or pair.webhooks)[0] if pair.webhooks else None
        secret = secret_of(live) if live is not None else None
    except FeaturebaseError as exc:
        stores = check_stores(config.stores, WriteRule("", ""), current=None)
        return WebhookCheck(config.name, None, None, str(exc), stores)
    problem = None
    histories = []
    for webhook_id in pair.ids:
        try:
            histories.append(history_of(config, host, webhook_id))
        except MemorySpoilt as exc:
            problem = str(exc)
    known = frozenset(checked.secrets.shown.values()).union(*(history.known for history in histories))
    leaked = frozenset[str]().union(*(history.leaked for history in histories))
    main, current = (live.id if live is not None else None), (secret.fingerprint if secret is not None else None)
    rule = WriteRule(main or "", "", known=known, leaked=leaked, halves=frozenset(pair.ids))
    checks = check_stores(config.stores, rule, current=current, secret=secret, pair=checked.secrets)
    return WebhookCheck(config.name, main, current, problem, checks, checked)
