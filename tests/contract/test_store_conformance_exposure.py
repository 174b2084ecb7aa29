"""What stands between a refresh and a store's readers: as few calls as can be, and nothing that could follow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import StoreConflict, StoreForeignValue
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.one_write import write_wanted
from tests.contract.counted_calls import counted_calls
from tests.contract.store_case import HELD, NEW, THEIRS, not_applicable, ready
from tests.contract.test_store_conformance import MARK, pair
from tests.world.converge import converge

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase


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


def write_and_die(case: StoreCase) -> None:
    """Write over a value, as a worker that is lost before it takes the steps which follow."""
    case.put(HELD)
    lost = ready(case.config())
    held = lost.read()
    lost.look_again(held)
    lost.write(pair(NEW), held=held, mark=MARK)
    lost.close()


def test_a_push_completes_what_a_death_left_out(case: StoreCase) -> None:
    """The worker was lost after the write: the mark follows, the value is not written again, and then all is done."""
    if not case.reads_back:
        not_applicable("what is there cannot be told, so each push writes it")
    rule = WriteRule(MARK.webhook_id, MARK.managed_from)
    write_and_die(case)
    armed = ready(case.config())
    held, before = armed.read(), case.evidence()
    needs_mark = case.has_mark and held.mark != MARK
    with patch.object(armed, "write", side_effect=AssertionError("the value is written again")):
        completion = write_wanted(armed, SigningSecret(NEW), rule, held=held)
    assert (completion is not None) is needs_mark
    if completion is not None:
        with counted_calls() as calls:
            completion.confirm()
        assert len(calls) == 1
    held = armed.read()
    assert (held.current, held.mark, held.finished) == (SigningSecret(NEW), MARK if case.has_mark else None, True)
    assert (case.evidence() != before) is needs_mark
    assert write_wanted(armed, SigningSecret(NEW), rule, held=held) is None


def test_what_a_death_left_out_makes_nobody_elses_value_ours(case: StoreCase) -> None:
    """Somebody replaced the value before the push: it gets no mark, and is not written over."""
    if not case.reads_back:
        not_applicable("what is there cannot be told")
    write_and_die(case)
    case.put(THEIRS)
    armed = ready(case.config())
    before = case.evidence()
    with pytest.raises(StoreForeignValue):
        converge(armed, SigningSecret(NEW), WriteRule(MARK.webhook_id, MARK.managed_from))
    assert case.evidence() == before
