"""Refreshes the paused half of a pair, and writes its new secret beside the live half's to all stores."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import PAUSED
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import RefreshRefused, SecretMissing, StaleRead
from featurebase_provider.rotation.moves import Move
from featurebase_provider.rotation.pair import why_not_drained
from featurebase_provider.rotation.rotate import Guard, RotationOutcome, leaked_by_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from featurebase_provider.rotation.all_stores import ArmedStores
    from featurebase_provider.rotation.moves import Moves
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.pair_reading import PairSource
    from featurebase_provider.rotation.refresh import CompareAndSwap
    from featurebase_provider.rotation.store import Store

GRACES_BEFORE_ACTIVE = 5
"""How many times ``refresh_grace`` must pass after an ambiguous refresh before the half may be set active."""


def rotate_pair(
    swap: CompareAndSwap,
    stores: Sequence[Store],
    rule: WriteRule,
    source: PairSource,
    *,
    server_now: Callable[[], datetime],
    leaked: Callable[[], frozenset[str]] = frozenset,
    may_post: Callable[[], None] = lambda: None,
) -> RotationOutcome:
    """Prepare all stores, refresh the paused half with compare and swap, and write both halves' secrets to all stores.

    Nobody depends on the paused half, so no delivery is refused meanwhile. A run that refreshes nothing only writes.

    :param source: says what stores must hold; its plan is the swap's.
    :param leaked: returns the fingerprints recorded as leaked by now, or raises MemoryUnknown.
    :param may_post: called last before the refresh is sent; raises RefreshRefused to prevent it.
    :raises StoresNotReady: a store is not ready; nothing was refreshed.
    :raises RefreshRefused: a store holds a value of unknown origin, or its ``current`` is not the live half's secret;
        nothing was refreshed.
    :raises RotationError: see :meth:`CompareAndSwap.run`.
    :raises ApiError: Featurebase refused, or could not be read.
    """
    plan = swap.plan
    rule = rule.knowing(known={*plan.known, plan.before}, leaked=plan.leaked)
    with arming(stores) as ready:
        guard = Guard(ready, plan, rule, leaked, require_all=True)

        def last_look() -> None:
            pair = source.reader.read()
            guard.rule = guard.rule.knowing(known=source.seen)
            guard.check()
            check_live_first(ready, pair, plan.webhook_id)
            check_still_standby(pair, source, server_now())
            may_post()

        refreshed = swap.run(last_look)
        refreshed_at = server_now() if refreshed.posted_at is not None else None
        rule = guard.rule.knowing(leaked=leaked_by_now(leaked, swap.say))
        about, wanted = source.read()
        outcomes = distribute(ready, wanted, rule.knowing(known=source.seen), since=None, clock=swap.clock)
        notes: tuple[str, ...] = ()
        try:
            about, again = source.read()
            if again != wanted:
                ready = ready.reread()
                about, wanted = source.read()
                outcomes = distribute(ready, wanted, rule.knowing(known=source.seen), since=None, clock=swap.clock)
                notes = ("a webhook of the pair was changed while the stores were written; they were written again",)
        except (ApiError, SecretMissing, StaleRead) as exc:
            notes = (f"after the writes Featurebase could not be read again: {exc}",)
    beside = [half.secret.fingerprint for half in wanted.needed if half.secret != about.secret]
    return RotationOutcome(
        plan=plan,
        how=refreshed.how,
        after=secret_of(about).fingerprint,
        updated_at=about.updated_at.isoformat() if about.updated_at is not None else None,
        refreshed_at=refreshed_at.isoformat() if refreshed_at else None,
        distributed_at=server_now().isoformat(),
        stores=outcomes,
        notes=(*refreshed.notes, *notes),
        beside=beside[0] if beside else None,
        seen=tuple(sorted((swap.order.seen | source.seen) - set(plan.older))),
        waits_until=_waits_until(swap, refreshed.how, server_now()),
    )


def check_live_first(ready: ArmedStores, pair: Pair, webhook_id: str) -> None:
    """Check that every store holds the live half's secret as ``current``, which nothing may change before the cut-over.

    :param webhook_id: the half that the run is about, for the message.
    :raises RefreshRefused: a store holds another one; nothing was refreshed.
    """
    live = pair.live
    if live is None:
        raise RefreshRefused(
            webhook_id,
            "not exactly one webhook of the pair is active any more; nothing was refreshed. Trigger a new run",
        )
    others = [
        f"{ready.armed[label].name} holds {held.shown}"
        for label, held in ready.held.items()
        if held.current is None or held.current.trimmed != live.secret
    ]
    if others:
        raise RefreshRefused(
            webhook_id,
            f"the current value of a store is not the secret of the live webhook {live.id} ({live.fingerprint}): "
            f"{'; '.join(others)}. Nothing was refreshed. Trigger the Dag with mode=distribute first",
        )


def check_still_standby(pair: Pair, source: PairSource, now: datetime) -> None:
    """Check that nobody depends on the half that is about to be refreshed, whatever happened since the plan.

    :param now: server time.
    :raises RefreshRefused: it is not paused, was refreshed, or delivered something lately; nothing was refreshed.
    """
    plan = source.plan
    half = pair.get(plan.webhook_id)
    if half is None or half.status != PAUSED or half.fingerprint != plan.before:
        state = "no longer exists" if half is None else f"is {half.status!r} now, with the secret {half.fingerprint}"
        raise RefreshRefused(
            plan.webhook_id, f"it {state}: it was changed in this moment, so it was not refreshed. Trigger a new run"
        )
    early = why_not_drained(pair, source.moves, previous_for=source.previous_for, now=now)
    if early is not None:
        raise RefreshRefused(plan.webhook_id, f"{early}. It was set active after the plan was made. Trigger a new run")


def drained_by(outcome: RotationOutcome, moves: Moves) -> Move | None:
    """The step to record if this run left the live half's secret alone in all stores, for the first time or anew."""
    plan = outcome.plan
    stores_hold = all(store.holds_secret for store in outcome.stores.values())
    if plan.mode != "distribute" or not stores_hold or outcome.beside is not None:
        return None
    has_written = any(store.result == "written" for store in outcome.stores.values())
    if moves.drained_to(plan.webhook_id) is not None and not has_written:
        return None
    return Move.of(plan, plan.webhook_id, str(outcome.distributed_at))


def _waits_until(swap: CompareAndSwap, how: str, now: datetime) -> str | None:
    """Until when a refresh that failed ambiguously may still take effect, in this try or an earlier one."""
    if not swap.plan.refreshes or (how == "answered" and not swap.later_attempt):
        return None
    return (now + timedelta(seconds=GRACES_BEFORE_ACTIVE * swap.grace)).isoformat()
