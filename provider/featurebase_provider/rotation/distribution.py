"""Arm all stores of a webhook, then have the new secret in all of them at once."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from featurebase_provider.rotation.concurrency import Job, run_at_once
from featurebase_provider.rotation.convergence import WriteRule, converge
from featurebase_provider.rotation.errors import StoreError, StoresNotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from featurebase_provider.featurebase.errors import FeaturebaseError
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.store import ArmedStore, Store, StoredValue

Result = Literal["written", "unchanged", "failed", "not_armed"]


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one store; holds no secret.

    :param label: the store's label.
    :param target: what was to be written.
    :param result: ``written``, ``unchanged`` (it held the secret), ``failed`` or ``not_armed``.
    :param fingerprint: what the store read back, or None where it did not.
    :param exposure_ms: milliseconds from just before the refresh was sent until the store read the new secret
        back; an upper bound of the time in which the store was wrong. None where nothing was refreshed.
    :param problem: why it failed.
    """

    label: str
    target: str
    result: Result
    fingerprint: str | None = None
    exposure_ms: float | None = None
    problem: str | None = None

    @property
    def holds_secret(self) -> bool:
        """Whether the store read back what it was to hold."""
        return self.result in ("written", "unchanged")


@dataclass(frozen=True, slots=True)
class ArmedStores:
    """The stores of a webhook with their clients built, and what each held when it was armed."""

    stores: Mapping[str, Store]
    armed: Mapping[str, ArmedStore]
    held: Mapping[str, StoredValue]
    problems: Mapping[str, FeaturebaseError]

    def require_all(self, webhook_id: str) -> None:
        """Insist that every store was armed.

        :raises StoresNotReady: one was not; the message names each and why.
        """
        if self.problems:
            why = "; ".join(str(problem) for problem in self.problems.values())
            raise StoresNotReady(
                webhook_id,
                f"{len(self.problems)} of {len(self.stores)} stores could not be armed, so nothing was refreshed and "
                f"the receivers still verify. {why}",
            )


@contextmanager
def arming(stores: Sequence[Store]) -> Iterator[ArmedStores]:
    """Arm every store and read what it holds; close what was armed at the end.

    Arming runs on the calling thread, as it fetches Airflow connections; the first reads, which open the
    network connections, run at once. A store that fails is listed in ``problems`` and delays no other.
    """
    by_label = {store.label: store for store in stores}
    armed: dict[str, ArmedStore] = {}
    problems: dict[str, FeaturebaseError] = {}
    try:
        for label, store in by_label.items():
            try:
                armed[label] = store.arm()
            except StoreError as exc:
                problems[label] = exc
        reads = run_at_once(
            {
                label: Job(one.name, one.read, by_label[label].timeout, one.main_thread_only)
                for label, one in armed.items()
            }
        )
        held: dict[str, StoredValue] = {}
        for label, done in reads.items():
            if done.error is not None:
                problems[label] = done.error
            elif done.value is not None:
                held[label] = done.value
        yield ArmedStores(by_label, armed, held, problems)
    finally:
        for one in armed.values():
            one.close()


def distribute(
    ready: ArmedStores,
    secret: SigningSecret,
    rule: WriteRule,
    *,
    since: float | None,
    use_held: bool = True,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, StoreOutcome]:
    """Write ``secret`` to all armed stores at once and report on every store.

    :param rule: the terms; ``adopt`` and ``keeps_previous`` are taken from each store.
    :param since: monotonic seconds from which exposure is counted, or None where nothing was refreshed.
    :param use_held: whether what the stores held when armed may be relied on, which saves a read in the window
        (a conditional write notices a change); False reads again.
    """

    def job(label: str, one: ArmedStore) -> Job[StoreOutcome]:
        store = ready.stores[label]
        terms = rule_for(store, rule)

        def run() -> StoreOutcome:
            changed = converge(one, secret, terms, held=ready.held.get(label) if use_held else None)
            exposure = (monotonic() - since) * 1000 if since is not None else None
            result: Result = "written" if changed else "unchanged"
            return StoreOutcome(label, store.target, result, secret.fingerprint, exposure)

        return Job(one.name, run, store.timeout, one.main_thread_only)

    ended = run_at_once({label: job(label, one) for label, one in ready.armed.items() if label in ready.held})
    outcomes: dict[str, StoreOutcome] = {}
    for label, store in ready.stores.items():
        if label in ended:
            done = ended[label]
            outcomes[label] = done.value or StoreOutcome(label, store.target, "failed", problem=str(done.error))
        else:
            problem = str(ready.problems.get(label, "it was not armed"))
            outcomes[label] = StoreOutcome(label, store.target, "not_armed", problem=problem)
    return outcomes


def rule_for(store: Store, rule: WriteRule) -> WriteRule:
    """The rule with the store's own terms."""
    return replace(rule, adopt=store.adopt, keeps_previous=store.keeps_previous)
