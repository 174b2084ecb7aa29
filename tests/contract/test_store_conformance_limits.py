"""What every store does about a text that its service has no room for: it is known before the refresh, not after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.trial_secret import trial_like
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair
from tests.contract.store_case import HELD, ready, write_to
from tests.contract.test_store_conformance import MARK

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase


GROWTH = len(trial_like().reveal()) - len(HELD)
"""Bytes by which a run's secret may be longer than what is there."""


def test_a_text_a_byte_too_long_is_refused_before_the_refresh(case: StoreCase) -> None:
    """What is there fits, and what a run would write does not: said with the limit and the way out."""
    case.put_nearly_full(HELD, GROWTH - 1)
    armed = ready(case.config(previous_key=None))
    before = case.evidence()
    with pytest.raises(
        StoreRefused, match=r"would have [\d,]+ bytes, and .* takes [\d,]+; nothing was changed"
    ) as caught:
        armed.prove_writable()
    assert "Move other keys" in str(caught.value) or "move other keys" in str(caught.value)
    assert armed.trial.reveal() not in str(caught.value)
    assert HELD not in str(caught.value)
    assert case.evidence() == before


def test_a_text_that_just_fits_is_written(case: StoreCase) -> None:
    """The limit itself is allowed, by preflight and by the service."""
    case.put_nearly_full(HELD, GROWTH)
    armed = ready(case.config(previous_key=None))
    armed.prove_writable()
    write_to(armed, SecretPair(armed.trial), held=armed.read(), mark=MARK)
    assert armed.read().current == armed.trial


def test_the_previous_secret_counts_too(case: StoreCase) -> None:
    """A run that keeps the secret that it replaces writes more than one that does not."""
    case.put_nearly_full(HELD, GROWTH)
    armed = ready(case.config())
    with pytest.raises(StoreRefused, match="takes"):
        armed.prove_writable()
