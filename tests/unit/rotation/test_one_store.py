from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import (
    StoreForeignValue,
)
from featurebase_provider.rotation.one_store import (
    Previous,
    check_ours,
    desired_pair,
    is_ours,
    is_padded,
)
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark
from tests.world.converge import converge
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_rule, fingerprint, secret

OLD, NEW = secret("0"), secret("1")
KNOWN = frozenset({OLD.fingerprint})


def padded(value: SigningSecret) -> SigningSecret:
    """As an editor or ``echo`` leaves it."""
    return SigningSecret(f" {value.reveal()}\r\n")


def mark(webhook_id: str = WEBHOOK_ID) -> StoreMark:
    return StoreMark(webhook_id, OLD.fingerprint, "https://airflow.example")


@pytest.mark.parametrize(
    ("held", "rule"),
    [
        (StoredValue(None), {}),
        (StoredValue(NEW), {}),
        (StoredValue(OLD), {"known": KNOWN}),
        (StoredValue(OLD, mark=mark()), {}),
        (StoredValue(padded(NEW)), {}),
        (StoredValue(padded(OLD)), {"known": KNOWN}),
        (StoredValue(padded(OLD)), {"leaked": KNOWN}),
        (StoredValue(padded(OLD)), {"known": frozenset({padded(OLD).fingerprint})}),
        (StoredValue(padded(OLD), mark=mark()), {}),
        (StoredValue(secret("foreign")), {"adopt": True}),
        (StoredValue(None, readable=False), {"adopt": True}),
    ],
    ids=[
        "absent",
        "current",
        "known",
        "marked",
        "padded current",
        "padded known",
        "padded leaked",
        "known as it is, padding included",
        "padded and marked",
        "adopted",
        "not readable, adopted",
    ],  # fmt: skip
)
def test_ours_may_be_written(held: StoredValue, rule: dict[str, Any]) -> None:
    check_ours("a store", held, a_rule(**rule), current=NEW.fingerprint)


@pytest.mark.parametrize(
    "held",
    [
        StoredValue(secret("foreign")),
        StoredValue(padded(secret("foreign"))),
        StoredValue(padded(secret("foreign")), mark=StoreMark("0" * 24, fingerprint("foreign"), "https://a.example")),
        StoredValue(SigningSecret(f"{OLD.reveal()[:-1]} {OLD.reveal()[-1]}")),
        StoredValue(secret("foreign"), mark=mark("0" * 24)),
        StoredValue(secret("foreign"), mark=mark()),
    ],
    ids=[
        "unmarked",
        "padded",
        "padded, another webhook's",
        "blank inside",
        "another webhook's",
        "changed under our mark",
    ],
)
def test_a_foreign_value_is_refused(held: StoredValue) -> None:
    """The message names both fingerprints and the way out, never a value."""
    with pytest.raises(
        StoreForeignValue, match="it was not changed. If the value may be replaced, set adopt: true"
    ) as caught:
        check_ours("a store", held, a_rule(known=KNOWN), current=NEW.fingerprint)
    assert str(caught.value).startswith("store a store: ")
    assert held.shown in str(caught.value)
    assert NEW.fingerprint in str(caught.value)
    assert "whsec_" not in str(caught.value)


def test_nothing_is_nobodys() -> None:
    """A mark that was left beside no value makes nothing ours."""
    assert not is_ours(StoredValue(None, mark=mark()), a_rule(known=KNOWN))


@pytest.mark.parametrize(("held", "said"), [(padded(NEW), True), (NEW, False), (padded(OLD), False), (None, False)])
def test_padded_is_what_differs_in_white_space_only(held: SigningSecret | None, said: bool) -> None:
    assert is_padded(StoredValue(held), NEW.fingerprint) is said


def test_what_cannot_be_read_cannot_be_judged() -> None:
    """Whose value it is stays unknown, so it takes an ``adopt: true`` to replace it."""
    with pytest.raises(StoreForeignValue, match="^store a store: it is write-only.*set adopt: true"):
        check_ours("a store", StoredValue(None, readable=False), a_rule(known=KNOWN), current=NEW.fingerprint)


def test_white_space_around_the_secret_is_written_over_and_is_no_previous_one() -> None:
    store = MemoryStore(value=padded(NEW), previous=OLD)
    rule = a_rule(known=KNOWN, keeps_previous=True)
    assert converge(store.arm(), NEW, rule)
    assert not converge(store.arm(), NEW, rule)
    assert (store.holds, store.previous) == (NEW.reveal(), OLD)


