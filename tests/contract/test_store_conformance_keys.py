"""What every store does about a key that is not there, and about a text that is more than a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoreMark
from tests.contract.store_case import HELD, NEW, not_applicable, ready, write_to

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com/ops")
PAIR = SecretPair(SigningSecret(NEW))
MORE = [
    f"HOST=a\nSIGNING={HELD}\n",
    f"export SIGNING={HELD}",
    f'{{"url": "https://a", "secret": "{HELD}"}}',
    f'["{HELD}"]',
    f"{HELD}\n{HELD}",
    f"feedback:\n  secret: {HELD}\n",
]


def test_a_misspelt_key_is_refused_and_never_added_unasked(case: StoreCase) -> None:
    """The place is there and our key in it is not: reading says so, proof and write name the keys that there are."""
    if case.misspelt is None:
        not_applicable("the place has no keys")
    case.put(HELD)
    armed = ready(case.config(**case.misspelt))
    before = case.evidence()
    held = armed.read()
    assert (held.current, held.may_be_made) == (None, False)
    for call in (armed.prove_writable, lambda: write_to(armed, PAIR, held=held, mark=MARK)):
        with pytest.raises(StoreRefused, match="holds no key") as caught:
            call()
        said = str(caught.value)
        assert "; it has " in said
        assert "create: true" in said
        assert HELD not in said
    assert case.evidence() == before


def test_a_key_is_added_if_asked(case: StoreCase) -> None:
    """With ``create: true`` the key is added, and what is there stays."""
    if case.misspelt is None:
        not_applicable("the place has no keys")
    case.put(HELD)
    armed = ready(case.config(**case.misspelt, create=True))
    held = armed.read()
    assert (held.current, held.may_be_made) == (None, True)
    armed.prove_writable()
    write_to(armed, PAIR, held=held, mark=MARK)
    assert armed.read().current == SigningSecret(NEW)
    seen = case.seen()
    assert seen is not None
    assert seen.current == HELD


def test_a_text_that_is_more_than_a_secret_is_not_replaced(case: StoreCase) -> None:
    """Whatever else is in it would be lost: refused by read, proof and write, with ``adopt: true`` too."""
    if not case.bare:
        not_applicable("the place holds more than the secret, and keeps it")
    case.put(HELD)
    armed = ready(case.config(adopt=True))
    held = armed.read()
    for text in MORE:
        case.put(text)
        before = case.evidence()
        for call in (armed.read, armed.prove_writable):
            with pytest.raises(StoreRefused) as caught:
                call()
            assert HELD not in str(caught.value)
        with pytest.raises((StoreConflict, StoreRefused)):
            write_to(armed, PAIR, held=held, mark=MARK)
        assert case.evidence() == before


@pytest.mark.parametrize("value", ["whsec_abc==", "theirs:of-old/+"])
def test_another_single_value_may_be_replaced(case: StoreCase, value: str) -> None:
    """What is one value, though it may look like more, is replaced where ``adopt`` allows it."""
    if not case.bare:
        not_applicable("the place holds more than the secret, and keeps it")
    case.put(value)
    armed = ready(case.config(adopt=True))
    held = armed.read()
    assert held.current == SigningSecret(value)
    armed.prove_writable()
    write_to(armed, PAIR, held=held, mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW
