from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict
from typing import Any

import pytest

from featurebase_provider.rotation import all_stores
from featurebase_provider.rotation import distribute as distribution
from featurebase_provider.rotation.all_stores import NOT_READABLE, StoreOutcome, arming, connected, rule_for
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import StoreRefused, StoresNotReady, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.one_store import Previous
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from tests.world.fakes import WEBHOOK_ID, ArmedMemory, Clock, MemoryStore, a_rule, failing, fingerprint, secret

OLD, NEW = secret("0"), secret("1")
RULE = a_rule(known=frozenset({OLD.fingerprint}))


def a_store(label: str = "a", **facts: Any) -> MemoryStore:
    return MemoryStore(label=label, value=OLD, **facts)


def test_arming_reads_every_store_and_closes_it_at_the_end() -> None:
    stores = [a_store("a"), a_store("b", main_thread_only=True)]
    with arming(stores) as ready:
        assert {label: held.current for label, held in ready.held.items()} == {"a": OLD, "b": OLD}
        ready.require_all(WEBHOOK_ID)
        assert [store.closed for store in stores] == [0, 0]
    assert [store.closed for store in stores] == [1, 1]


def test_stores_are_closed_when_the_work_fails() -> None:
    store = a_store()

    def work() -> None:
        with arming([store]):
            raise StoreRefused("a", "no")

    with pytest.raises(StoreRefused):
        work()
    assert store.closed == 1


def test_every_store_that_cannot_be_armed_is_named() -> None:
    """One that can't be armed, one that can't be read, one that is fine: both are named, none delays another."""
    stores = [
        a_store("a", arm_error=StoreUnusable("a", "no client", "pip install it")),
        a_store("b"),
        a_store("c"),
    ]
    stores[1].read_script.append(failing(StoreUnreachable("b", "refused the connection")))
    with arming(stores) as ready:
        assert set(ready.held) == {"c"}
        with pytest.raises(StoresNotReady) as caught:
            ready.require_all(WEBHOOK_ID)
    text = str(caught.value)
    assert WEBHOOK_ID in text
    assert "2 of 3 stores are not ready, so nothing was refreshed" in text
    assert "pip install it" in text
    assert "refused the connection" in text
    assert [store.closed for store in stores] == [0, 1, 1]


def test_a_fault_in_a_stores_own_arm_is_that_stores_problem() -> None:
    """Whatever a vendor's client raises while it is built, the other stores are still served."""
    stores = [a_store("a", arm_error=KeyError("whsec_leak")), a_store("b")]
    with arming(stores) as ready:
        assert set(ready.held) == {"b"}
        text = str(ready.problems["a"])
    assert "a (memory://a): unexpected KeyError" in text
    assert "whsec_leak" not in text


def test_stores_are_armed_on_the_calling_thread() -> None:
    """Arming fetches Airflow connections, which only the main thread may do."""
    seen = []

    class Noting(MemoryStore):
        def arm(self) -> Any:
            seen.append(threading.current_thread())
            return super().arm()

    with arming([Noting()]):
        assert seen == [threading.main_thread()]


def test_stores_connect_side_by_side_on_threads_of_their_own() -> None:
    """Each waits for the others to connect too: one after the other, none would ever be through."""
    together = threading.Barrier(3)
    seen = []

    def connect() -> None:
        seen.append(threading.current_thread())
        together.wait(60)

    stores = [a_store(label, connect_script=deque([connect])) for label in "abc"]
    with arming(stores) as ready:
        assert set(ready.held) == {"a", "b", "c"}
    assert threading.main_thread() not in seen
    assert len(set(seen)) == 3


def test_a_store_that_calls_airflow_connects_on_the_main_thread() -> None:
    seen = []
    store = a_store(main_thread_only=True, connect_script=deque([lambda: seen.append(threading.current_thread())]))
    with arming([store]):
        assert seen == [threading.main_thread()]


def test_a_store_that_cannot_connect_is_a_problem_and_not_read() -> None:
    stores = [a_store("a", connect_script=deque([failing(StoreRefused("a", "the login was refused"))])), a_store("b")]
    stores[0].read_script.append(failing(AssertionError("read")))
    with arming(stores) as ready:
        assert set(ready.held) == {"b"}
        assert "the login was refused" in str(ready.problems["a"])
    assert [store.closed for store in stores] == [1, 1]


def test_connecting_and_the_first_read_share_the_timeout() -> None:
    gate = threading.Event()
    store = a_store(timeout=0.05, connect_script=deque([lambda: gate.wait(5)]))
    with arming([store, a_store("b")]) as ready:
        gate.set()
        assert set(ready.held) == {"b"}
        assert "no answer within 0.05 s" in str(ready.problems["a"])


