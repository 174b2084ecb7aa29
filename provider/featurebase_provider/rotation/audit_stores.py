"""What the stores of many webhooks hold, read some webhooks at a time and never written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.rotation.check import holding_of
from featurebase_provider.rotation.convergence import WriteRule, check_ours
from featurebase_provider.rotation.distribution import arming, rule_for
from featurebase_provider.rotation.errors import StoreForeignValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.check import Holding
    from featurebase_provider.rotation.store import Store, StoredValue

AT_ONCE = 30
"""Stores that are read at once: a dead one then delays the audit of many webhooks only once."""


@dataclass(frozen=True, slots=True)
class HeldByStore:
    """What one store holds; no secret.

    :param holding: as in :class:`~featurebase_provider.rotation.check.StoreCheck`.
    :param fingerprint: of its value, where there is one to be seen.
    :param previous: fingerprint of the previous secret beside it, where it holds one.
    :param problem: why it could not be read, or whose value it may hold.
    :param may_be_made: as in :class:`~featurebase_provider.rotation.store.StoredValue`.
    """

    label: str
    target: str
    holding: Holding
    fingerprint: str | None = None
    previous: str | None = None
    problem: str | None = None
    may_be_made: bool = True


@dataclass(frozen=True, slots=True)
class StoresToRead:
    """The stores of one webhook.

    :param webhook: the webhook's name in the rotation file.
    :param webhook_id: 24 hex digits; empty where it is not known.
    :param current: fingerprint of Featurebase's current secret; None where that is not known.
    :param known: fingerprints that earlier reports say are ours.
    :param leaked: fingerprints of this webhook's secrets that were reported leaked.
    """

    webhook: str
    stores: Sequence[Store]
    webhook_id: str
    current: str | None
    known: frozenset[str]
    leaked: frozenset[str]


def in_batches(wanted: Iterable[StoresToRead], at_once: int = AT_ONCE) -> list[list[StoresToRead]]:
    """Cut into lists of about ``at_once`` stores each, whole webhooks together."""
    batches: list[list[StoresToRead]] = []
    for one in wanted:
        if not batches or sum(len(other.stores) for other in (*batches[-1], one)) > at_once:
            batches.append([])
        batches[-1].append(one)
    return batches


def read_stores(batch: Sequence[StoresToRead]) -> dict[str, tuple[HeldByStore, ...]]:
    """Arm and read all stores of these webhooks at once; a failing store costs no other.

    :returns: what each store holds, by the webhook's name and in the order given.
    """
    keys = {(one.webhook, store.label): f"{one.webhook}/{store.label}" for one in batch for store in one.stores}
    with arming({keys[one.webhook, store.label]: store for one in batch for store in one.stores}) as ready:
        return {
            one.webhook: tuple(
                _held(one, store, keys[one.webhook, store.label], ready.held, ready.problems) for store in one.stores
            )
            for one in batch
        }


def _held(
    wanted: StoresToRead,
    store: Store,
    key: str,
    held: Mapping[str, StoredValue],
    problems: Mapping[str, FeaturebaseError],
) -> HeldByStore:
    value, problem = held.get(key), problems.get(key)
    if value is not None and wanted.current is not None:
        problem = _foreign(wanted, store, value, wanted.current)
    return HeldByStore(
        label=store.label,
        target=store.target,
        holding=holding_of(value, wanted.current, problem),
        fingerprint=_fingerprint(value.current if value is not None else None, wanted.leaked),
        previous=_fingerprint(value.previous if value is not None else None, wanted.leaked),
        problem=str(problem) if problem is not None else None,
        may_be_made=value is None or value.may_be_made,
    )


def _fingerprint(secret: SigningSecret | None, leaked: frozenset[str]) -> str | None:
    """A secret's fingerprint; white space around a leaked one hides nothing."""
    if secret is None:
        return None
    exact = secret.trimmed.fingerprint
    return exact if exact in leaked else secret.fingerprint


def _foreign(wanted: StoresToRead, store: Store, value: StoredValue, current: str) -> StoreForeignValue | None:
    """Why a rotation may not replace the value, or None."""
    rule = rule_for(store, WriteRule(wanted.webhook_id, "", known=wanted.known, leaked=wanted.leaked))
    try:
        check_ours(f"{store.label} ({store.target})", value, rule, current=current)
    except StoreForeignValue as exc:
        return exc
    return None
