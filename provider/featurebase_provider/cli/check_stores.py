"""``airflow featurebase check-stores``: runs the preflight tasks' checks of the stores, without a Dag run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import FeaturebaseError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from featurebase_provider.cli.webhook_check import WebhookCheck
    from featurebase_provider.config import RotationConfig, WebhookConfig
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.pair import Pair

FINDINGS = 1
WRONG_USE = 2


class UnknownWebhooks(FeaturebaseError):
    """The rotation file has no webhooks of these names.

    :param unknown: the unknown names.
    :param path: the rotation file.
    :param known: the names in the rotation file.
    """

    retry_helps = False

    def __init__(self, unknown: tuple[str, ...], path: str, known: tuple[str, ...]) -> None:
        super().__init__(unknown, path, known)
        self.unknown, self.path, self.known = unknown, path, known

    def __str__(self) -> str:
        return f"{self.path} has no webhook {', '.join(map(repr, self.unknown))}; it has {', '.join(self.known)}"


def run(arguments: argparse.Namespace) -> None:
    """Check the stores and print the result to standard output.

    :param arguments: ``webhook`` (names, or None for all) and ``output`` (``table`` or ``json``).
    :raises SystemExit: 1 if there are findings; 2 if the rotation file has errors, or no such webhook.
    """
    from featurebase_provider.cli import printing

    with printing.quiet_logs():
        try:
            config = chosen(arguments.webhook)
        except FeaturebaseError as exc:
            sys.stderr.write(f"{exc}\n")
            raise SystemExit(WRONG_USE) from None
        checks, notes = check(config.webhooks)
    show = printing.show_json if arguments.output == "json" else printing.show_table
    show(checks, notes)
    if any(check.findings for check in checks):
        raise SystemExit(FINDINGS)


def chosen(names: Sequence[str] | None) -> RotationConfig:
    """The configured rotation file, with these webhooks only.

    :param names: names of entries; none means all.
    :raises ConfigError: the file is missing or has errors.
    :raises UnknownWebhooks: it has no such entry.
    """
    from featurebase_provider.config import configured_path, load_rotation_config

    config = load_rotation_config(configured_path())
    known = tuple(webhook.name for webhook in config.webhooks)
    unknown = tuple(name for name in names or () if name not in known)
    if unknown:
        raise UnknownWebhooks(unknown, config.path, known)
    webhooks = tuple(webhook for webhook in config.webhooks if not names or webhook.name in names)
    return config.model_copy(update={"webhooks": webhooks})


def check(webhooks: Sequence[WebhookConfig]) -> tuple[list[WebhookCheck], list[str]]:
    """Check every webhook and its stores, one webhook after the other; nothing is changed.

    :returns: a row per webhook, and notes about parts of Airflow that could not be read, and about what will end or
        undo a write.
    """
    from featurebase_provider.cli.read_only_airflow import asset_event_extras, read_only_airflow
    from featurebase_provider.cli.webhook_check import check_pair, check_webhook
    from featurebase_provider.operators.assets import plan_asset, report_asset
    from featurebase_provider.operators.memory import NEWEST_EVENTS, PREFLIGHT, memory_of
    from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.memory import plan_key, recall
    from featurebase_provider.rotation.moves import pair_id

    notes: list[str] = []

    def events(name: str) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        reports, plans = (
            asset_event_extras(asset(name).uri, newest=NEWEST_EVENTS)  # as a run does, which so finds the same
            for asset in (report_asset, plan_asset)
        )
        if reports is None or plans is None:
            notes.append(
                f"earlier reports of {name} can't be read from Airflow's database, so a value that an earlier rotation "
                "wrote may count as foreign here"
            )
        return reports or (), plans or ()

    def history_of(config: WebhookConfig, host: str, webhook_id: str) -> History:
        memory, keys = memory_of(None, host, webhook_id), [plan_key(config.dag_id, PREFLIGHT)]
        pair = memory_of(None, host, pair_id(config.webhook_ids)) if config.webhook_ids else None
        try:
            return recall(memory, plan_keys=keys, plans_in=pair, events=lambda: events(config.name))
        except MemorySpoilt:
            raise
        except MemoryUnknown as exc:
            notes.append(
                f"records of earlier runs of {config.name} can't be read here ({exc.why}), so a value that an earlier "
                "rotation wrote may count as foreign"
            )
            return History(webhook_id)

    with read_only_airflow() as airflow:
        checks = [
            check_webhook(webhook, _read, history_of)
            if webhook.webhook_ids is None
            else check_pair(webhook, _read_pair, history_of)
            for webhook in webhooks
        ]
    notes += [
        f"{backend} could not be asked for connections and Variables ({error}), so some may appear to be missing"
        for backend, error in airflow.unasked.items()
    ]
    notes += [
        f"store {store.name} of {one.name}: {store.writability.warning}"
        for one in checks
        for store in one.stores
        if store.writability is not None and store.writability.warning
    ]
    return checks, notes


def _read(config: WebhookConfig) -> tuple[Webhook, str]:
    """The webhook, and the base URL of its Featurebase."""
    from featurebase_provider.hooks.featurebase import FeaturebaseHook
    from featurebase_provider.rotation.find import find_webhook

    with FeaturebaseHook(config.featurebase_conn_id).get_conn() as client:
        return find_webhook(client, config.webhook_id or "", config.webhook_name), client.settings.base_url


def _read_pair(config: WebhookConfig) -> tuple[Pair, str]:
    """Both webhooks of a pair, without one that no longer exists, and the base URL of their Featurebase."""
    from featurebase_provider.featurebase.errors import WebhookNotFound
    from featurebase_provider.hooks.featurebase import FeaturebaseHook
    from featurebase_provider.rotation.pair import Pair

    found = []
    ids = config.webhook_ids or ()
    with FeaturebaseHook(config.featurebase_conn_id).get_conn() as client:
        for webhook_id in ids:
            try:
                found.append(client.get_webhook(webhook_id))
            except WebhookNotFound:
                continue
        return Pair.of(ids, found), client.settings.base_url
