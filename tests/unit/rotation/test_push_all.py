from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.rotation.current import SecretOrder
from featurebase_provider.rotation.errors import NotConverged, StaleRead, StoreUnreachable
from featurebase_provider.rotation.one_store import Previous
from featurebase_provider.rotation.push import ROUNDS, AllPushed, OneWebhook, push_all_until_agreed
from tests.world.fakes import WEBHOOK_ID, FakeFeaturebase, MemoryStore, a_rule, failing, fingerprint, secret

KNOWN = frozenset({fingerprint("0")})


def push(api: FakeFeaturebase, *stores: MemoryStore, order: SecretOrder | None = None, **rule: Any) -> AllPushed:
    source = OneWebhook(api, WEBHOOK_ID, order or SecretOrder(), api.clock)
    return push_all_until_agreed(source, stores, a_rule(**{"known": KNOWN, **rule}))


def a_store(label: str, **facts: Any) -> MemoryStore:
    return MemoryStore(**{"label": label, "value": secret("0"), **facts})


def test_every_store_is_brought_there(api: FakeFeaturebase) -> None:
    """Those that are there already are left alone, and all are closed."""
    api.rotated()
    stores = [a_store("a"), a_store("b", value=None), a_store("c", value=api.secret, main_thread_only=True)]
    pushed = push(api, *stores)
    assert [one.result for one in pushed.stores.values()] == ["written", "written", "unchanged"]
    assert (pushed.webhook.secret, pushed.left, pushed.foreign) == (api.secret, (), frozenset())
    assert [(store.holds, store.closed) for store in stores] == [("whsec_1", 1)] * 3


def test_a_store_that_fails_is_nobody_elses(api: FakeFeaturebase) -> None:
    api.rotated()
    dead = a_store("dead", arm_error=StoreUnreachable("dead", "no answer"))
    refusing = a_store("refusing")
    refusing.write_script.append(failing(StoreUnreachable("refusing", "no answer")))
    foreign, good = a_store("foreign", value=secret("foreign")), a_store("good")
    pushed = push(api, dead, refusing, foreign, good)
    assert [one.result for one in pushed.stores.values()] == ["not_armed", "failed", "failed", "written"]
    assert [one.label for one in pushed.left] == ["dead", "refusing", "foreign"]
    assert pushed.foreign == {"foreign"}
    assert foreign.holds == "whsec_foreign"


def test_previous_is_emptied(api: FakeFeaturebase) -> None:
    """Where nothing else is to be written too."""
    store = a_store("a", value=api.secret, previous=secret("older"), keeps_previous=True)
    push(api, store, previous=Previous.DROP)
    assert (store.holds, store.holds_previous) == ("whsec_0", None)


def test_a_refresh_during_the_writes_is_followed(api: FakeFeaturebase) -> None:
    api.rotated()
    store = a_store("a")
    store.after_write.append(api.rotated)
    pushed = push(api, store)
    assert (pushed.webhook.fingerprint, store.holds) == (fingerprint("2"), "whsec_2")


def test_endless_refreshes_end_it(api: FakeFeaturebase) -> None:
    store = a_store("a", adopt=True)
    store.after_write.extend([api.rotated] * ROUNDS)
    api.rotated()
    with pytest.raises(NotConverged, match=f"{WEBHOOK_ID}: .* each of {ROUNDS} rounds"):
        push(api, store)
    assert store.closed == 1


def test_a_stale_read_is_never_written(api: FakeFeaturebase) -> None:
    store = a_store("a", value=None)
    with pytest.raises(StaleRead):
        push(api, store, order=SecretOrder(replaced={fingerprint("0")}, newest=fingerprint("1")))
    assert (store.writes, api.clock.now) == ([], 1030.0)


def test_stale_reads_after_the_writes_are_no_proof_that_all_agree(api: FakeFeaturebase) -> None:
    api.rotated()
    store = a_store("a")
    store.after_write.append(lambda: setattr(api, "stale_until", api.clock.now + 60))
    with pytest.raises(StaleRead):
        push(api, store)
    assert (store.holds, api.clock.now) == ("whsec_1", 1030.0)
