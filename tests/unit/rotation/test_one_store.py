from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import (
    SecretHasLeaked,
    StoreConflict,
    StoreForeignValue,
    StoreReadBackDiffers,
    StoreUnreachable,
)
from featurebase_provider.rotation.one_store import (
    WRITE_ATTEMPTS,
    Previous,
    check_ours,
    desired_pair,
    is_ours,
    is_padded,
)
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark
from tests.world.converge import converge
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_rule, failing, fingerprint, secret

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


def arranged(current: str | None = "whsec_0", **facts: Any) -> MemoryStore:
    return MemoryStore(value=None if current is None else secret(current.removeprefix("whsec_")), **facts)


def rule(**facts: Any) -> Any:
    return a_rule(known=KNOWN, **facts)


def test_a_store_that_holds_the_secret_is_not_written() -> None:
    store = arranged("whsec_1")
    assert converge(store.arm(), NEW, rule()) is False
    assert store.writes == []


def test_it_writes_with_our_mark_and_reads_back() -> None:
    store = arranged(marked=True)
    assert converge(store.arm(), NEW, rule()) is True
    assert store.holds == "whsec_1"
    assert store.mark == StoreMark(WEBHOOK_ID, NEW.fingerprint, "https://airflow.example")


def test_what_was_read_just_before_saves_a_read() -> None:
    store = arranged()
    armed = store.arm()
    held = armed.read()
    store.read_script.extend([None, failing(AssertionError("only the read-back reads"))])
    assert converge(armed, NEW, rule(), held=held) is True


def test_a_foreign_value_stays_as_it_is() -> None:
    store = arranged("whsec_foreign")
    with pytest.raises(StoreForeignValue, match="memory://memory"):
        converge(store.arm(), NEW, rule())
    assert (store.holds, store.writes) == ("whsec_foreign", [])


def test_a_change_beside_the_secret_is_read_again() -> None:
    store = arranged(keeps_previous=True)
    store.write_script.append(store.put_beside)
    assert converge(store.arm(), NEW, rule(keeps_previous=True)) is True
    assert (store.holds, store.holds_previous) == ("whsec_1", "whsec_0")


def test_somebody_elses_change_of_the_secret_is_a_conflict() -> None:
    """It may be newer than ours: the caller reads Featurebase again before it decides."""
    store = arranged()
    store.write_script.append(lambda: store.put("whsec_2"))
    with pytest.raises(StoreConflict):
        converge(store.arm(), NEW, rule())
    assert (store.holds, store.writes) == ("whsec_2", [])


def test_somebody_else_writing_the_same_secret_is_no_conflict() -> None:
    store = arranged()
    store.write_script.append(lambda: store.put("whsec_1"))
    assert converge(store.arm(), NEW, rule()) is False


def test_endless_changes_beside_it_end_as_a_conflict() -> None:
    store = arranged()
    store.write_script.extend([store.put_beside] * WRITE_ATTEMPTS)
    with pytest.raises(StoreConflict, match=f"memory://.*{WRITE_ATTEMPTS} times in a row; the secret was not written"):
        converge(store.arm(), NEW, rule())
    assert store.writes == []


@pytest.mark.parametrize(("shows", "text"), [("whsec_0", OLD.fingerprint), (None, "nothing")])
def test_a_store_that_shows_another_value_after_the_write_failed(shows: str | None, text: str) -> None:
    store = arranged()
    store.after_write.append(lambda: store.put(shows))
    with pytest.raises(StoreReadBackDiffers, match=f"memory://.*accepted {NEW.fingerprint} and then showed {text}"):
        converge(store.arm(), NEW, rule())


def test_a_secret_that_has_leaked_is_not_written() -> None:
    store = arranged(None)
    with pytest.raises(
        SecretHasLeaked, match=rf"{WEBHOOK_ID}.*{NEW.fingerprint}.*was not written to store memory \(memory"
    ):
        converge(store.arm(), NEW, rule(leaked=frozenset({NEW.fingerprint})))
    assert store.writes == []


def test_more_can_be_known_and_nothing_is_forgotten() -> None:
    """What an emergency began meanwhile says comes on top of what the plan says."""
    more = a_rule(known=frozenset({"a"}), leaked=frozenset({"b"})).knowing(known=["c"], leaked=["d"])
    assert (more.known, more.leaked) == ({"a", "c"}, {"b", "d"})


@pytest.mark.parametrize("script", ["read_script", "write_script", "after_write"])
def test_a_stores_own_errors_are_the_callers(script: str) -> None:
    store = arranged()
    getattr(store, script).append(failing(StoreUnreachable("memory", "no answer")))
    with pytest.raises(StoreUnreachable):
        converge(store.arm(), NEW, rule())


def test_a_write_whose_answer_was_lost_is_found_done_by_the_retry() -> None:
    store = arranged()
    store.after_write.append(failing(StoreUnreachable("memory", "no answer")))
    with pytest.raises(StoreUnreachable):
        converge(store.arm(), NEW, rule(keeps_previous=True))
    assert converge(store.arm(), NEW, rule(keeps_previous=True)) is False
    assert (store.holds, store.holds_previous) == ("whsec_1", "whsec_0")


def test_a_write_that_was_not_finished_is_made_again() -> None:
    """Such as a restart that failed after the secret had been written."""
    store = arranged("whsec_1", finished=False)
    assert converge(store.arm(), NEW, rule()) is True
    assert converge(store.arm(), NEW, rule()) is False


def test_a_store_that_cannot_be_read_is_written_each_time_and_not_read_back() -> None:
    store = arranged("whsec_1", readable=False)
    armed = store.arm()
    held = armed.read()
    store.read_script.append(failing(AssertionError("nothing to read back")))
    assert converge(armed, NEW, rule(adopt=True), held=held) is True
    assert store.writes == [NEW.fingerprint]


def test_any_change_of_a_store_that_cannot_be_read_is_a_conflict() -> None:
    """It may be a newer secret: the caller reads Featurebase again before it decides."""
    store = arranged(readable=False)
    store.write_script.append(store.put_beside)
    with pytest.raises(StoreConflict):
        converge(store.arm(), NEW, rule(adopt=True))
    assert store.writes == []


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


def test_a_store_that_cannot_be_read_needs_the_users_word() -> None:
    """Whose value it holds can't be judged, so nothing is replaced unless the configuration says so."""
    store = arranged(readable=False)
    with pytest.raises(StoreForeignValue, match="it is write-only.*nothing was changed. .*adopt: true"):
        converge(store.arm(), NEW, rule())
    assert store.writes == []


def test_finishing_a_write_keeps_the_previous_secret() -> None:
    store = arranged("whsec_1", previous=OLD, keeps_previous=True, finished=False)
    assert converge(store.arm(), NEW, rule(keeps_previous=True)) is True
    assert (store.holds, store.holds_previous, store.finished) == ("whsec_1", "whsec_0", True)
    assert converge(store.arm(), NEW, rule(keeps_previous=True)) is False


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
