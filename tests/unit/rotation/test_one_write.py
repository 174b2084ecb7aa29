from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.rotation.errors import (
    SecretHasLeaked,
    StoreConflict,
    StoreForeignValue,
    StoreReadBackDiffers,
    StoreUnreachable,
)
from featurebase_provider.rotation.one_write import WRITE_ATTEMPTS
from featurebase_provider.rotation.store import StoreMark
from featurebase_provider.rotation.two_secrets import TwoSecrets
from tests.world.converge import converge
from tests.world.fakes import WEBHOOK_ID, MemoryStore, a_rule, a_webhook, failing, secret

OLD, NEW = secret("0"), secret("1")
KNOWN = frozenset({OLD.fingerprint})


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


ELSEWHERE = "0" * 24


def mark(of: Any, webhook_id: str = WEBHOOK_ID) -> StoreMark:
    return StoreMark(webhook_id, of.fingerprint, "https://airflow.example")


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("left", [None, mark(OLD), mark(OLD, WEBHOOK_ID.upper())])
def test_a_mark_that_a_lost_worker_left_out_is_left_now(left: StoreMark | None, finished: bool) -> None:
    """The value is Featurebase's current secret, so it is ours; it is not written again, and not read back."""
    store = arranged("whsec_1", marks_later=True, mark=left, finished=finished)
    assert converge(store.arm(), NEW, rule()) is not finished
    assert store.mark == mark(NEW)
    assert store.writes == ([] if finished else [NEW.fingerprint])


@pytest.mark.parametrize("left", [mark(NEW), mark(NEW, ELSEWHERE), mark(OLD, ELSEWHERE)])
def test_a_mark_of_the_value_or_of_another_webhook_stays(left: StoreMark) -> None:
    store = arranged("whsec_1", marks_later=True, mark=left)
    assert converge(store.arm(), NEW, rule()) is False
    assert store.mark == left


def test_a_foreign_value_gets_no_mark() -> None:
    store = arranged("whsec_foreign", marks_later=True, mark=mark(OLD))
    with pytest.raises(StoreForeignValue):
        converge(store.arm(), NEW, rule())
    assert store.mark == mark(OLD)


def test_a_value_that_is_replaced_is_marked_once_and_after_the_write() -> None:
    store = arranged(marks_later=True)
    store.follow_script.append(lambda: marks.append(store.mark))
    marks: list[StoreMark | None] = []
    assert converge(store.arm(), NEW, rule()) is True
    assert (marks, store.mark) == ([None], mark(NEW))


def test_a_pairs_value_gets_the_mark_of_its_half() -> None:
    halves = [a_webhook("whsec_1", id=ELSEWHERE), a_webhook("whsec_0")]
    wanted = TwoSecrets.of(halves[1], halves)
    store = arranged("whsec_1", previous=OLD, keeps_previous=True, marks_later=True, mark=mark(OLD))
    terms = rule(keeps_previous=True, halves=frozenset({ELSEWHERE, WEBHOOK_ID}))
    assert converge(store.arm(), wanted, terms) is False
    assert store.mark == mark(NEW, ELSEWHERE)
