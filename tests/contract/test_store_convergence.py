"""Every store under the rotation's own rules: whose value may be replaced, and what becomes of the previous secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.all_stores import rule_for
from featurebase_provider.rotation.errors import StoreForeignValue
from featurebase_provider.rotation.one_store import Previous, WriteRule
from tests.contract.store_case import HELD, HELD_PREVIOUS, NEW, THEIRS, StoreCase, not_applicable, ready
from tests.world.converge import converge

if TYPE_CHECKING:
    from featurebase_provider.stores.base import StoreConfig

WEBHOOK_ID = "507f1f77bcf86cd799439011"


def rule(config: StoreConfig, *known: str, previous: Previous = Previous.KEEP) -> WriteRule:
    terms = WriteRule(
        WEBHOOK_ID, "https://airflow.example", frozenset(fingerprint_of(value) for value in known), previous=previous
    )
    return rule_for(config, terms)


def readable_config(case: StoreCase) -> StoreConfig:
    if not case.reads_back:
        not_applicable("what is there cannot be told")
    return case.config()


def test_a_foreign_value_is_refused_and_stays(case: StoreCase) -> None:
    """A value that nobody knows is not ours to replace."""
    config = readable_config(case)
    case.put(THEIRS)
    before = case.evidence()
    with pytest.raises(StoreForeignValue, match="adopt: true"):
        converge(ready(config), SigningSecret(NEW), rule(config, HELD))
    assert case.evidence() == before


def test_white_space_around_our_value_is_ours_and_goes(case: StoreCase) -> None:
    """Whoever pasted the secret with a line break has not made it somebody else's."""
    config = readable_config(case)
    for value in (NEW, HELD):
        case.put(f"{value} \n")
        armed = ready(config)
        if armed.read().current in (SigningSecret(NEW), SigningSecret(HELD)):
            not_applicable("its format has no white space around a value")
        assert converge(armed, SigningSecret(NEW), rule(config, HELD))
        seen = case.seen()
        assert seen is not None
        assert (seen.current, seen.previous) == (NEW, HELD if case.keeps_previous and value is HELD else None)


def test_adopt_replaces_a_foreign_value_and_keeps_nothing_of_it(case: StoreCase) -> None:
    """Receivers that accept the previous secret must not go on accepting somebody else's value."""
    config = case.config(adopt=True)
    case.put(THEIRS)
    assert converge(ready(config), SigningSecret(NEW), rule(config, HELD))
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (NEW, None)


def test_a_repeated_push_leaves_the_previous_secret_alone(case: StoreCase) -> None:
    """The previous secret is the store's own former one; pushing again neither moves nor replaces it."""
    config = readable_config(case)
    case.put(HELD)
    armed = ready(config)
    assert converge(armed, SigningSecret(NEW), rule(config, HELD))
    assert not converge(armed, SigningSecret(NEW), rule(config, HELD))
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (NEW, HELD if case.keeps_previous else None)


def test_a_leaked_secret_is_kept_nowhere(case: StoreCase) -> None:
    """In an emergency neither the old value nor an older one stays beside the new one."""
    config = case.config(adopt=True)
    case.put(HELD, HELD_PREVIOUS if case.keeps_previous else None)
    assert converge(ready(config), SigningSecret(NEW), rule(config, HELD, previous=Previous.DROP))
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (NEW, None)
