"""Makes sure that one store, or all stores of a webhook, hold Featurebase's current secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.rotation.all_stores import StoreOutcome, arming
from featurebase_provider.rotation.clock import SYSTEM_CLOCK, Clock, Moment
from featurebase_provider.rotation.current import ReadsWebhooks, SecretOrder, read_current, secret_of
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import NotConverged, StoreConflict
from featurebase_provider.rotation.one_write import write_wanted
from featurebase_provider.rotation.store import tell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.one_store import Desired, WriteRule
    from featurebase_provider.rotation.store import ArmedStore, Store

ROUNDS = 5
PATIENCE = 120.0
"""Seconds that a push waits for what belongs to a write; then its task is run again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """Featurebase and the store agree on this secret.

    :param webhook: the webhook from the last read.
    :param changed: whether the store was written.
    :param readable: whether the store can be read back; if not, all that is known is that it accepted the secret.
    :param written_at: when the store's readers got the value; None if nothing was written.
    :param write_ms: milliseconds that the write took until readers got the value; None if nothing was written.
    """

    webhook: Webhook
    changed: bool
    readable: bool
    written_at: Moment | None = None
    write_ms: float | None = None


class Source(Protocol):
    """Says what stores must hold, each time by what Featurebase shows then."""

    def read(self) -> tuple[Webhook, SigningSecret | Desired]:
        """Read Featurebase.

        :returns: the webhook that the run is about, and what to hold.
        :raises StaleRead: Featurebase shows only replaced secrets.
        :raises ApiError: Featurebase could not be read.
        """

    @property
    def seen(self) -> frozenset[str]:
        """Fingerprints of all secrets that were seen; a store may hold any of them."""


@dataclass(frozen=True)
class OneWebhook:
    """The secret of a single webhook.

    :param order: what is known about the webhook's secrets; a stale read is repeated, never written.
    """

    api: ReadsWebhooks
    webhook_id: str
    order: SecretOrder
    clock: Clock = SYSTEM_CLOCK

    def read(self) -> tuple[Webhook, SigningSecret]:
        """See :class:`Source`."""
        webhook = read_current(self.api, self.webhook_id, self.order, clock=self.clock)
        return webhook, secret_of(webhook)

    @property
    def seen(self) -> frozenset[str]:
        """See :class:`Source`."""
        return self.order.seen


def push_until_agreed(source: Source, armed: ArmedStore, rule: WriteRule) -> Pushed:
    """Read the store and Featurebase, write the store if they differ, and read Featurebase again, until both agree.

    :raises NotConverged: Featurebase's secret changed during each of the writes.
    :raises StoreError: the store refused, did not answer, or was changed by somebody else.
    :raises ApiError: Featurebase could not be read.
    """
    tell(armed, patience=PATIENCE)
    changed = False
    took: float | None = None
    written_at: Moment | None = None
    conflict: StoreConflict | None = None
    for _ in range(ROUNDS):
        # The store first: a conditional write of what Featurebase shows after that can't undo a newer one.
        held = armed.read()
        webhook, wanted = source.read()
        began = SYSTEM_CLOCK.monotonic()
        try:
            written = write_wanted(armed, wanted, rule.knowing(known=source.seen), held=held)
            if written is not None:
                if written.is_new:
                    changed, took, written_at = True, (SYSTEM_CLOCK.monotonic() - began) * 1000, SYSTEM_CLOCK.moment()
                written.confirm()
        except StoreConflict as exc:
            conflict = exc
            continue
        conflict = None
        webhook, again = source.read()
        if again == wanted:
            return Pushed(webhook, changed, held.readable, written_at, took)
    if conflict is not None:
        raise conflict
    raise NotConverged(
        rule.webhook_id,
        f"its secret changed during each of {ROUNDS} writes to {armed.name}, which holds an older one now. "
        "Somebody keeps rotating it; stop that, then clear this task",
    )


@dataclass(frozen=True, slots=True)
class AllPushed:
    """The webhook, and the outcome for every store.

    :param webhook: the webhook from the last read.
    :param stores: each store's outcome, by label.
    :param foreign: labels of the stores with a value of unknown origin, which was not changed.
    """

    webhook: Webhook
    stores: Mapping[str, StoreOutcome]
    foreign: frozenset[str]

    @property
    def left(self) -> tuple[StoreOutcome, ...]:
        """The stores that do not hold the secret."""
        return tuple(store for store in self.stores.values() if not store.holds_secret)


def push_all_until_agreed(source: Source, stores: Sequence[Store], rule: WriteRule) -> AllPushed:
    """Read Featurebase, update all stores in parallel, and read Featurebase again, until its secret has not changed.

    A store that fails is in the result with its problem; it does not affect the others.

    :raises NotConverged: Featurebase's secret changed during each round of writes.
    :raises StaleRead: Featurebase shows only replaced secrets.
    :raises ApiError: Featurebase could not be read.
    """
    with arming(stores) as ready:
        for label, armed in ready.armed.items():
            tell(armed, patience=ready.stores[label].timeout / 2)
        for _ in range(ROUNDS):
            webhook, wanted = source.read()
            terms = rule.knowing(known=source.seen)
            outcomes = distribute(ready, wanted, terms, since=None)
            webhook, again = source.read()
            if again == wanted:
                return AllPushed(webhook, outcomes, frozenset(ready.foreign(terms, current=wanted.fingerprint)))
            ready = ready.reread()
    raise NotConverged(
        rule.webhook_id,
        f"its secret changed during each of {ROUNDS} rounds of writes, so the stores may hold an older one. "
        "Somebody keeps rotating it; stop that, then clear this task",
    )
