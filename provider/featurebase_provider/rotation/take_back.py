"""Removes the secret of a half that never became live from the stores, if a run ends before its deliveries moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.models import PAUSED
from featurebase_provider.rotation.pair import never_became_live
from featurebase_provider.rotation.push import push_all_until_agreed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from featurebase_provider.rotation.current import ReadsWebhooks
    from featurebase_provider.rotation.pair_records import PairRecords
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store

AGAIN = "To go on after that, clear rotate and all tasks after it, or trigger a new run"


def take_back(
    api: ReadsWebhooks,
    plan: RotationPlan,
    records: PairRecords,
    stores: Sequence[Store],
    previous_for: timedelta,
    *,
    now: Callable[[], datetime],
    say: Callable[[str], None],
) -> str:
    """Bring the stores back to the live half's secret alone, if this run refreshed the other half but moved nothing.

    A secret that stays in a store is harmless: nothing signs with it. So a failure is told, not raised.

    :param previous_for: how long stores keep the secret of the half that is not live.
    :param now: returns the server's time.
    :param say: logs a message.
    :returns: a sentence on what was done, for the message and the report.
    """
    if plan.pair is None or plan.pair.refreshes is None:
        return "The stores keep both secrets, which both are valid"
    if records.moves.activated_by(plan) is not None:
        return "The stores keep both secrets, since this run had begun to move the deliveries"
    try:
        source = records.source(api, plan, previous_for, now=now, take_back=True)
        pair = source.reader.read()
        standby = pair.get(plan.webhook_id)
        if pair.live is None or standby is None or standby.status != PAUSED:
            return "The stores keep both secrets, since the webhook that was refreshed is not paused any more"
        if not never_became_live(pair, records.moves, previous_for=previous_for, now=now()):
            return "The stores keep both secrets, since the webhook that was refreshed has delivered something lately"
        if standby.fingerprint == plan.before:
            return "The paused webhook's secret is the same as before, so the stores were left as they are"
        pushed = push_all_until_agreed(source, stores, records.rule(plan))
    except FeaturebaseError as exc:
        say(f"The new secret could not be removed from the stores: {exc}")
        return f"The new secret of the paused webhook may still be in the stores, which is harmless. {AGAIN}"
    left = ", ".join(store.label for store in pushed.left)
    if left:
        return f"The new secret of the paused webhook may still be in {left}, which is harmless. {AGAIN}"
    return f"The stores hold the live webhook's secret alone again. {AGAIN}"
