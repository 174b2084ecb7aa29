"""Make sure that one store holds what Featurebase holds now."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.rotation.convergence import WriteRule, converge
from featurebase_provider.rotation.errors import NotConverged, StoreConflict
from featurebase_provider.rotation.lineage import Lineage, ReadsWebhooks, read_current, secret_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.store import ArmedStore

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Pushed:
    """Featurebase and the store agree on this secret.

    :param webhook: the webhook as read last.
    :param changed: whether the store was written.
    :param readable: whether the store shows what it holds; if not, it accepted the secret, and no more is known.
    """

    webhook: Webhook
    changed: bool
    readable: bool


def push_until_agreed(
    api: ReadsWebhooks,
    webhook_id: str,
    armed: ArmedStore,
    lineage: Lineage,
    rule: WriteRule,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Pushed:
    """Read the store and Featurebase, bring the store there, read Featurebase again; until both agree.

    :param lineage: what is known of the webhook's secrets; a stale read is read again, never written.
    :raises NotConverged: Featurebase's secret was another one after each of the writes.
    :raises StoreError: the store refused, did not answer, or was changed by somebody else.
    :raises ApiError: Featurebase could not be read.
    """
    changed = False
    conflict: StoreConflict | None = None
    for _ in range(ROUNDS):
        # The store first: a conditional write of what Featurebase shows after that can't undo a newer one.
        held = armed.read()
        webhook = read_current(api, webhook_id, lineage, sleep=sleep, monotonic=monotonic)
        try:
            changed |= converge(armed, secret_of(webhook), rule.knowing(known=lineage.seen), held=held)
        except StoreConflict as exc:
            conflict = exc
            continue
        conflict = None
        again = read_current(api, webhook_id, lineage, sleep=sleep, monotonic=monotonic)
        if again.fingerprint == webhook.fingerprint:
            return Pushed(again, changed, held.readable)
    if conflict is not None:
        raise conflict
    raise NotConverged(
        webhook_id,
        f"its secret changed during each of {ROUNDS} writes to {armed.name}, which holds one of the older ones now. "
        "Somebody is rotating it over and over; stop that, then clear this task",
    )
