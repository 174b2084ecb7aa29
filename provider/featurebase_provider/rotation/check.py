"""Checks what stores hold, and whether every store of a webhook can be written, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.trial_secret import trial_like
from featurebase_provider.rotation.all_stores import ArmedStores, arming, job_for, rule_for
from featurebase_provider.rotation.errors import StoreForeignValue
from featurebase_provider.rotation.jobs import run_at_once, sorted_out
from featurebase_provider.rotation.one_store import WriteRule, is_ours, is_padded, why_foreign
from featurebase_provider.rotation.store import StoreMark, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.store import Store, StoredValue, Writability
    from featurebase_provider.rotation.two_secrets import PairFingerprints

    Holding = Literal[
        "matches", "unfinished", "padded", "differs", "foreign", "absent", "not_readable", "not_compared", "unknown"
    ]

PADDED = (
    "it holds Featurebase's secret with white space around it (such as a line break) or a byte order mark before it; "
    "a receiver may reject it"
)
"""Explains ``padded``, for messages."""

DRIFTED = frozenset({"differs", "padded", "absent", "unfinished", "foreign"})
"""States that a store can be in for a moment while a rotation is running; it is read again before they are reported."""

AT_ONCE = 30
"""Number of stores that are read in parallel, so that an unreachable one delays an audit of many webhooks only once."""


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """The result of checking one store; holds no secret.

    :param label: the store's label.
    :param target: the place that would be written.
    :param holding: what it holds: ``matches`` (Featurebase's current secret), ``unfinished`` (the same, but a step
        that follows the write, such as a restart, is not done), ``padded`` (the same with white space around it),
        ``differs`` (another value, which may be replaced), ``foreign`` (a value that must not be replaced), ``absent``,
        ``not_readable``, ``not_compared`` (a value, but Featurebase's secret is unknown), or ``unknown`` (the store
        could not be read). A store of a pair ``matches`` if it holds the secret of every half that needs it, in either
        slot, and nothing but the halves' secrets.
    :param fingerprint: fingerprint of the value that it holds, if it could be read.
    :param writability: whether a later write would succeed; None if that was not tested, or the test failed.
    :param problem: why a rotation could not write it.
    :param ours: whether its value is known to be one of this webhook's secrets.
    :param previous: fingerprint of the previous secret beside it, if it holds one.
    """

    label: str
    target: str
    holding: Holding
    fingerprint: str | None = None
    writability: Writability | None = None
    problem: FeaturebaseError | None = None
    ours: bool = False
    previous: str | None = None

    @property
    def name(self) -> str:
        """Label and target, for messages."""
        return f"{self.label} ({self.target})"


def check_stores(
    stores: Sequence[Store],
    rule: WriteRule,
    *,
    current: str | None,
    secret: SigningSecret | None = None,
    pair: PairFingerprints | None = None,
) -> tuple[StoreCheck, ...]:
    """Connect to every store, read it, check whose value it holds, and test whether it can be written.

    Stores are prepared on the calling thread; everything else runs in parallel, each store within its own timeout. A
    store with a problem is not tested for writing.

    :param rule: the rules for writing the stores.
    :param current: fingerprint of Featurebase's current secret; None if unknown: then values are not compared.
    :param secret: a secret that Featurebase has issued for the webhook; stores are tried with a value like it.
    :param pair: what stores of a pair must hold; None compares their current value only.
    :returns: a row per store, in the order given.
    """
    with arming(stores) as ready:
        problems: dict[str, FeaturebaseError] = {**ready.owned(), **_of_other_airflows(ready, rule), **ready.problems}
        if current is not None:
            problems.update(ready.foreign(rule, current=current))
        for label, held in ready.held.items():
            trial = trial_like(secret, held.current, held.previous)
            mark = StoreMark(rule.webhook_id, trial.fingerprint, rule.managed_from)
            tell(ready.armed[label], trial=trial, trial_mark=mark, of_pair=bool(rule.halves))
        proofs, unproven = _prove_writable(ready, [label for label in ready.held if label not in problems])
        problems.update(unproven)
    return tuple(
        StoreCheck(
            label,
            store.target,
            holding_of(held, current, problems.get(label), pair),
            held.current.fingerprint if held is not None and held.current is not None else None,
            proofs.get(label),
            problems.get(label),
            held is not None and is_ours(held, rule),
            held.previous.fingerprint if held is not None and held.previous is not None else None,
        )
        for label, store in ready.stores.items()
        for held in (ready.held.get(label),)
    )


def _of_other_airflows(ready: ArmedStores, rule: WriteRule) -> dict[str, StoreForeignValue]:
    """The stores of a pair that another Airflow writes: two that move one pair's deliveries undo each other's moves."""
    if not rule.halves or not rule.managed_from:
        return {}
    return {
        label: StoreForeignValue(
            ready.armed[label].name,
            f"its mark says that another Airflow ({held.mark.managed_from}) writes it; nothing was changed",
            f"Let one Airflow rotate the pair. If this one ({rule.managed_from}) does, set adopt: true for this store",
        )
        for label, held in ready.held.items()
        if held.mark is not None
        and held.mark.managed_from not in ("", rule.managed_from)
        and not ready.stores[label].adopt
    }


def _prove_writable(
    ready: ArmedStores, labels: Iterable[str]
) -> tuple[dict[str, Writability], dict[str, FeaturebaseError]]:
    """The stores' proofs, and the errors of those that could not be written."""
    jobs = {
        label: job_for(ready.armed[label], ready.armed[label].prove_writable, ready.stores[label]) for label in labels
    }
    return sorted_out(run_at_once(jobs))


