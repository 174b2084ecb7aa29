from __future__ import annotations

from dataclasses import replace

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.check import HeldByStore, StoresToRead, in_batches, read_stores
from featurebase_provider.rotation.errors import StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import ArmedStore, StoredValue
from tests.world.fakes import WEBHOOK_ID, MemoryStore, failing, fingerprint, secret

CURRENT = fingerprint("current")


def wanted(name: str, *stores: MemoryStore, current: str | None = CURRENT) -> StoresToRead:
    return StoresToRead(name, stores, WEBHOOK_ID, current, frozenset({fingerprint("old")}), frozenset())


def test_stores_of_several_webhooks_are_read_at_once_and_told_apart() -> None:
    """Labels repeat from webhook to webhook; one that fails costs no other."""
    dead, unusable = MemoryStore("b"), MemoryStore("c", arm_error=StoreUnusable("c", "no client"))
    dead.read_script.append(failing(StoreUnreachable("b", "down")))
    held = read_stores(
        [
            wanted("first", MemoryStore("a", value=secret("current")), dead, unusable),
            wanted("second", MemoryStore("a", value=secret("old")), MemoryStore("b", value=secret("theirs"))),
        ]
    )
    assert {name: [(one.label, one.holding) for one in rows] for name, rows in held.items()} == {
        "first": [("a", "matches"), ("b", "unknown"), ("c", "unknown")],
        "second": [("a", "differs"), ("b", "foreign")],
    }
    assert str(held["first"][1].problem).startswith("store b: down.")
    assert "adopt: true" in (held["second"][1].problem or "")


def test_a_store_of_a_batch_connects_like_any_other() -> None:
    store = MemoryStore("a", value=secret("current"))
    store.connect_script.append(failing(StoreUnreachable("a", "the login got no answer")))
    ((row,),) = read_stores([wanted("first", store)]).values()
    assert (row.holding, "the login got no answer" in str(row.problem)) == ("unknown", True)


def test_a_row_shows_fingerprints_of_both_secrets() -> None:
    store = MemoryStore("a", value=secret("current"), previous=secret("old"), keeps_previous=True)
    assert read_stores([wanted("first", store)]) == {
        "first": (HeldByStore("a", "memory://a", "matches", CURRENT, fingerprint("old")),)
    }


def test_a_place_that_is_missing_and_may_not_be_made_is_told_from_an_empty_one() -> None:
    class NotMade(MemoryStore):
        def arm(self) -> ArmedStore:
            armed = super().arm()
            armed.read = lambda: StoredValue(None, may_be_made=False)  # type: ignore[method-assign]
            return armed

    rows = read_stores([wanted("first", NotMade("a"), MemoryStore("b"))])["first"]
    assert [(row.holding, row.may_be_made) for row in rows] == [("absent", False), ("absent", True)]


def test_white_space_around_a_leaked_secret_hides_nothing() -> None:
    padded = SigningSecret(f"{secret('theirs').reveal()}\n")
    reading = wanted("first", MemoryStore("a", value=padded))
    (row,) = read_stores([replace(reading, leaked=frozenset({fingerprint("theirs")}))])["first"]
    assert (row.holding, row.fingerprint) == ("differs", fingerprint("theirs"))
    (row,) = read_stores([reading])["first"]
    assert (row.holding, row.fingerprint) == ("foreign", padded.fingerprint)


def test_without_featurebases_secret_nothing_is_judged() -> None:
    (row,) = read_stores([wanted("first", MemoryStore("a", value=secret("theirs")), current=None)])["first"]
    assert (row.holding, row.problem) == ("not_compared", None)


def test_stores_are_asked_for_no_proof_and_nothing_is_written() -> None:
    stores = [MemoryStore("a", value=secret("old")), MemoryStore("b", keeps_previous=True, adopt=True, type="other")]
    read_stores([wanted("first", *stores)])
    assert [(store.writes, store.version, store.closed) for store in stores] == [([], 0, 1), ([], 0, 1)]


@pytest.mark.parametrize(
    ("counts", "batches"),
    [([], []), ([3, 3, 3], [[0, 1], [2]]), ([9], [[0]]), ([9, 1, 9], [[0], [1], [2]]), ([2, 4, 1], [[0, 1], [2]])],
)
def test_batches_keep_webhooks_whole(counts: list[int], batches: list[list[int]]) -> None:
    all_wanted = [wanted(str(number), *([MemoryStore()] * count)) for number, count in enumerate(counts)]
    assert [[int(one.webhook) for one in batch] for batch in in_batches(all_wanted, at_once=6)] == batches
