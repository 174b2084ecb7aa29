from __future__ import annotations

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.featurebase.trial_secret import trial_before
from featurebase_provider.rotation.store import MANAGED_BY, SecretPair, StoredValue, StoreMark
from featurebase_provider.rotation.two_secrets import slots
from tests.world.fakes import WEBHOOK_ID, MemoryStore, fingerprint, secret


def test_what_a_store_held_is_shown_by_fingerprint() -> None:
    assert StoredValue(secret("0")).shown == fingerprint("0")
    assert StoredValue(None).shown == "nothing"
    assert StoredValue(None, readable=False).shown == "not readable"


def test_what_a_write_needs_shows_nowhere_and_makes_no_difference() -> None:
    """It may be a file's whole text, the secret in it."""
    held = StoredValue(secret("0"), version="KEY=whsec_0")
    assert "whsec_0" not in repr(held)
    assert held == StoredValue(secret("0"), version="KEY=whsec_0 and more")


def test_a_store_that_says_no_more_holds_a_whole_value_that_may_be_read_and_made() -> None:
    held = StoredValue(None)
    assert (held.version, held.readable, held.finished, held.may_be_made) == (None, True, True, True)


def test_our_mark_is_what_other_versions_look_for() -> None:
    assert StoreMark(WEBHOOK_ID, fingerprint("0"), "host").managed_by == MANAGED_BY == "airflow-provider-featurebase"


def test_a_store_has_the_name_it_is_given_and_works_on_any_thread() -> None:
    armed = MemoryStore(label="a").arm()
    assert (armed.name, type(armed).main_thread_only) == ("a (memory://a)", False)


LIVE, OTHER = secret("live"), secret("other")
HOLDS = [StoredValue(None), StoredValue(LIVE), StoredValue(LIVE, OTHER), StoredValue(LIVE, LIVE)]


@pytest.mark.parametrize("held", HOLDS, ids=["nothing", "one", "two", "the same twice"])
def test_the_trials_of_a_pair_have_the_shape_of_each_write_of_a_pair(held: StoredValue) -> None:
    """Whichever secrets a run needs: those that are there, one that is issued, or two."""
    armed = MemoryStore().arm()
    armed.of_pair = True
    first, second = armed.trial, trial_before(armed.trial)
    tried = armed.trials(held, keeps_previous=True)
    known = [one for one in (held.current, held.previous) if one]
    needs = [(one,) for one in (first, *known)]
    needs += [two for one in (second, *known) for two in ((first, one), (one, first))]
    written = {_shape(slots(held, wanted, may_empty=empty), held) for wanted in needs for empty in (True, False)}
    there = {_shape(SecretPair(held.current, held.previous), held)} if held.current else set()
    assert written | {("twice",)} <= {_shape(pair, held) for pair in tried} | there


def _shape(pair: SecretPair, held: StoredValue) -> tuple[str, ...]:
    if pair.current == pair.previous:
        return ("twice",)
    names = {held.previous: "old previous", held.current: "old current", None: "nothing"}
    return tuple(names.get(one, "new") for one in (pair.current, pair.previous))


def test_the_trials_of_a_single_webhook_are_three_at_most() -> None:
    armed = MemoryStore().arm()
    first, second = armed.trial, trial_before(armed.trial)
    usual = (SecretPair(first, second), SecretPair(first))
    assert armed.trials(StoredValue(LIVE), keeps_previous=True) == usual
    assert armed.trials(StoredValue(LIVE, OTHER), keeps_previous=True) == (*usual, SecretPair(LIVE))
    assert armed.trials(StoredValue(LIVE, OTHER), keeps_previous=False) == (SecretPair(first),)


def test_white_space_around_a_secret_that_stays_is_not_tried() -> None:
    armed = MemoryStore().arm()
    armed.of_pair = True
    tried = armed.trials(StoredValue(SigningSecret("whsec_a "), SigningSecret("whsec_b ")), keeps_previous=True)
    kept = [pair for pair in tried if armed.trial in (pair.current, pair.previous)]
    assert SecretPair(SigningSecret("whsec_a"), armed.trial) in kept
    assert SecretPair(armed.trial, SigningSecret("whsec_b")) in kept