def holding_of(
    held: StoredValue | None,
    current: str | None,
    problem: FeaturebaseError | None,
    pair: PairFingerprints | None = None,
) -> Holding:
    """Classify what a store holds; see :class:`StoreCheck`.

    :param held: what was read, or None if it could not be read.
    :param current: fingerprint of Featurebase's current secret, or None if unknown.
    :param problem: why a rotation could not write it.
    :param pair: what a store of a pair must hold.
    """
    if held is None:
        return "unknown"
    if not held.readable:
        return "not_readable"
    if held.current is None:
        return "absent"
    if current is None:
        return "not_compared"
    if pair is not None:  # both slots count
        return "foreign" if isinstance(problem, StoreForeignValue) else pair.holding(held)
    if held.current.fingerprint == current:
        return "matches" if held.finished else "unfinished"
    if is_padded(held, current):
        return "padded"
    return "foreign" if isinstance(problem, StoreForeignValue) else "differs"


@dataclass(frozen=True, slots=True)
class HeldByStore:
    """What one store holds; no secret.

    :param holding: as in :class:`~featurebase_provider.rotation.check.StoreCheck`.
    :param fingerprint: fingerprint of its value, if it could be read.
    :param previous: fingerprint of the previous secret beside it, if it holds one.
    :param problem: why it could not be read, or why its value may be somebody else's.
    :param may_be_made: as in :class:`~featurebase_provider.rotation.store.StoredValue`.
    """

    label: str
    target: str
    holding: Holding
    fingerprint: str | None = None
    previous: str | None = None
    problem: str | None = None
    may_be_made: bool = True

    @property
    def has_drifted(self) -> bool:
        """Whether it does not hold what it must, as far as it could be read."""
        return self.holding in DRIFTED


@dataclass(frozen=True, slots=True)
class StoresToRead:
    """The stores of one webhook.

    :param webhook: the webhook's name in the rotation file.
    :param webhook_id: 24 hex digits; empty if unknown.
    :param current: fingerprint of Featurebase's current secret; None if unknown.
    :param known: fingerprints of this webhook's secrets, from earlier reports.
    :param leaked: fingerprints of this webhook's secrets that were reported leaked.
    :param pair: what stores of a pair must hold; None for a single webhook.
    """

    webhook: str
    stores: Sequence[Store]
    webhook_id: str
    current: str | None
    known: frozenset[str]
    leaked: frozenset[str]
    pair: PairFingerprints | None = None

    @property
    def rule(self) -> WriteRule:
        """Whose values are ours."""
        halves = frozenset(self.pair.shown if self.pair is not None else ())
        known = self.known | frozenset(self.pair.shown.values() if self.pair is not None else ())
        return WriteRule(self.webhook_id, "", known=known, leaked=self.leaked, halves=halves)


def in_batches(wanted: Iterable[StoresToRead], at_once: int = AT_ONCE) -> list[list[StoresToRead]]:
    """Cut into lists of about ``at_once`` stores each, whole webhooks together."""
    batches: list[list[StoresToRead]] = []
    for webhook in wanted:
        if not batches or sum(len(other.stores) for other in (*batches[-1], webhook)) > at_once:
            batches.append([])
        batches[-1].append(webhook)
    return batches


def read_stores(batch: Sequence[StoresToRead]) -> dict[str, tuple[HeldByStore, ...]]:
    """Connect to and read all stores of these webhooks in parallel; a failing store does not affect the others.

    :returns: what each store holds, by the webhook's name and in the order given.
    """
    keys = {
        (wanted.webhook, store.label): f"{wanted.webhook}/{store.label}" for wanted in batch for store in wanted.stores
    }
    with arming({keys[wanted.webhook, store.label]: store for wanted in batch for store in wanted.stores}) as ready:
        return {
            wanted.webhook: tuple(
                _held(wanted, store, keys[wanted.webhook, store.label], ready.held, ready.problems)
                for store in wanted.stores
            )
            for wanted in batch
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
        name = f"{store.label} ({store.target})"
        problem = why_foreign(name, value, rule_for(store, wanted.rule), current=wanted.current)
    return HeldByStore(
        label=store.label,
        target=store.target,
        holding=holding_of(value, wanted.current, problem, wanted.pair),
        fingerprint=_shown_fingerprint(value.current if value is not None else None, wanted.leaked),
        previous=_shown_fingerprint(value.previous if value is not None else None, wanted.leaked),
        problem=str(problem) if problem is not None else None,
        may_be_made=value is None or value.may_be_made,
    )


def _shown_fingerprint(secret: SigningSecret | None, leaked: frozenset[str]) -> str | None:
    """A secret's fingerprint; white space around a leaked one hides nothing."""
    if secret is None:
        return None
    exact = secret.trimmed.fingerprint
    return exact if exact in leaked else secret.fingerprint
