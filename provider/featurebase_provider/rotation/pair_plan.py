"""Makes the plan of a pair's run from what Featurebase shows and what earlier runs recorded. No Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.featurebase.models import PAUSED
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.errors import PlanRefused
from featurebase_provider.rotation.pair import check_in_time, roles
from featurebase_provider.rotation.plan import HalfBaseline, PairBaseline, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from featurebase_provider.rotation.found import FoundStore
    from featurebase_provider.rotation.modes import Mode
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.pair_records import PairRecords
    from featurebase_provider.rotation.plan import RotationPlan, ThisRun

MOVING: tuple[Mode, ...] = ("rotate", "revert")
"""The modes that move the deliveries; their plans are kept."""


def plan_pair(
    pair: Pair,
    run: ThisRun,
    records: PairRecords,
    *,
    plan_key: str,
    host: str,
    mode: Mode,
    now: datetime,
    previous_for: timedelta,
    reason: str = "",
) -> RotationPlan:
    """Make the plan of a new run.

    :param plan_key: the key under which the pair's newest plan is kept.
    :param now: server time.
    :param previous_for: how long stores keep the secret of the half that is not live.
    :raises PlanRefused: the pair's state does not allow the mode; nothing was changed.
    :raises SecretMissing: a response contains no secret.
    :raises MemoryUnknown: the newest plan can't be read.
    """
    came_from = _came_from(records.memory.plan(plan_key))
    chosen = roles(pair, mode, moves=records.moves, leaked=records.leaked, came_from=came_from)
    check_in_time(pair, mode, chosen, moves=records.moves, previous_for=previous_for, now=now)
    about = pair.get(chosen.moves_to)
    if about is None:
        raise PlanRefused(pair.name, f"webhook {chosen.moves_to} no longer exists; nothing was changed")
    own = records.histories[about.id.lower()]
    return make_plan(
        about,
        run,
        host=host,
        mode=mode,
        planned_at=now.isoformat(),
        reason=reason,
        known=records.known,
        leaked=records.leaked,
        older=own.older_than(secret_of(about).fingerprint),
        pair=PairBaseline(
            {half_id: HalfBaseline.of(webhook) for half_id, webhook in pair.shown.items()},
            chosen.was_live,
            chosen.refreshes if mode == "rotate" else None,
        ),
    )


def _came_from(newest: RotationPlan | None) -> str | None:
    """The half that delivered before the newest plan.

    None if that run was to go back itself and failed before it did: going back from it would undo nothing, while who
    asks once more still wants to get to the other half.
    """
    if newest is None or newest.pair is None:
        return None
    was_live = newest.pair.was_live
    goes_back = newest.mode == "revert" and was_live != newest.webhook_id.lower()
    return None if goes_back else was_live


def is_untouched(plan: RotationPlan, pair: Pair) -> bool:
    """Whether the run has neither refreshed the half nor moved the deliveries yet."""
    about = pair.get(plan.webhook_id)
    if about is None or plan.mode == "distribute":
        return True
    moved = plan.mode in MOVING and plan.pair is not None and plan.pair.webhooks[about.id.lower()].status == PAUSED
    return about.fingerprint == plan.before and not (moved and about.status != PAUSED)


def check_live_first(webhook_id: str, live: str | None, stores: Iterable[FoundStore]) -> None:
    """Check that each store's ``current`` is the live half's secret: nothing may change it before the cut-over.

    :param webhook_id: the half that the plan is about, for the message.
    :param live: fingerprint of the live half's secret.
    :raises PlanRefused: a store holds another one, or none.
    """
    others = [
        f"{store.label} ({store.target}) holds {store.fingerprint or 'none'}"
        for store in stores
        if store.fingerprint != live
    ]
    if others:
        raise PlanRefused(
            webhook_id,
            f"the current value of a store is not the live webhook's secret ({live}): {'; '.join(others)}. "
            "Nothing was changed. Trigger the Dag with mode=distribute first: it updates the stores, and lets them "
            "forget the secret of a webhook that was paused long ago",
        )
