"""Decides whether an inactive webhook was paused because of this rotation, so that it may be set active again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.models import PAUSED, SUSPENDED
from featurebase_provider.rotation.health import FAILURES_THAT_DECIDE, failed, result_between

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import LastStatus, Webhook
    from featurebase_provider.rotation.rotate import RotationOutcome

SAME_MOMENT = timedelta(seconds=2)
"""How far apart two times of one event may be: both are rounded, and Featurebase's clock is estimated."""
PAUSE_FOLLOWS = timedelta(seconds=5)
"""The longest time between a failed delivery and Featurebase's change of the webhook's status."""


def why_not_ours(
    webhook: Webhook,
    rotated: RotationOutcome | None,
    *,
    probe_passed: bool,
    exposure_ms: float | None,
    now: datetime,
) -> str | None:
    """Why the webhook must not be set active by this rotation, or None if it may be.

    Featurebase suspends or pauses webhooks after failures. A person may pause a webhook too, and that must stay so.
    Featurebase is taken to have done it if the last failures were caused by this rotation and either nobody changed the
    webhook after the refresh (a person's pause changes ``updatedAt``), or it was changed within seconds after the last
    failure. A person who pauses it within those seconds can't be distinguished from Featurebase.

    :param exposure_ms: milliseconds from the refresh to the receiver's first acceptance, None if unknown.
    :param now: server time.
    """
    if rotated is None or rotated.refreshed_at is None:
        return "this Dag run did not refresh its secret"
    if rotated.plan.status != "active":
        return f"it was {rotated.plan.status!r} before the rotation"
    if not probe_passed:
        return "no probe showed that the receiver accepts the secret"
    refreshed_at = datetime.fromisoformat(rotated.refreshed_at)
    last = result_between(webhook, refreshed_at, now)
    if last is None or not failed(last):
        return "no delivery failed since the refresh, so something else made it inactive"
    if webhook.status == SUSPENDED:
        return None
    if webhook.status != PAUSED:
        return "the meaning of that status is unknown"
    return _why_perhaps_a_person(webhook, last, rotated, refreshed_at, exposure_ms)


def _why_perhaps_a_person(
    webhook: Webhook,
    last: LastStatus,
    rotated: RotationOutcome,
    refreshed_at: datetime,
    exposure_ms: float | None,
) -> str | None:
    failures, changed = webhook.health.consecutive_failures, webhook.updated_at
    if failures is None or failures < FAILURES_THAT_DECIDE:
        shown = "unknown" if failures is None else str(failures)
        return f"the number of failures in a row is {shown}, so a person may have paused it"
    if changed is None:
        return "Featurebase does not show when it was changed, so a person may have paused it"
    if rotated.how == "answered" and changed <= refreshed_at + SAME_MOMENT:
        return None
    if not -SAME_MOMENT <= changed - last.timestamp <= PAUSE_FOLLOWS:
        return (
            f"it was changed at {changed.isoformat()}, and Featurebase pauses a webhook right after a failure: a "
            "person may have paused it"
        )
    timeout = timedelta(milliseconds=webhook.request_config.timeout_ms)
    if exposure_ms is None or last.timestamp > refreshed_at + timedelta(milliseconds=exposure_ms) + timeout:
        return "deliveries failed after the receiver had the new secret, so something else is wrong"
    return None