def test_a_plug_in_that_only_knows_arm_is_armed() -> None:
    """It had its client built there before there was a second step."""

    class Older(ArmedStore):
        def __init__(self) -> None:
            super().__init__("older")

        def read(self) -> StoredValue:
            return StoredValue(OLD)

        def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
            raise NotImplementedError

        def prove_writable(self) -> Writability:
            raise NotImplementedError

    class OlderStore(MemoryStore):
        def arm(self) -> ArmedStore:
            return Older()

    with arming([OlderStore("older")]) as ready:
        assert ready.held["older"].current == OLD
    with connected(OlderStore("older")) as one:
        assert one.read().current == OLD


def test_one_store_is_armed_connected_and_closed() -> None:
    seen = []
    store = a_store(connect_script=deque([lambda: seen.append(threading.current_thread())]))
    with connected(store) as armed:
        assert armed.read().current == OLD
        assert store.closed == 0
    assert (seen, store.closed) == ([threading.main_thread()], 1)


def test_one_store_that_cannot_connect_is_closed() -> None:
    store = a_store(connect_script=deque([failing(StoreRefused("a", "the login was refused"))]))
    with pytest.raises(StoreRefused, match="the login was refused"), connected(store):
        pytest.fail("not connected")
    assert store.closed == 1


def test_what_closing_fails_at_costs_no_outcome() -> None:
    """Neither the outcome nor the error of what was done with the store."""
    store = a_store(close_error=RuntimeError("already gone"))
    with connected(store) as armed:
        assert armed.read().current == OLD
    with pytest.raises(StoreUnreachable), connected(store):
        raise StoreUnreachable("a", "down")
    assert store.closed == 2


