"""Replaces the leaked secrets of both halves of a pair, in one process. No Airflow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.models import ACTIVE
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.pair import Pair
from featurebase_provider.rotation.rotate import Guard, RotationOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.current import ReadsWebhooks
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.pair_reading import PairSource
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.refresh import CompareAndSwap, Refreshed
    from featurebase_provider.rotation.store import Store


@dataclass(frozen=True)
class BothReplaced:
    """What became of both halves.

    :param outcomes: by webhook id, for each half whose leaked secret was replaced.
    :param problems: by webhook id, why a half's secret was not replaced.
    :param stores: each store's outcome, by label.
    """

    outcomes: dict[str, RotationOutcome]
    problems: dict[str, FeaturebaseError]
    stores: dict[str, StoreOutcome]


def replace_both(
    swaps: Iterable[CompareAndSwap],
    stores: Sequence[Store],
    rule: WriteRule,
    source: PairSource,
    *,
    server_now: Callable[[], datetime],
    may_post: Callable[[RotationPlan], None],
) -> BothReplaced:
    """Refresh one half after the other, once each, and write the stores after each of them.

    A half that can't be refreshed does not hold up the other one, and a store that is not ready holds up neither.

    :param swaps: one for each half, the live one first.
    :param source: says what stores must hold.
    :param may_post: called with the half's plan just before its refresh is sent.
    """
    outcomes: dict[str, RotationOutcome] = {}
    problems: dict[str, FeaturebaseError] = {}
    written: dict[str, StoreOutcome] = {}
    with arming(stores) as ready:
        seen: dict[str, Webhook] = {}
        for swap in swaps:
            # One that failed is not waited for again: that its place has changed shows when it is written.
            ready = ready.reread(label for label, one in written.items() if one.holds_secret)
            seen.update({half.id.lower(): half for half in _shown(swap.api, source.reader.ids, without=seen)})
            guard = Guard(ready, swap.plan, rule, require_all=False)
            try:
                refreshed = swap.run(partial(_last_look, guard, partial(may_post, swap.plan)))
            except FeaturebaseError as exc:
                problems[swap.plan.webhook_id] = exc
                continue
            seen[refreshed.webhook.id.lower()] = refreshed.webhook
            written = _written(swap, refreshed, guard, seen.values(), source, written)
            outcomes[swap.plan.webhook_id] = _outcome(swap, refreshed, server_now())
    return BothReplaced({half: replace(one, stores=written) for half, one in outcomes.items()}, problems, written)


def _last_look(guard: Guard, may_post: Callable[[], None]) -> None:
    """Just before a refresh is sent: nothing here prevents it."""
    guard.check()
    may_post()
    guard.look_again()


def _shown(api: ReadsWebhooks, ids: Iterable[str], *, without: Iterable[str]) -> list[Webhook]:
    """The halves as Featurebase shows them; one that can't be read is left to the push task."""
    found = []
    for webhook_id in set(ids) - set(without):
        try:
            found.append(api.get_webhook(webhook_id))
        except FeaturebaseError:
            continue
    return found


def _written(
    swap: CompareAndSwap,
    refreshed: Refreshed,
    guard: Guard,
    halves: Iterable[Webhook],
    source: PairSource,
    before: dict[str, StoreOutcome],
) -> dict[str, StoreOutcome]:
    """Write the stores by what is known of both halves; a store that held it all keeps its earlier outcome."""
    pair = Pair.of(source.reader.ids, halves)
    _, wanted = source.wanted(pair)
    known = {fingerprint for fingerprint in pair.fingerprints().values() if fingerprint is not None}
    # Exposure counts for a half that delivers: nobody misses the secret of a paused one.
    since = refreshed.posted_at if refreshed.webhook.status == ACTIVE else None
    looks = guard.looks if refreshed.how == "answered" else None
    rule = guard.rule.knowing(known=known)
    outcomes = distribute(guard.ready, wanted, rule, since=since, clock=swap.clock, looks=looks)
    return {label: before.get(label, one) if one.result == "unchanged" else one for label, one in outcomes.items()}


def _outcome(swap: CompareAndSwap, refreshed: Refreshed, now: datetime) -> RotationOutcome:
    webhook, posted = refreshed.webhook, refreshed.posted_at
    return RotationOutcome(
        plan=swap.plan,
        how=refreshed.how,
        after=secret_of(webhook).fingerprint,
        updated_at=webhook.updated_at.isoformat() if webhook.updated_at is not None else None,
        refreshed_at=now.isoformat() if posted is not None else None,
        posted=swap.clock.moment_at(posted) if posted is not None else None,
        distributed_at=now.isoformat(),
        notes=refreshed.notes,
        seen=tuple(sorted(swap.order.seen - set(swap.plan.older))),
    )
