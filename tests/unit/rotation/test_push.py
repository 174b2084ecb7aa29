from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.rotation.current import SecretOrder
from featurebase_provider.rotation.errors import (
    NotConverged,
    SecretMissing,
    StaleRead,
    StoreConflict,
    StoreForeignValue,
    StoreUnreachable,
)
from featurebase_provider.rotation.push import ROUNDS, OneWebhook, Pushed, push_until_agreed
from featurebase_provider.rotation.store import StoreMark
from tests.world.fakes import (
    WEBHOOK_ID,
    FakeFeaturebase,
    MemoryStore,
    a_rule,
    a_webhook,
    failing,
    fingerprint,
    secret,
)


def push(api: FakeFeaturebase, store: MemoryStore, order: SecretOrder | None = None, **rule: Any) -> Pushed:
    terms = a_rule(**{"known": frozenset({fingerprint("0")}), "keeps_previous": store.keeps_previous, **rule})
    source = OneWebhook(api, WEBHOOK_ID, order or SecretOrder(), api.clock)
    return push_until_agreed(source, store.arm(), terms)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(value=secret("0"), keeps_previous=True)


def test_a_store_that_agrees_is_left_alone(api: FakeFeaturebase, store: MemoryStore) -> None:
    pushed = push(api, store)
    assert (pushed.changed, pushed.webhook.secret, store.writes) == (False, api.secret, [])


