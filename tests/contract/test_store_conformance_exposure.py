"""What stands between a refresh and a store's readers: as few calls as can be, and nothing that could follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from featurebase_provider.rotation.errors import StoreConflict
from tests.contract.counted_calls import counted_calls
from tests.contract.store_case import HELD, NEW, not_applicable, ready
from tests.contract.test_store_conformance import MARK, pair

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase

THEIRS = "whsec_somebody_elses"


def test_readers_have_it_before_anything_follows(case: StoreCase) -> None:
    case.put(HELD)
    armed = ready(case.config())
    held = armed.read()
    armed.look_again(held)
    with counted_calls() as calls:
        follow = armed.write(pair(NEW), held=held, mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW
    if case.calls_to_readable is not None:
        assert 0 < len(calls) <= case.calls_to_readable, calls
    if follow is not None:
        follow()
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW


def test_a_conditional_write_overwrites_nobody_who_wrote_after_the_look(case: StoreCase) -> None:
    if not case.is_conditional:
        not_applicable("its write has no condition")
    case.put(HELD)
    armed = ready(case.config())
    held = armed.read()
    armed.look_again(held)
    case.put(THEIRS)
    with pytest.raises(StoreConflict):
        armed.write(pair(NEW), held=held, mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == THEIRS
