"""What a store is to say of values that are gone, replaced or unread later on, though the write succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.featurebase.signing_secret import SigningSecret
from tests.contract.store_case import HELD, NEW, ready, write_to
from tests.contract.test_store_conformance import MARK, pair

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase


def test_what_will_be_gone_later_is_said(case: StoreCase) -> None:
    """Preflight warns with the day, as the run will end well and receivers fail on that day."""
    day = case.put_for_a_while(HELD)
    armed = ready(case.config())
    assert day in armed.prove_writable().warning
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert armed.read().current == SigningSecret(NEW)
    assert day in armed.prove_writable().warning


def test_what_stays_is_no_reason_to_warn(case: StoreCase) -> None:
    """A warning that is always there is read by nobody."""
    case.put_to_stay(HELD)
    assert not ready(case.config()).prove_writable().warning