def test_a_store_is_brought_to_what_featurebase_holds(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    pushed = push(api, store)
    assert (pushed.changed, pushed.webhook.secret) == (True, api.secret)
    assert (store.holds, store.holds_previous) == ("whsec_1", "whsec_0")


def test_pushing_again_changes_nothing(api: FakeFeaturebase, store: MemoryStore) -> None:
    """Above all, it does not make the current secret the previous one."""
    api.rotated()
    push(api, store)
    assert push(api, store).changed is False
    assert (store.holds, store.holds_previous) == ("whsec_1", "whsec_0")


def test_a_mark_that_a_lost_worker_left_out_is_no_change(api: FakeFeaturebase, store: MemoryStore) -> None:
    """Nothing is to be measured or announced: readers have the value since that worker's write."""
    store.marks_later = True
    pushed = push(api, store)
    assert (pushed.changed, pushed.written_at, pushed.write_ms, store.writes) == (False, None, None, [])
    assert store.mark == StoreMark(WEBHOOK_ID, fingerprint("0"), "https://airflow.example")


def test_a_stale_read_is_never_written(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    api.stale_until = api.clock.now + 5
    store.put("whsec_1")
    order = SecretOrder(replaced={fingerprint("0")}, newest=fingerprint("1"))
    assert push(api, store, order).changed is False
    assert store.writes == []


def test_nothing_but_stale_reads_fails_and_writes_nothing(api: FakeFeaturebase, store: MemoryStore) -> None:
    with pytest.raises(StaleRead):
        push(api, store, SecretOrder(replaced={fingerprint("0")}))
    assert (store.writes, api.clock.now) == ([], 1030.0)


def test_stale_reads_after_the_write_are_no_proof_that_both_agree(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    store.after_write.append(lambda: setattr(api, "stale_until", api.clock.now + 60))
    with pytest.raises(StaleRead):
        push(api, store)
    assert (store.holds, api.clock.now) == ("whsec_1", 1030.0)


def test_a_rotation_during_the_push_is_followed(api: FakeFeaturebase, store: MemoryStore) -> None:
    """The value that the push itself wrote a moment ago counts as ours."""
    api.rotated()
    store.after_write.append(api.rotated)
    assert push(api, store).changed is True
    assert (store.holds, store.holds_previous) == ("whsec_2", "whsec_1")


def test_a_rotation_that_others_have_written_takes_nothing_back(api: FakeFeaturebase, store: MemoryStore) -> None:
    """The store was written by this push all the same."""

    def others_go_on(count: int) -> None:
        if count == 2:
            api.rotated()
            store.put("whsec_2")

    api.rotated()
    api.on_read = others_go_on
    pushed = push(api, store)
    assert (pushed.changed, store.writes, store.holds) == (True, [fingerprint("1")], "whsec_2")


def test_endless_rotations_end_in_an_error(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.on_read = lambda count: api.rotated()
    with pytest.raises(NotConverged, match=f"{WEBHOOK_ID}: .* changed during each of {ROUNDS} writes"):
        push(api, store)


def test_another_tasks_write_is_judged_by_featurebase(api: FakeFeaturebase, store: MemoryStore) -> None:
    """The other writer knew a newer secret: it stays."""
    api.rotated()
    store.write_script.append(lambda: store.put(api.rotated().secret.reveal()))  # type: ignore[union-attr]
    pushed = push(api, store)
    assert (pushed.changed, store.holds, store.writes) == (False, "whsec_2", [])


def test_another_tasks_older_write_is_overwritten(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    api.rotated()
    store.write_script.append(lambda: store.put("whsec_1"))
    pushed = push(api, store, known=frozenset({fingerprint("0"), fingerprint("1")}))
    assert (pushed.changed, store.holds) == (True, "whsec_2")


def test_a_foreign_value_written_meanwhile_stays(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    store.write_script.append(lambda: store.put("whsec_foreign"))
    with pytest.raises(StoreForeignValue):
        push(api, store)
    assert store.holds == "whsec_foreign"


def test_endless_conflicts_are_raised_as_such(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    api.rotated()
    values = ["whsec_1", "whsec_0"] * ROUNDS
    store.write_script.extend([lambda value=value: store.put(value) for value in values])  # type: ignore[misc]
    with pytest.raises(StoreConflict):
        push(api, store, known=frozenset({fingerprint("0"), fingerprint("1")}))


def test_store_errors_are_the_callers(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.rotated()
    store.write_script.append(failing(StoreUnreachable("memory", "no answer")))
    with pytest.raises(StoreUnreachable):
        push(api, store)


def test_an_answer_without_a_secret_writes_nothing(api: FakeFeaturebase, store: MemoryStore) -> None:
    api.read_script.append(a_webhook(None))
    with pytest.raises(SecretMissing):
        push(api, store)
    assert store.writes == []


def test_a_store_that_cannot_be_read_is_pushed_once_a_call(api: FakeFeaturebase) -> None:
    """A pushed outcome says that it is not known what such a store holds."""
    store = MemoryStore(value=secret("0"), readable=False)
    pushed = push(api, store, adopt=True)
    assert (pushed.changed, pushed.readable, store.writes) == (True, False, [fingerprint("0")])


def test_a_newer_secret_that_another_try_has_just_written_stays(api: FakeFeaturebase, store: MemoryStore) -> None:
    """Rotated and written by others while this push was under way: the older one is not written over it."""

    def others_are_faster() -> None:
        api.rotated()
        store.put("whsec_1")

    store.read_script.append(others_are_faster)
    pushed = push(api, store, known=frozenset({fingerprint("0"), fingerprint("1")}))
    assert (pushed.changed, store.holds, store.writes) == (False, "whsec_1", [])


def test_a_newer_secret_that_others_write_after_our_look_at_featurebase_stays(
    api: FakeFeaturebase, store: MemoryStore
) -> None:
    """What was read of the store before that look is what a write goes by."""

    def answer_and_then_rotate(count: int) -> None:
        if count == 1:
            api.read_script.append(api.current)
            store.put(api.rotated().secret.reveal())  # type: ignore[union-attr]

    api.rotated()
    api.on_read = answer_and_then_rotate
    pushed = push(api, store, known=frozenset(map(fingerprint, "012")))
    assert (pushed.changed, store.holds, store.writes) == (False, "whsec_2", [])
