"""What every store that keeps two secrets does for a pair of webhooks: each slot is somebody's to judge and to keep."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.all_stores import rule_for
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.errors import StoreConflict, StoreForeignValue, StoreReadBackDiffers
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.rotation.two_secrets import HalfSecret, TwoSecrets
from tests.contract.store_case import HELD, HELD_PREVIOUS, NEW, THEIRS, StoreCase, not_applicable, ready, write_to
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from featurebase_provider.stores.base import StoreConfig

LIVE, STANDBY = "507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012"
HERE = "https://airflow.example"
OLD, FRESH = HalfSecret(LIVE, SigningSecret(HELD)), HalfSecret(STANDBY, SigningSecret(NEW))


@pytest.fixture(autouse=True)
def _keeps_two(case: StoreCase) -> None:
    if not case.keeps_previous:
        not_applicable("it keeps one secret, so no pair can use it")


def needs(*halves: HalfSecret, may_empty: bool = False) -> TwoSecrets:
    return TwoSecrets(halves[-1].secret, halves, may_empty)


def rule(config: StoreConfig, *known: str) -> WriteRule:
    fingerprints = frozenset(fingerprint_of(value) for value in known)
    return rule_for(config, WriteRule(STANDBY, HERE, fingerprints, halves=frozenset({LIVE, STANDBY})))


def slots(case: StoreCase) -> tuple[str | None, str | None]:
    """What a reader finds."""
    seen = case.seen()
    return (seen.current, seen.previous) if seen else (None, None)


class Reader(threading.Thread):
    """A receiver that reads both slots again and again, and remembers each change."""

    def __init__(self, case: StoreCase) -> None:
        super().__init__(daemon=True)
        self._case, self._rounds, self._turn, self._over = case, 0, threading.Condition(), threading.Event()
        self.found: list[Any] = []

    def run(self) -> None:
        while not self._over.wait(0.001):
            try:
                found: Any = slots(self._case)
            except Exception as error:  # noqa: BLE001  what a reader can't read is a finding, like a wrong value
                found = repr(error)
            with self._turn:
                if self.found[-1:] != [found]:
                    self.found.append(found)
                self._rounds += 1
                self._turn.notify_all()

    def looks_again(self) -> None:
        """Wait until it has read both slots from now on."""
        with self._turn:
            enough = self._rounds + 2  # one round may be under way
            assert self._turn.wait_for(lambda: self._rounds >= enough, 120)

    def stop(self) -> None:
        self._over.set()
        self.join(120)


@contextmanager
def reading(case: StoreCase) -> Iterator[Reader]:
    reader = Reader(case)
    reader.start()
    try:
        reader.looks_again()
        yield reader
    finally:
        reader.stop()


def test_a_rotation_shows_no_reader_a_state_without_the_live_secret(case: StoreCase) -> None:
    """Published beside it, in its place, in both places, alone; each written once, with its own half's mark."""
    case.put(HELD)
    before, armed = case.seen(), ready(case.config())
    assert before is not None
    terms = rule(case.config(), HELD)
    steps = (
        (needs(OLD), None),
        (needs(OLD, FRESH), (OLD, NEW)),
        (needs(FRESH), (FRESH, NEW)),
        (needs(FRESH, may_empty=True), (FRESH, None)),
    )
    with reading(case) as reader:
        for wanted, written in steps:
            assert converge(armed, wanted, terms) is (written is not None)
            reader.looks_again()
            if written is None:
                continue
            half, previous = written
            held = armed.read()
            assert (held.current, held.previous) == (half.secret, SigningSecret(previous) if previous else None)
            if case.has_mark:
                assert held.mark == StoreMark(half.webhook_id, half.secret.fingerprint, HERE)
            assert not converge(armed, wanted, terms, held=held)
    assert reader.found == [(HELD, None), (HELD, NEW), (NEW, NEW), (NEW, None)]
    after = case.seen()
    assert after is not None
    assert after.others == before.others


