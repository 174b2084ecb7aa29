"""What stands between the refresh and a store's readers, and what follows when no store waits any more."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation import distribute as module
from featurebase_provider.rotation.all_stores import StoreOutcome, arming, exposure_in
from featurebase_provider.rotation.distribute import Looks, distribute
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import StoreMark
from tests.world.fakes import WEBHOOK_ID, Clock, MemoryStore, failing

if TYPE_CHECKING:
    from collections.abc import Callable

OLD, NEW, THEIRS = (SigningSecret(f"whsec_{which}") for which in ("old", "new", "theirs"))
RULE = WriteRule(WEBHOOK_ID, "https://airflow.example.com", known=frozenset({OLD.fingerprint}))
LONG = 30.0


def a_store(label: str, **changes: object) -> MemoryStore:
    return MemoryStore(label=label, value=OLD, timeout=LONG, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("main_thread_only", [False, True])
def test_what_follows_a_write_waits_until_every_store_can_be_read(main_thread_only: bool) -> None:
    said: list[str] = []
    slow_may_go = threading.Event()

    def tell(what: str) -> Callable[[], object]:
        return lambda: said.append(what)

    def let_slow_go() -> None:
        said.append("fast readable")
        slow_may_go.set()

    fast = a_store("fast", main_thread_only=main_thread_only, after_write=deque([let_slow_go]))
    fast.follow_script.append(tell("fast followed"))
    slow = a_store("slow", write_script=deque([lambda: slow_may_go.wait(LONG)]))
    slow.after_write.append(tell("slow readable"))
    slow.follow_script.append(tell("slow followed"))
    with arming([fast, slow]) as ready:
        for store in (fast, slow):
            store.read_script.append(tell(f"{store.label} read back"))
        outcomes = distribute(ready, NEW, RULE, since=time.monotonic())
    assert {outcome.result for outcome in outcomes.values()} == {"written"}
    assert said[:2] == ["fast readable", "slow readable"]
    for label in ("fast", "slow"):
        assert said.index(f"{label} followed") < said.index(f"{label} read back")


def test_a_store_that_hangs_holds_up_what_follows_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.2)
    followed, over = threading.Event(), threading.Event()
    fast = a_store("fast", follow_script=deque([followed.set]))
    hangs = a_store("hangs", write_script=deque([lambda: over.set() if followed.wait(LONG) else None]))
    with arming([fast, hangs]) as ready:
        outcomes = distribute(ready, NEW, RULE, since=time.monotonic())
    assert over.is_set(), "the fast store was completed while the other one was being written"
    assert [outcome.result for outcome in outcomes.values()] == ["written", "written"]


def test_a_store_that_gives_no_answer_leaves_nobody_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.1)
    never = threading.Event()
    hangs = MemoryStore(label="hangs", value=OLD, timeout=0.3, write_script=deque([never.wait]))
    with arming([hangs, a_store("fast")]) as ready:
        outcomes = distribute(ready, NEW, RULE, since=time.monotonic())
    never.set()
    assert [outcome.result for outcome in outcomes.values()] == ["failed", "written"]
    assert "no answer within 0.3 s" in (outcomes["hangs"].problem or "")


def test_the_times_are_those_of_the_write_and_of_the_reading_back() -> None:
    clock = Clock()
    store = a_store("a", write_script=deque([lambda: clock.sleep(0.25)]))
    store.follow_script.append(lambda: clock.sleep(2.0))
    with arming([store]) as ready:
        clock.sleep(1.0)
        store.read_script.append(lambda: clock.sleep(0.5))
        outcome = distribute(ready, NEW, RULE, since=1000.0, clock=clock)["a"]
    assert outcome == StoreOutcome("a", "memory://a", "written", NEW.fingerprint, 1250.0, 3750.0)
    assert outcome.write_ms == 250.0


def test_a_store_that_lacked_only_its_mark_held_the_secret_before() -> None:
    clock = Clock()
    store = MemoryStore(label="a", value=NEW, marks_later=True)
    with arming([store]) as ready:
        clock.sleep(1.0)
        outcome = distribute(ready, NEW, RULE, since=1000.0, clock=clock)["a"]
    assert outcome == StoreOutcome("a", "memory://a", "unchanged", NEW.fingerprint, 1000.0, 1000.0)
    assert (outcome.write_ms, store.writes) == (None, [])
    assert store.mark == StoreMark(WEBHOOK_ID, NEW.fingerprint, RULE.managed_from)


def test_a_step_that_fails_after_the_write_fails_the_store_and_is_named() -> None:
    store = a_store("a", follow_script=deque([failing(StoreUnreachable("a", "it holds the secret; no restart"))]))
    with arming([store]) as ready:
        outcome = distribute(ready, NEW, RULE, since=0.0)["a"]
    assert (outcome.result, store.holds) == ("failed", "whsec_new")
    assert "it holds the secret" in (outcome.problem or "")


def test_a_look_that_was_made_is_not_made_again() -> None:
    store = a_store("a", look_script=deque([None, failing(AssertionError("a second look"))]))
    with arming([store]) as ready:
        outcome = distribute(ready, NEW, RULE, since=0.0, looks=Looks(ready))["a"]
    assert (outcome.result, len(store.look_script)) == ("written", 1)


def test_a_change_that_the_look_saw_is_not_overwritten() -> None:
    store = a_store("a", look_script=deque([failing(StoreConflict("a", "changed"))]))
    with arming([store]) as ready:
        store.put(THEIRS.reveal())
        looks = Looks(ready)
        outcome = distribute(ready, NEW, RULE, since=0.0, looks=looks)["a"]
    assert (outcome.result, store.holds) == ("failed", "whsec_theirs")


def test_a_change_of_something_else_that_the_look_saw_is_kept() -> None:
    store = a_store("a", look_script=deque([failing(StoreConflict("a", "changed"))]))
    with arming([store]) as ready:
        store.put_beside()
        outcome = distribute(ready, NEW, RULE, since=0.0, looks=Looks(ready))["a"]
    assert (outcome.result, store.holds) == ("written", "whsec_new")


def test_a_look_that_failed_is_made_again_before_the_write() -> None:
    looks_of = a_store("a", look_script=deque([failing(StoreUnreachable("a", "a reset")), None]))
    refused = a_store("b", look_script=deque([failing(StoreRefused("b", "no")), failing(StoreRefused("b", "no"))]))
    with arming([looks_of, refused]) as ready:
        outcomes = distribute(ready, NEW, RULE, since=0.0, looks=Looks(ready))
    assert (outcomes["a"].result, outcomes["b"].result) == ("written", "failed")
    assert (looks_of.look_script, refused.look_script) == (deque(), deque())


def test_what_only_the_main_thread_may_ask_is_not_looked_at_by_another() -> None:
    store = a_store("a", main_thread_only=True, look_script=deque([failing(AssertionError("a look"))]))
    with arming([store]) as ready:
        outcome = distribute(ready, NEW, RULE, since=0.0, looks=Looks(ready))["a"]
    assert outcome.result == "written"


@pytest.mark.parametrize(
    ("told", "exposure"),
    [
        ({"readable_ms": 5, "confirmed_ms": 9.0}, 5.0),
        ({"readable_ms": None, "confirmed_ms": 9.0}, 9.0),
        ({"exposure_ms": 12.5}, 12.5),
        ({"exposure_ms": None}, None),
        ({"exposure_ms": "12"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_outcomes_of_every_version_tell_their_exposure(told: object, exposure: float | None) -> None:
    assert exposure_in(told) == exposure


def test_an_outcome_of_an_older_version_was_confirmed_then() -> None:
    outcome = StoreOutcome.from_json({"label": "a", "target": "t", "result": "written", "exposure_ms": 7.5})
    assert outcome is not None
    assert (outcome.readable_ms, outcome.confirmed_ms) == (None, 7.5)
