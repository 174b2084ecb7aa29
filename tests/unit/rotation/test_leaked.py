"""A secret that has leaked is left in no store: not as the current one, not as the previous one, by no writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.rotation.errors import SecretHasLeaked, StoreForeignValue
from featurebase_provider.rotation.one_store import Previous, desired_pair
from featurebase_provider.rotation.plan import RotationPlan, check_status
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.rotate import RotationOutcome, rotate
from featurebase_provider.rotation.store import SecretPair, StoredValue
from tests.world.converge import converge
from tests.world.fakes import (
    ArmedMemory,
    FakeFeaturebase,
    MemoryStore,
    a_plan,
    a_rule,
    a_webhook,
    fingerprint,
    secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.rotation.store import ArmedStore, StoreMark

OLD, NEW = secret("0"), secret("1")
LEAKED = frozenset({OLD.fingerprint})
KEEPS = {"keeps_previous": True, "known": LEAKED, "leaked": LEAKED}


@pytest.mark.parametrize(
    ("held", "pair"),
    [
        (StoredValue(OLD), SecretPair(NEW)),
        (StoredValue(NEW, OLD), SecretPair(NEW)),
        (StoredValue(NEW, secret("between")), None),
        (StoredValue(NEW), None),
    ],
    ids=["was current", "was kept", "another is kept", "none is kept"],
)
def test_a_leaked_secret_is_not_kept(held: StoredValue, pair: SecretPair | None) -> None:
    assert desired_pair(held, NEW, a_rule(**KEEPS)) == pair


def test_a_leaked_secret_is_ours_to_replace() -> None:
    """Known from the emergency run alone, and not taken for somebody else's."""
    store = MemoryStore(value=OLD, keeps_previous=True)
    assert converge(store.arm(), NEW, a_rule(leaked=LEAKED, keeps_previous=True))
    assert (store.holds, store.holds_previous) == ("whsec_1", None)


def test_a_leaked_secret_is_written_nowhere() -> None:
    """Featurebase's secret is (a stale read, or a refresh that failed); the store keeps what it has."""
    store = MemoryStore(value=NEW)
    with pytest.raises(
        SecretHasLeaked, match=f"{OLD.fingerprint}, which an emergency run recorded as leaked.*was not written to store"
    ) as caught:
        converge(store.arm(), OLD, a_rule(known=frozenset({NEW.fingerprint}), leaked=LEAKED))
    assert caught.value.retry_helps
    assert (store.holds, store.writes) == ("whsec_1", [])


def test_a_store_that_holds_it_already_is_left_alone() -> None:
    """While Featurebase still signs with it, the receiver needs it."""
    store = MemoryStore(value=OLD)
    assert converge(store.arm(), OLD, a_rule(leaked=LEAKED)) is False


def test_an_emergency_plan_calls_everything_up_to_now_leaked() -> None:
    """Which of the older secrets got out is not ours to judge."""
    plan = a_plan(mode="emergency", known=("sha256:older",), leaked=["sha256:oldest"])
    assert plan.leaked == tuple(sorted((fingerprint("0"), "sha256:older", "sha256:oldest")))
    assert (plan.previous, plan.refreshes, plan.is_emergency) == (Previous.DROP, True, True)
    assert RotationPlan.from_json(plan.as_json()) == plan


@pytest.mark.parametrize(("mode", "refreshes"), [("rotate", True), ("distribute", False), ("dry_run", False)])
def test_another_plan_only_carries_on_what_has_leaked(mode: Any, refreshes: bool) -> None:
    plan = a_plan(mode=mode, known=("sha256:older",), leaked=["sha256:oldest"])
    assert plan.leaked == ("sha256:oldest",)
    assert (plan.previous, plan.refreshes, plan.is_emergency) == (Previous.KEEP, refreshes, False)


@pytest.mark.parametrize("status", ["paused", "suspended"])
def test_an_emergency_asks_for_no_active_webhook(status: str) -> None:
    check_status(a_webhook(status=status), "emergency", allow_inactive=False)
    assert a_plan(a_webhook(status=status), mode="emergency").status == status


class Careless(ArmedMemory):
    """Writes whatever was there meanwhile, as stores without a conditional write do."""

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        now = StoredValue(held.current, held.previous, held.mark, self._store.version)
        super().write(pair, held=now, mark=mark)