def test_a_foreign_previous_secret_is_refused_and_stays_unless_it_is_adopted(case: StoreCase) -> None:
    """The live secret beside it makes it no more ours."""
    config, adopting = case.config(), case.config(adopt=True)
    case.put(HELD, THEIRS)
    before = case.evidence()
    with pytest.raises(StoreForeignValue, match="a previous value.*adopt: true"):
        converge(ready(config), needs(OLD, FRESH), rule(config, HELD))
    assert case.evidence() == before
    assert converge(ready(adopting), needs(OLD, FRESH), rule(adopting, HELD))
    assert slots(case) == (HELD, NEW)


def test_a_change_of_the_previous_secret_alone_is_noticed(case: StoreCase) -> None:
    """Made by another run of ours, it is the one that was wanted; made by somebody else, it stays."""
    case.put(HELD, HELD_PREVIOUS)
    armed, terms = ready(case.config()), rule(case.config(), HELD, HELD_PREVIOUS)
    held = armed.read()
    case.put_beside(HELD, NEW)
    assert not converge(armed, needs(OLD, FRESH), terms, held=held)
    held = armed.read()
    case.put_beside(HELD, THEIRS)
    with pytest.raises(StoreConflict):
        converge(armed, needs(FRESH), terms, held=held)
    assert slots(case) == (HELD, THEIRS)


def test_a_previous_secret_that_is_changed_after_the_write_is_found_by_the_read_back(
    case: StoreCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.put(HELD)
    armed = ready(case.config())
    write = armed.write

    def write_and_lose(pair: SecretPair, **terms: Any) -> None:
        write(pair, **terms)
        case.put_beside(HELD, THEIRS)

    monkeypatch.setattr(armed, "write", write_and_lose)
    with pytest.raises(StoreReadBackDiffers, match=f"then showed {fingerprint_of(THEIRS)} beside it"):
        converge(armed, needs(OLD, FRESH), rule(case.config(), HELD))


def test_white_space_around_either_secret_goes(case: StoreCase) -> None:
    """Whoever pasted one with a blank has not made it somebody else's."""
    armed, terms = ready(case.config()), rule(case.config(), HELD, NEW)
    tried = False
    for current, previous in ((f"{HELD} ", NEW), (HELD, f"{NEW} ")):
        case.put(current, previous)
        held = armed.read()
        if (held.current, held.previous) != (OLD.secret, FRESH.secret):
            tried = True
            assert converge(armed, needs(OLD, FRESH), terms, held=held)
            assert slots(case) == (HELD, NEW)
    if not tried:
        not_applicable("its format has no white space around a value")


def test_preflight_tries_what_a_pair_writes_and_changes_nothing(case: StoreCase) -> None:
    config = case.config()
    case.put(HELD, HELD_PREVIOUS)
    before = case.evidence()
    (checked,) = check_stores([config], rule(config, HELD, HELD_PREVIOUS), current=fingerprint_of(HELD))
    assert case.evidence() == before
    assert checked.problem is None
    assert checked.writability is not None
    assert checked.writability.proven is case.proves_writability


def test_a_mark_of_either_half_is_ours_and_one_of_another_airflow_is_not(case: StoreCase) -> None:
    if not case.has_mark:
        not_applicable("this store has no metadata that it can read")
    config, armed = case.config(), ready(case.config())
    case.put(HELD)
    write_to(armed, SecretPair(FRESH.secret), held=armed.read(), mark=StoreMark(STANDBY, fingerprint_of(NEW), HERE))
    assert converge(armed, needs(OLD), rule(config))
    assert armed.read().mark == StoreMark(LIVE, fingerprint_of(HELD), HERE)
    assert converge(armed, needs(FRESH), rule(config))
    other = StoreMark(LIVE, fingerprint_of(HELD), "https://airflow.elsewhere")
    write_to(armed, SecretPair(OLD.secret), held=armed.read(), mark=other)
    (refused,) = check_stores([config], rule(config, HELD), current=fingerprint_of(HELD))
    assert isinstance(refused.problem, StoreForeignValue)
    assert "another Airflow (https://airflow.elsewhere) writes it" in str(refused.problem)
    (adopted,) = check_stores([case.config(adopt=True)], rule(config, HELD), current=fingerprint_of(HELD))
    assert adopted.problem is None
