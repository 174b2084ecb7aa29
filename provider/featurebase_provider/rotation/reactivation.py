"""Whether an inactive webhook is the rotation's to set active again, or somebody else's."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.models import PAUSED, SUSPENDED
from featurebase_provider.rotation.health import FAILURES_THAT_DECIDE, failed, result_between

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import LastStatus, Webhook
    from featurebase_provider.rotation.rotate import RotationOutcome

SAME_MOMENT = timedelta(seconds=2)
"""How far apart two times of one event may be: whole seconds, and an estimate of Featurebase's clock."""
PAUSE_FOLLOWS = timedelta(seconds=5)
"""How much later than the delivery that fails Featurebase changes the webhook's status."""


def why_not_ours(
    webhook: Webhook,
    rotated: RotationOutcome | None,
    *,
    probe_passed: bool,
    exposure_ms: float | None,
    now: datetime,
) -> str | None:
    """Why setting the webhook active is not this rotation's business, or None.

    Featurebase suspends and pauses webhooks for failures, and a person pauses them, which must stay so. That it was
    Featurebase is taken for shown where failures of this rotation's own making came last, and nobody has changed the
    webhook after the refresh (a person's pause changes ``updatedAt``), or somebody did in the seconds after the last
    failure. A person who pauses in these very seconds can't be told from Featurebase.

    :param exposure_ms: milliseconds from the refresh to the receiver's first acceptance, None where unknown.
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
        return "what that status means is not known"
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
        return "deliveries failed when the receiver had the new secret, so something else is wrong with it"
    return None