def test_a_store_that_hangs_when_closed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own timeout may be minutes, and all that follows would wait for them."""
    monkeypatch.setattr(all_stores, "CLOSE_SECONDS", 0.02)
    gate, ended = threading.Event(), threading.Event()

    class Hanging(ArmedMemory):
        def close(self) -> None:
            gate.wait(30)
            ended.set()

    class HangingStore(MemoryStore):
        def arm(self) -> ArmedStore:
            return Hanging(self)

    with arming([HangingStore("a", value=OLD, timeout=300.0)]):
        pass
    assert not ended.is_set()
    gate.set()


def test_a_failing_close_costs_nothing() -> None:
    """By then the stores hold the secret; an error here would throw the outcome of a rotation away."""
    stores = [a_store("a", close_error=RuntimeError("already gone")), a_store("b")]
    with arming(stores):
        pass
    assert [store.closed for store in stores] == [1, 1]


def test_a_store_that_hangs_when_read_is_a_problem() -> None:
    gate = threading.Event()
    store = a_store(timeout=0.02)
    store.read_script.append(lambda: gate.wait(5))
    with arming([store]) as ready:
        assert isinstance(ready.problems["a"], StoreUnreachable)
        outcome = distribute(ready, NEW, RULE, since=None)["a"]
        gate.set()
    assert (outcome.result, store.writes) == ("not_armed", [])
    assert str(outcome.problem).startswith("store a (memory://a): no answer within 0.02 s")


def test_all_stores_are_written_and_reported() -> None:
    clock = Clock()
    stores = [
        a_store("a"),
        MemoryStore(label="b", value=NEW),
        a_store("c"),
        a_store("d", arm_error=StoreUnusable("d", "no client")),
        MemoryStore(label="e", value=secret("foreign")),
    ]
    stores[2].write_script.append(failing(StoreRefused("c", "read-only")))
    with arming(stores) as ready:
        clock.sleep(2.5)
        outcomes = distribute(ready, NEW, RULE, since=1000.0, clock=clock)
    assert list(outcomes) == ["a", "b", "c", "d", "e"]
    assert outcomes["a"] == StoreOutcome("a", "memory://a", "written", NEW.fingerprint, 2500.0, 2500.0)
    assert outcomes["b"] == StoreOutcome("b", "memory://b", "unchanged", NEW.fingerprint, 2500.0, 2500.0)
    advice = "Fix this, then try again"
    assert outcomes["c"] == StoreOutcome("c", "memory://c", "failed", problem=f"store c: read-only. {advice}")
    assert outcomes["d"] == StoreOutcome("d", "memory://d", "not_armed", problem=f"store d: no client. {advice}")
    assert outcomes["e"].result == "failed"
    assert [one.holds_secret for one in outcomes.values()] == [True, True, False, False, False]
    assert [store.holds for store in stores] == ["whsec_1", "whsec_1", "whsec_0", "whsec_0", "whsec_foreign"]


def test_nothing_refreshed_means_no_exposure() -> None:
    with arming([a_store()]) as ready:
        assert distribute(ready, NEW, RULE, since=None)["a"].readable_ms is None


def test_a_hanging_write_costs_only_its_store() -> None:
    gate = threading.Event()
    stores = [a_store("a", timeout=0.02), a_store("b")]
    stores[0].write_script.append(lambda: gate.wait(5))
    with arming(stores) as ready:
        outcomes = distribute(ready, NEW, RULE, since=None)
    gate.set()
    assert [one.result for one in outcomes.values()] == ["failed", "written"]
    assert "unknown whether the call arrived until the store is read" in str(outcomes["a"].problem)


class InOnePlace(MemoryStore):
    """Keys of one file."""

    @property
    def target(self) -> str:
        return f"memory://one/place#{self.label}"


def test_stores_that_share_a_place_are_written_one_after_the_other() -> None:
    """All others are written meanwhile."""
    at_work, most = 0, 0
    others_are_done = threading.Event()

    def enter() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        assert others_are_done.wait(60)

    def leave() -> None:
        nonlocal at_work
        at_work -= 1

    stores: list[MemoryStore] = [
        InOnePlace(label, value=OLD, timeout=60, write_script=deque([enter]), after_write=deque([leave]))
        for label in "abc"
    ]
    stores.append(a_store("d", after_write=deque([others_are_done.set])))
    with arming(stores) as ready:
        outcomes = distribute(ready, NEW, RULE, since=None)
    assert [one.result for one in outcomes.values()] == ["written"] * 4
    assert most == 1


@pytest.mark.parametrize(("timeout", "patience"), [(0.2, 5.0), (600, 0.1)])
def test_a_store_that_hangs_does_not_cost_its_neighbour_the_write(
    monkeypatch: pytest.MonkeyPatch, timeout: float, patience: float
) -> None:
    """The neighbour waits for half of its time, and with a long one for no longer than its readers should."""
    monkeypatch.setattr(distribution, "TURN_SECONDS", patience)
    gate = threading.Event()
    stores = [InOnePlace("a", value=OLD, timeout=60), InOnePlace("b", value=OLD, timeout=timeout)]
    stores[0].write_script.append(lambda: gate.wait(60))
    stores[1].after_write.append(gate.set)
    with arming(stores) as ready:
        outcomes = distribute(ready, NEW, RULE, since=None)
    assert outcomes["b"].result == "written"


def test_a_secret_that_changed_since_arming_is_not_overwritten_unread() -> None:
    """What was read when armed saves a read in the window; the conditional write notices the change."""
    store = a_store()
    with arming([store]) as ready:
        store.put("whsec_2")
        rule = a_rule(known=frozenset({OLD.fingerprint, fingerprint("2")}))
        assert distribute(ready, NEW, rule, since=None)["a"].result == "failed"
        assert distribute(ready.reread(), NEW, rule, since=None)["a"].result == "written"


def test_a_store_that_cannot_be_read_again_counts_as_unchanged() -> None:
    store = a_store()
    with arming([store]) as ready:
        store.read_script.append(failing(StoreUnreachable("a", "no answer")))
        assert ready.reread().held == ready.held


def test_each_store_has_its_own_terms() -> None:
    store = a_store(adopt=True, keeps_previous=True)
    rule = rule_for(store, a_rule(previous=Previous.DROP))
    assert (rule.adopt, rule.keeps_previous, rule.previous) == (True, True, Previous.DROP)
    rule = rule_for(a_store(), a_rule(adopt=True, keeps_previous=True))
    assert (rule.adopt, rule.keeps_previous) == (False, False)


def test_an_outcome_says_that_a_store_cannot_be_read() -> None:
    stores = [a_store("a"), a_store("b", readable=False, adopt=True)]
    with arming(stores) as ready:
        outcomes = distribute(ready, NEW, RULE, since=None)
    assert outcomes["a"].detail is None
    assert outcomes["b"].detail == NOT_READABLE
    assert "but it is write-only and can't be read back" in NOT_READABLE
    assert outcomes["b"].holds_secret
    assert stores[1].holds == "whsec_1"


@pytest.mark.parametrize("raw", [None, "written", {"label": "a"}, {"label": "a", "target": "t", "result": "eaten"}])
def test_only_an_outcome_is_read_back_as_one(raw: object) -> None:
    assert StoreOutcome.from_json(raw) is None


@pytest.mark.parametrize("result", ["written", "unchanged", "failed", "not_armed", "unknown"])
def test_an_outcome_survives_json(result: Any) -> None:
    outcome = StoreOutcome("a", "memory:a", result, "sha256:0123456789abcdef", 1.5)
    assert StoreOutcome.from_json(asdict(outcome)) == outcome
