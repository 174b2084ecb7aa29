"""What runs and audits report to Airflow's stats beside each task's count. ``docs/metrics.md`` lists every figure.

StatsD drops tags by default, so what a figure is of (an outcome, a store type, a webhook) is in its name too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from featurebase_provider.airflow_compat import count, gauge, time_milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.audit.report import AuditReport
    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.report import RotationReport
    from featurebase_provider.rotation.store import Store

OTHER = "other"
"""Stands for the type of a store that has none: one that was not made from the rotation file."""


def tell_of_stores(
    webhook: str, stores: Iterable[Store], outcomes: Iterable[StoreOutcome], *, of_pair: bool = False
) -> None:
    """How long each store's write took, and how long after the refresh it was readable and confirmed.

    :param webhook: the webhook's name in the rotation file, or its id.
    :param outcomes: the outcomes of the stores that this task wrote.
    :param of_pair: whether the secret is a paused webhook's. It signs nothing yet, so nothing is exposed.
    """
    types = {store.label: str(getattr(store, "type", OTHER)) for store in stores}
    for outcome in outcomes:
        kind = types.get(outcome.label, OTHER)
        tags = {"webhook": webhook, "store": outcome.label, "type": kind}
        if outcome.write_ms is not None:
            time_milliseconds(f"featurebase.store_write.{_part(kind)}", outcome.write_ms, tags)
        if outcome.readable_ms is not None and not of_pair:
            time_milliseconds(f"featurebase.exposure.readable.{_part(kind)}", outcome.readable_ms, tags)
        if outcome.confirmed_ms is not None and not of_pair:
            time_milliseconds(f"featurebase.exposure.confirmed.{_part(kind)}", outcome.confirmed_ms, tags)


def tell_of_run(report: RotationReport) -> None:
    """How the run ended, and how many refused deliveries it saw."""
    tags = {"webhook": report.webhook, "outcome": report.outcome, "mode": report.mode or "unknown"}
    count(f"featurebase.rotation.{report.outcome}", tags)
    if report.refusals_seen:
        count("featurebase.refusals_seen", {"webhook": report.webhook}, by=report.refusals_seen)


def tell_of_audit(report: AuditReport) -> None:
    """The findings by kind, and for each webhook the age of its secret and how many of its stores differ."""
    for finding in report.open:
        count("featurebase.audit.finding", {"webhook": finding.webhook or "", "kind": finding.kind})
    for webhook in report.webhooks:
        name, tags = _part(webhook.name), {"webhook": webhook.name}
        age, left = webhook.aged.days, webhook.aged.days_left
        if age is not None:
            gauge(f"featurebase.secret_age_days.{name}", age, tags)
        if left is not None:
            gauge(f"featurebase.days_to_max_age.{name}", left, tags)
        if webhook.stores:
            drifted = sum(store.has_drifted for store in webhook.stores)
            gauge(f"featurebase.drifted_stores.{name}", drifted, tags)


def _part(text: str) -> str:
    """Text as one part of a figure's name: a dot would begin the next part."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:100]
