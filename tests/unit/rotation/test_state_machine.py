"""A Dag run's tasks, its stores written by threads; tests/properties has overlapping runs, and many more of them."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, integers, just, one_of, sampled_from

from featurebase_provider.featurebase.errors import FeaturebaseError, RateLimited
from featurebase_provider.rotation.current import SecretOrder
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable
from featurebase_provider.rotation.push import Pushed, push_until_agreed
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.rotate import RotationOutcome, rotate
from featurebase_provider.rotation.store import SecretPair
from tests.world.fakes import (
    WEBHOOK_ID,
    Clock,
    FakeFeaturebase,
    MemoryStore,
    WorkerLost,
    a_plan,
    a_rule,
    api_unreachable,
    failing,
    secret,
)

RUNS = int(os.environ.get("FEATUREBASE_STATE_MACHINE_RUNS", "100"))
GRACE = 60.0
LONGEST_LAG = 20.0
STORES = sampled_from(["marked", "plain", "main_thread"])

POST_FAULTS = [
    "lost_before",
    "lost_after",
    "old_answer",
    "old_answer_after",
    "no_secret_after",
    WorkerLost(),
    RateLimited("POST", "/secret", 429),
    1.0,
    39.0,
    70.0,
    200.0,
]


class DagRun(RuleBasedStateMachine):
    """One plan, any number of tries of rotate and of pushes, and a world that misbehaves between them."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome: RotationOutcome | None = None
        self.tries = 0
        self.committed_before = 0
        self.committed_after_grace = False
        self.foreign: dict[str, str] = {}
        self.told: set[str] = set()
        """Fingerprints that the result of rotate must name as ours: it wrote or saw them."""
        self.violations: list[str] = []

    @initialize(bumps_updated_at=booleans())
    def preflight(self, bumps_updated_at: bool) -> None:
        self.clock = Clock()
        self.api = FakeFeaturebase(self.clock, bumps_updated_at=bumps_updated_at)
        self.plan = a_plan(self.api.current)
        self.stores = {
            "marked": MemoryStore("marked", marked=True, keeps_previous=True),
            "plain": MemoryStore("plain", keeps_previous=True),
            "main_thread": MemoryStore("main_thread", main_thread_only=True),
        }
        for store in self.stores.values():
            store.value = secret("0")
            store.on_write = self.judge_write

    def judge_write(self, store: MemoryStore, pair: SecretPair) -> None:
        """Runs on the store's thread, where an assertion would pass for the store's own fault."""
        if store.label in self.foreign:
            self.violations.append(f"the foreign value in {store.label} was overwritten")
        if pair.current.fingerprint == self.plan.before:
            self.violations.append(f"{store.label} was given the secret from before the refresh")
        if pair.previous is not None and pair.previous not in (store.value, store.previous):
            self.violations.append(f"{store.label} was given a previous secret that it never held")

    @rule(good=integers(0, 4), bad=integers(1, 3))
    def reads_fail_for_a_while(self, good: int, bad: int) -> None:
        self.api.read_script.extend([None] * good)
        self.api.read_script.extend([api_unreachable()] * bad)

    @rule(when=one_of(just(0), integers(1, 100), STORES))
    def somebody_rotates(self, when: int | str) -> None:
        """Now, so many seconds later, or while that store is written."""
        if isinstance(when, str):
            self.stores[when].after_write.append(self.api.rotated)
        elif when:
            self.clock.at(when, self.api.rotated)
        else:
            self.api.rotated()

    @rule(label=STORES, good=integers(0, 2), kind=sampled_from(["read", "refused", "lost", "beside"]))
    def a_store_misbehaves(self, label: str, good: int, kind: str) -> None:
        store = self.stores[label]
        script, step = {
            "read": (store.read_script, failing(StoreUnreachable(label, "no answer"))),
            "refused": (store.write_script, failing(StoreRefused(label, "read-only"))),
            "lost": (store.after_write, failing(StoreUnreachable(label, "no answer"))),
            "beside": (store.write_script, store.put_beside),
        }[kind]
        script.extend([*[None] * good, step])

    @rule(label=STORES)
    def somebody_puts_a_foreign_value(self, label: str) -> None:
        value = f"whsec_foreign_{label}"
        self.stores[label].put(value)
        self.stores[label].mark = None
        self.foreign[label] = value

    @precondition(lambda self: self.foreign)
    @rule()
    def somebody_clears_the_foreign_values(self) -> None:
        for label in self.foreign:
            self.stores[label].put(None)
        self.foreign.clear()

    @rule(seconds=integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule(
        fault=sampled_from([None, None, None, *POST_FAULTS]),
        lag=sampled_from([0.0, 1.0, LONGEST_LAG]),
        result_is_lost=sampled_from([False, False, True]),
        cleared=sampled_from([False, False, True]),
    )
    def rotate_runs(self, fault: Any, lag: float, result_is_lost: bool, cleared: bool) -> None:
        """Again and again: Dag runs, retries, clears, and workers that die before Airflow has the result."""
        if self.outcome is not None and not cleared:
            self.the_next_dag_run_begins()
        self.api.post_script.extend([fault] if fault is not None else [])
        self.api.lag = lag
        self.committed_after_grace |= isinstance(fault, float) and fault + LONGEST_LAG > GRACE
        written = {label: len(store.writes) for label, store in self.stores.items()}
        try:
            outcome = self.rotate()
        except (FeaturebaseError, WorkerLost):
            return
        finally:
            self.api.post_script.clear()
        if not result_is_lost:
            self.keep(outcome)
            for label, store in self.stores.items():
                self.told.update(store.writes[written[label] :])

    def the_next_dag_run_begins(self) -> None:
        """It knows what the report of the one before says, and nothing of what was lost."""
        assert self.outcome is not None
        self.clock.sleep(1000)
        known = dict.fromkeys((*self.plan.known, self.plan.before, self.outcome.after))
        self.plan = a_plan(self.api.current, known=tuple(known))
        self.told = {*known, self.plan.before}
        self.outcome, self.tries, self.committed_before = None, 0, self.api.committed

    def rotate(self) -> RotationOutcome:
        self.tries += 1
        swap = CompareAndSwap(
            api=self.api,
            plan=self.plan,
            grace=GRACE,
            later_attempt=self.tries > 1,
            clock=self.clock,
        )
        return rotate(swap, list(self.stores.values()), a_rule(), server_now=self.clock.server_now)

    def keep(self, outcome: RotationOutcome) -> None:
        self.outcome = RotationOutcome.from_json(json.loads(json.dumps(outcome.as_json())))
        assert self.outcome.after != self.plan.before
        self.told = set(self.outcome.known)

    @precondition(lambda self: self.outcome is not None)
    @rule(label=STORES)
    def push_runs(self, label: str) -> None:
        try:
            pushed = self.push(label)
        except FeaturebaseError:
            return
        assert self.stores[label].value == pushed.webhook.secret

    def push(self, label: str) -> Pushed:
        assert self.outcome is not None
        store, outcome = self.stores[label], self.outcome
        assert outcome.updated_at is not None
        order = SecretOrder(
            replaced={self.plan.before},
            newest=outcome.after,
            updated_at=datetime.fromisoformat(outcome.updated_at),
        )
        terms = a_rule(
            known=frozenset(outcome.known),
            keeps_previous=store.keeps_previous,
        )
        return push_until_agreed(
            self.api,
            WEBHOOK_ID,
            store.arm(),
            order,
            terms,
            clock=self.clock,
        )

    @invariant()
    def rules_hold(self) -> None:
        assert not self.violations
        for label, store in getattr(self, "stores", {}).items():
            assert store.value is None or store.previous != store.value
            if label in self.foreign:
                assert store.holds == self.foreign[label]

    @invariant()
    def one_plan_refreshes_once(self) -> None:
        """But for a refresh that commits when nobody waits for it any more, which the API gives no means to exclude."""
        if self.tries and not self.committed_after_grace:
            assert self.api.committed - self.committed_before <= 1

    def teardown(self) -> None:
        """Once the world behaves again, running the tasks again ends with every store at Featurebase's secret."""
        if not hasattr(self, "api"):
            return
        self.clock.sleep(1000)
        self.api.lag = self.api.stale_until = 0.0
        self.api.read_script.clear()
        self.api.post_script.clear()
        for store in self.stores.values():
            store.read_script.clear()
            store.write_script.clear()
            store.after_write.clear()
        self.somebody_clears_the_foreign_values()
        for store in self.stores.values():
            if not self.is_known(store):
                # Without a mark, a value whose writer's result was lost is ours and yet unknown: a person clears it.
                store.put(None)
        if self.outcome is None:
            self.keep(self.rotate())
        for label, store in self.stores.items():
            self.push(label)
            assert store.value == self.api.secret
            previous = store.previous
            assert self.push(label).changed is False
            assert store.previous == previous
        self.rules_hold()
        self.one_plan_refreshes_once()

    def is_known(self, store: MemoryStore) -> bool:
        known = {*self.told, self.plan.before, self.api.secret.fingerprint}
        return store.marked or store.value is None or store.value.fingerprint in known


def test_every_interleaving_keeps_the_rules_and_converges() -> None:
    """FEATUREBASE_STATE_MACHINE_RUNS asks for more runs than the unit part's."""
    run_state_machine_as_test(
        DagRun,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
