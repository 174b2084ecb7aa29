from __future__ import annotations

from featurebase_provider.rotation.store import MANAGED_BY, StoredValue, StoreMark
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
