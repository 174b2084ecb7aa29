"""The rules of an emergency of a pair: what stores must hold, when they are looked at, and what the report says."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.all_stores import StoreOutcome
from featurebase_provider.rotation.errors import SecretHasLeaked, StoreUnreachable
from featurebase_provider.rotation.moves import Moves
from featurebase_provider.rotation.one_store import Previous, WriteRule
from featurebase_provider.rotation.pair import Pair, needed
from featurebase_provider.rotation.pair_emergency import BothReplaced, replace_both
from featurebase_provider.rotation.pair_reading import PairReader, PairSource
from featurebase_provider.rotation.pair_report import PairFacts
from featurebase_provider.rotation.plan import HalfBaseline, PairBaseline
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.store import StoredValue
from featurebase_provider.rotation.two_secrets import TwoSecrets
from tests.world.fakes import (
    Clock,
    FakeFeaturebase,
    MemoryStore,
    a_plan,
    a_rule,
    a_webhook,
    failing,
    fingerprint,
    secret,
)

ONE, TWO = "1" * 24, "2" * 24
LONG = 30.0


def half(webhook_id: str, held: str, status: str = "active") -> Webhook:
    return a_webhook(f"whsec_{held}", id=webhook_id, status=status)


@pytest.mark.parametrize(
    ("one", "two", "leaked", "expected"),
    [
        (("a", "active"), ("b", "paused"), "b", [ONE]),
        (("a", "active"), ("b", "active"), "b", [ONE, TWO]),
        (("a", "paused"), ("b", "suspended"), "", [ONE, TWO]),
        (("a", "paused"), ("b", "suspended"), "b", [ONE]),
        (("a", "paused"), ("b", "suspended"), "ab", [ONE, TWO]),
    ],
)
def test_whose_secrets_stores_must_hold(
    one: tuple[str, str], two: tuple[str, str], leaked: str, expected: list[str]
) -> None:
    pair = Pair.of((ONE, TWO), [half(ONE, *one), half(TWO, *two)])
    found = needed(pair, "emergency", first=ONE, leaked={fingerprint(name) for name in leaked})
    assert [webhook.id for webhook in found] == expected


def test_a_leaked_secret_that_a_store_lacks_is_left_out_in_an_emergency() -> None:
    halves = [half(ONE, "new"), half(TWO, "leaked")]
    rule = WriteRule(ONE, "", known=frozenset({fingerprint("old")}), leaked=frozenset({fingerprint("leaked")}))
    lacks, holds = StoredValue(secret("old")), StoredValue(secret("old"), secret("leaked"))
    wanted = TwoSecrets.of(halves[0], halves, may_empty=True, spares_leaked=True)
    wanted.check("vault", lacks, rule)
    pair = wanted.pair_for(lacks, rule)
    assert pair is not None
    assert (pair.current, pair.previous) == (secret("new"), None)
    pair = wanted.pair_for(holds, rule)
    assert pair is not None
    assert (pair.current, pair.previous) == (secret("new"), secret("leaked")), "an active half signs with it"
    with pytest.raises(SecretHasLeaked):
        TwoSecrets.of(halves[0], halves, may_empty=True).check("vault", lacks, rule)
    alone = TwoSecrets.of(halves[1], halves[1:], spares_leaked=True)
    with pytest.raises(SecretHasLeaked):
        alone.check("vault", lacks, rule)


def test_the_report_says_whose_secret_is_still_valid() -> None:
    facts = PairFacts(ONE, ONE, "emergency", still_valid={TWO: "Featurebase refused it."})
    text = facts.warn([StoreOutcome("vault", "v", "failed")])
    assert f"THE LEAKED SECRET OF WEBHOOK {TWO} IS STILL VALID: Featurebase refused it. Fix that" in text
    assert "clear rotate and all tasks after it" in text
    assert "vault" in text
    assert facts.as_json()["still_valid"] == {TWO: "Featurebase refused it."}


class BothHalves:
    """The API of both halves, both active; ``on_refresh`` is called before a refresh is answered."""

    def __init__(self, clock: Clock) -> None:
        self.halves = {
            ONE: FakeFeaturebase(clock, id=ONE, name="one"),
            TWO: FakeFeaturebase(clock, id=TWO, name="two"),
        }
        self.on_refresh: Any = lambda webhook_id: None

    def get_webhook(self, webhook_id: str) -> Webhook:
        return self.halves[webhook_id].get_webhook(webhook_id)

    def refresh_secret(self, webhook_id: str) -> Webhook:
        self.on_refresh(webhook_id)
        return self.halves[webhook_id].refresh_secret(webhook_id)

    def audit_log(self, *args: object, **kwargs: object) -> Any:
        raise AssertionError("an emergency waits for no second witness")


def replaced(api: BothHalves, *stores: MemoryStore) -> BothReplaced:
    clock = api.halves[ONE].clock
    found = {half: api.halves[half].current for half in (ONE, TWO)}
    baseline = PairBaseline({half: HalfBaseline.of(webhook) for half, webhook in found.items()}, ONE, None)
    leaked = frozenset(str(webhook.fingerprint) for webhook in found.values())
    plans = [a_plan(webhook, mode="emergency", pair=baseline, leaked=leaked) for webhook in found.values()]
    reader = PairReader(api, (ONE, TWO), {})
    source = PairSource(reader, plans[0], Moves(), timedelta(hours=8), clock.server_now, leaked=leaked)
    rule = a_rule(
        webhook_id=ONE, known=leaked, leaked=leaked, previous=Previous.DROP, halves=frozenset({ONE, TWO}), adopt=True
    )
    swaps = [CompareAndSwap(api=api, plan=plan, clock=clock, grace=1.0) for plan in plans]
    return replace_both(swaps, stores, rule, source, server_now=clock.server_now, may_post=lambda plan: None)


def a_store(api: BothHalves, label: str = "a", **facts: Any) -> MemoryStore:
    current, previous = (api.halves[half].secret for half in (ONE, TWO))
    return MemoryStore(label, keeps_previous=True, value=current, previous=previous, timeout=LONG, **facts)


def test_stores_are_looked_at_while_each_refresh_is_on_its_way() -> None:
    """Between its answer and the write nothing is read: readers would wait for that."""
    api, said = BothHalves(Clock()), []
    looked = {half: threading.Event() for half in (ONE, TWO)}

    def look(half: str) -> Any:
        return lambda: (said.append(f"looked {half[0]}"), looked[half].set())

    store = a_store(api, look_script=deque([look(ONE), look(TWO)]))
    beside = a_store(api, "main", main_thread_only=True)
    store.read_script.extend([lambda: said.append("read")] * 5)
    store.on_write = lambda store, pair: said.append("written")

    def refresh(webhook_id: str) -> None:
        assert looked[webhook_id].wait(LONG), "the refresh is not sent until the look is over"
        said.append(f"refreshed {webhook_id[0]}")

    api.on_refresh = refresh
    both = replaced(api, store, beside)
    assert (both.problems, {one.result for one in both.stores.values()}) == ({}, {"written"})
    assert (store.holds, store.holds_previous) == ("whsec_one1", "whsec_two1")
    assert said == [
        "read",
        "looked 1",
        "refreshed 1",
        "written",
        "read",
        "read",
        "looked 2",
        "refreshed 2",
        "written",
        "read",
    ]


def test_after_an_answer_that_was_lost_stores_are_looked_at_again() -> None:
    """A look that began before the wait for the refresh's effect is too old."""
    api = BothHalves(Clock())
    api.halves[ONE].post_script.append("lost_after")
    looks: list[str] = []
    store = a_store(api, look_script=deque([lambda: looks.append("look")] * 9))
    assert replaced(api, store).outcomes[ONE].how == "found_after_lost_answer"
    assert (looks, store.holds) == (["look"] * 3, "whsec_one1")


def test_a_store_that_failed_is_not_waited_for_before_the_second_refresh() -> None:
    api = BothHalves(Clock())
    store = a_store(api, write_script=deque([failing(StoreUnreachable("a", "a reset"))]))
    reads: list[int] = []
    store.read_script.append(None)
    store.read_script.extend([lambda: reads.append(api.halves[TWO].posts)] * 9)
    both = replaced(api, store)
    assert (both.stores["a"].result, store.holds, store.holds_previous) == ("written", "whsec_one1", "whsec_two1")
    assert reads == [1], "its read-back is the only read"