def test_what_is_kept_as_previous_is_the_exact_secret() -> None:
    pair = desired_pair(StoredValue(padded(OLD)), NEW, a_rule(known=KNOWN, keeps_previous=True))
    assert pair == SecretPair(NEW, OLD)
    assert desired_pair(StoredValue(padded(OLD)), NEW, a_rule(leaked=KNOWN, keeps_previous=True)) == SecretPair(NEW)
    lying = StoredValue(NEW, padded(OLD))
    assert desired_pair(lying, NEW, a_rule(leaked=KNOWN, keeps_previous=True)) == SecretPair(NEW)


KEEPS = {"keeps_previous": True, "known": frozenset({OLD.fingerprint})}
DROPS = {"keeps_previous": True, "previous": Previous.DROP}


@pytest.mark.parametrize(
    ("held", "rule", "pair"),
    [
        (StoredValue(OLD), {}, SecretPair(NEW)),
        (StoredValue(OLD), KEEPS, SecretPair(NEW, OLD)),
        (StoredValue(OLD, secret("older")), KEEPS, SecretPair(NEW, OLD)),
        (StoredValue(OLD, mark=mark()), {"keeps_previous": True}, SecretPair(NEW, OLD)),
        (StoredValue(secret("foreign")), {**KEEPS, "adopt": True}, SecretPair(NEW)),
        (StoredValue(secret("foreign"), OLD), {**KEEPS, "adopt": True}, SecretPair(NEW)),
        (StoredValue(OLD), DROPS, SecretPair(NEW)),
        (StoredValue(None), KEEPS, SecretPair(NEW)),
        (StoredValue(NEW), {}, None),
        (StoredValue(NEW), KEEPS, None),
        (StoredValue(NEW, OLD), KEEPS, None),
        (StoredValue(NEW, OLD), DROPS, SecretPair(NEW)),
        (StoredValue(NEW), DROPS, None),
        (StoredValue(NEW, NEW), KEEPS, SecretPair(NEW)),
        (StoredValue(NEW, OLD), {}, SecretPair(NEW)),
        (StoredValue(NEW, OLD, finished=False), KEEPS, SecretPair(NEW, OLD)),
        (StoredValue(NEW, finished=False), {}, SecretPair(NEW)),
        (StoredValue(None, readable=False), {}, SecretPair(NEW)),
        (StoredValue(None, readable=False), KEEPS, SecretPair(NEW)),
    ],
)
def test_what_a_store_shall_hold(held: StoredValue, rule: dict[str, Any], pair: SecretPair | None) -> None:
    """The previous secret is the store's own former one, stays over a repeat, and is never the current one."""
    assert desired_pair(held, NEW, a_rule(**rule)) == pair


def test_more_can_be_known_and_nothing_is_forgotten() -> None:
    """What an emergency began meanwhile says comes on top of what the plan says."""
    more = a_rule(known=frozenset({"a"}), leaked=frozenset({"b"})).knowing(known=["c"], leaked=["d"])
    assert (more.known, more.leaked) == ({"a", "c"}, {"b", "d"})


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (StoredValue(OLD), OLD.fingerprint),
        (StoredValue(None), "nothing"),
        (StoredValue(None, readable=False), "not readable"),
    ],
)
def test_what_a_store_holds_can_be_named(held: StoredValue, text: str) -> None:
    assert held.shown == text


EXPIRED = {"keeps_previous": True, "previous": Previous.EXPIRED}


def test_the_end_of_an_old_previous_keeps_no_run_from_keeping_what_it_replaces() -> None:
    """A month is longer than any previous_for: each rotation keeps the secret that it has just replaced."""
    old, now, older = secret("old"), secret("new"), secret("older")
    rule = a_rule(**EXPIRED, replaces=old.fingerprint, known=frozenset({old.fingerprint}))
    kept = SecretPair(now, old)
    assert desired_pair(StoredValue(old, older), now, rule) == kept
    assert desired_pair(StoredValue(now, old), now, rule) is None, "the push after it leaves it there"
    assert desired_pair(StoredValue(now, older), now, rule) == SecretPair(now)


def test_a_run_that_refreshes_nothing_drops_an_expired_previous() -> None:
    old, now = secret("old"), secret("new")
    rule = a_rule(**EXPIRED, known=frozenset({old.fingerprint}))
    assert desired_pair(StoredValue(now, old), now, rule) == SecretPair(now)
    assert desired_pair(StoredValue(old), now, rule) == SecretPair(now), "the store was left behind for longer"