class CarelessStore(MemoryStore):
    def arm(self) -> ArmedStore:
        return Careless(self)


def run(
    api: FakeFeaturebase, store: MemoryStore, leaked: Callable[[], frozenset[str]] = frozenset, **swap: Any
) -> RotationOutcome:
    facts = {"plan": a_plan(api.history[1]), "clock": api.clock, **swap}
    return rotate(
        CompareAndSwap(api=api, **facts),
        [store],
        a_rule(),
        server_now=api.clock.server_now,
        require_all=False,
        leaked=leaked,
    )


def a_careless_store(**facts: Any) -> MemoryStore:
    return CarelessStore(value=OLD, keeps_previous=True, **facts)


def test_an_emergency_that_begins_before_the_refresh_is_noticed(api: FakeFeaturebase) -> None:
    """A normal rotation has read its stores, then an emergency is planned: it looks again just before it refreshes."""
    store = a_careless_store()
    outcome = run(api, store, lambda: LEAKED)
    assert (outcome.how, store.holds, store.holds_previous) == ("answered", "whsec_1", None)


def test_an_emergency_that_has_refreshed_is_noticed(api: FakeFeaturebase) -> None:
    """The same, and the emergency was faster: what was read before it is not kept."""
    store, plan = a_careless_store(), a_plan(api.history[1])
    api.rotated()
    outcome = run(api, store, lambda: LEAKED, plan=plan)
    assert (outcome.how, store.holds, store.holds_previous) == ("already_done", "whsec_1", None)


def test_an_emergency_during_the_writes_is_noticed(api: FakeFeaturebase) -> None:
    """Featurebase shows a newer secret after the writes; what the emergency calls leaked by then goes."""
    store = a_careless_store()
    known: list[str] = []

    def emergency() -> None:
        known.extend([OLD.fingerprint, NEW.fingerprint])
        api.rotated()

    store.after_write.append(emergency)
    outcome = run(api, store, lambda: frozenset(known))
    assert (outcome.after, store.holds, store.holds_previous) == (fingerprint("2"), "whsec_2", None)


def test_nothing_is_asked_between_answer_and_writes(api: FakeFeaturebase) -> None:
    """It would only lengthen the exposure."""
    asked_at: list[int] = []

    def leaked() -> frozenset[str]:
        asked_at.append(api.posts)
        return frozenset()

    run(api, a_careless_store(), leaked)
    assert asked_at == [0]


def test_an_emergency_refreshes_and_empties_previous(api: FakeFeaturebase) -> None:
    store = a_careless_store(previous=secret("older"))
    plan = a_plan(api.history[1], mode="emergency")
    swap = CompareAndSwap(api=api, plan=plan, clock=api.clock)
    rule = a_rule(previous=plan.previous)
    outcome = rotate(swap, [store], rule, server_now=api.clock.server_now, require_all=False)
    assert (outcome.how, store.holds, store.holds_previous) == ("answered", "whsec_1", None)


def test_an_emergency_refreshes_a_webhook_that_was_paused_meanwhile(api: FakeFeaturebase) -> None:
    plan = a_plan(api.history[1], mode="emergency")
    api.change(status="paused")
    assert run(api, a_careless_store(), plan=plan).how == "answered"


def test_an_emergency_does_not_overwrite_a_foreign_value(api: FakeFeaturebase) -> None:
    """Nor does it stop for one."""
    store = MemoryStore(value=secret("foreign"))
    outcome = run(api, store, plan=a_plan(api.history[1], mode="emergency"))
    assert (outcome.how, store.holds) == ("answered", "whsec_foreign")
    assert outcome.stores["memory"].result == "failed"
    with pytest.raises(StoreForeignValue):
        converge(store.arm(), NEW, a_rule(leaked=LEAKED))


def test_an_emergency_refreshes_whatever_has_leaked(api: FakeFeaturebase) -> None:
    """The plan's reading was stale: the secret that is current has leaked as well, and must not be taken for new."""
    plan = a_plan(a_webhook("whsec_older"), mode="emergency", known=(OLD.fingerprint,), leaked=())
    swap = CompareAndSwap(api, plan, clock=api.clock)
    assert swap.run().how == "answered"
    assert (api.posts, api.current.fingerprint) == (1, NEW.fingerprint)
    again = CompareAndSwap(api, plan, later_attempt=True, clock=api.clock)
    assert (again.run().how, api.posts) == ("already_done", 1)
