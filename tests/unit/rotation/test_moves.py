"""The records of a pair's cut-overs, and the times that follow from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.moves import Moves, keep_move, pair_id
from featurebase_provider.rotation.pair import Pair, differences, last_signed
from tests.world.fake_pair import FakePair
from tests.world.fakes import a_memory, a_webhook
from tests.world.pair_states import A, B


def test_a_pair_has_one_name() -> None:
    assert pair_id((B.upper(), A)) == pair_id((A, B)) == f"{A}+{B}"


def test_records_are_read_back() -> None:
    pair = FakePair()
    plan = pair.plan()
    assert pair.records().moves == Moves()
    pair.record("activated", plan, B)
    begun = pair.records().moves
    assert begun.activated is not None
    assert begun.open == begun.activated
    assert begun.activated.is_of(plan)
    assert not begun.activated.is_of(replace(plan, run_id="another"))
    pair.record("paused", plan, A, done=False)
    assert pair.records().moves.open is not None, "it was about to pause it"
    pair.record("paused", plan, A)
    assert pair.records().moves.open is None


def test_what_was_drained_counts_until_the_deliveries_move() -> None:
    pair = FakePair()
    pair.record("drained", pair.plan(), A)
    assert pair.records().moves.drained_to(A) is not None
    assert pair.records().moves.drained_to(B) is None
    pair.clock.sleep(1)
    pair.record("paused", pair.plan(), A)
    assert pair.records().moves.drained_to(A) is None


@pytest.mark.parametrize(
    "record", [{"move": {"webhook_id": ""}}, {"move": "x"}, {}, {"move": {"webhook_id": A, "at": "no"}}]
)
def test_a_record_that_does_not_fit_counts_as_none(record: dict[str, object]) -> None:
    memory = a_memory(webhook_id=pair_id((A, B)))
    memory.write("paused", record)
    assert Moves.read(memory) == Moves()


def test_an_unknown_record_is_an_error() -> None:
    pair = FakePair()
    pair.record("paused", pair.plan(), A)
    records = pair.records()
    move = records.moves.paused
    assert move is not None
    pair.kept.problem = MemoryUnknown(A, "v", "can't be read")
    with pytest.raises(MemoryUnknown):
        Moves.read(records.memory)
    with pytest.raises(MemoryUnknown):
        keep_move(records.memory, "paused", move)


def shown(pair: FakePair) -> Pair:
    return Pair.of((A, B), [half.current for half in pair.halves.values()])


def test_a_half_set_active_and_paused_again_by_a_person_is_not_over() -> None:
    """The record of an earlier cut-over is older than what the half has signed since."""
    pair = FakePair()
    pair.record("paused", pair.plan(), B)
    recorded = pair.now()
    assert last_signed(shown(pair), pair.records().moves) == recorded
    pair.clock.sleep(9 * 3600)
    pair.set(B, "active")
    assert last_signed(shown(pair), pair.records().moves) is None, "no half is the standby"
    pair.delivered(B)
    delivered = pair.now()
    pair.set(B, "paused")
    assert last_signed(shown(pair), pair.records().moves) == delivered
    assert delivered - recorded > timedelta(hours=8)


def test_a_half_that_never_delivered_has_signed_nothing() -> None:
    pair = FakePair()
    assert last_signed(shown(pair), Moves()) is None
    pair.delivered(B)
    pair.refresh(B)
    assert last_signed(shown(pair), Moves()) == pair.now(), "when it was paused is unknown: its latest change counts"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"url": "https://other.example/hook"}, ("url",)),
        ({"topics": ("post.deleted",)}, ("topics",)),
        ({"request_config": {"headers": {"X-A": "1"}}}, ("request headers",)),
        ({"request_config": {"timeout_ms": 9000}}, ("timeoutMs",)),
        ({"name": "Another name", "description": "d"}, ()),
    ],
)
def test_settings_in_which_the_halves_differ(changes: dict[str, object], names: tuple[str, ...]) -> None:
    assert differences(Pair.of((A, B), [a_webhook(id=A), a_webhook(id=B, **changes)])) == names
