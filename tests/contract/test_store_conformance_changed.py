"""What comes back from a store in another form than it went in: a receiver could not use it, and nobody may miss it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreReadBackDiffers, StoreRefused
from featurebase_provider.rotation.one_store import WriteRule
from tests.contract.store_case import HELD, StoreCase, not_applicable, ready
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Callable

    from featurebase_provider.rotation.store import SecretPair

MIXED = "whsec_MixedCase0123456789abcdefABCDEF"
RULE = WriteRule("507f1f77bcf86cd799439011", "here", known=frozenset({fingerprint_of(HELD)}), adopt=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (str.lower, "the same in another case: what stores it changes it"),
        (lambda value: value[:20], "the same cut to 20 of 37 characters"),
        (lambda value: value.replace("Case", "****"), "then showed"),
    ],
    ids=["lower case", "cut", "masked"],
)
def test_a_value_that_comes_back_changed_is_found_after_the_write(
    case: StoreCase, change: Callable[[str], str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read-back asks the store anew, and says what became of the secret without showing any of it."""
    if not case.reads_back:
        not_applicable("what is there cannot be told")
    case.put(HELD)
    armed = ready(case.config())
    write = armed.write

    def write_changed(pair: SecretPair, **terms: Any) -> None:
        write(pair, **terms)
        case.put(change(pair.current.reveal()))

    monkeypatch.setattr(armed, "write", write_changed)
    with pytest.raises(StoreReadBackDiffers, match="accepted") as caught:
        converge(armed, SigningSecret(MIXED), RULE)
    assert told in str(caught.value)
    assert "whsec_" not in str(caught.value)


def test_a_place_that_changes_values_is_found_before_or_after_the_write(case: StoreCase) -> None:
    """Preflight refuses it, or says that it can't know; then the read-back finds it."""
    case.put(HELD)
    with case.changing() as config:
        before = case.evidence()
        armed = ready(config)
        if case.proves_writability:
            with pytest.raises(StoreRefused, match="in another case"):
                armed.prove_writable()
            with pytest.raises(StoreRefused, match="in another case"):
                converge(armed, SigningSecret(MIXED), RULE)
            assert case.evidence() == before
        else:
            assert not armed.prove_writable().proven
            with pytest.raises(StoreReadBackDiffers, match="in another case"):
                converge(armed, SigningSecret(MIXED), RULE)
