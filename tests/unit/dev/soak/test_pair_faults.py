"""What the soak lets happen to a pair: told by the seed, understood by the sandbox, and of every kind."""

from __future__ import annotations

import random
from typing import get_args

from dev.soak.pair_faults import HALVES, REFUSED, Act, draw_pair
from featurebase_provider.sandbox.faults import FaultInput


def test_seed_tells_the_whole_story() -> None:
    assert [draw_pair(random.Random(7)) for _ in range(20)] == [draw_pair(random.Random(7)) for _ in range(20)]


def test_everything_happens_and_the_sandbox_takes_every_fault() -> None:
    rng = random.Random(1)
    drawn = [draw_pair(rng) for _ in range(2000)]
    faults = [(half, fault) for one in drawn for half, fault in one.faults]
    for _, fault in faults:
        FaultInput(method=fault.method, **fault.how)
    assert {(half, fault.method) for half, fault in faults} == {
        (half, method) for half in HALVES for method in ("GET", "PATCH")
    } | {("standby", "POST")}
    assert REFUSED in [fault for _, fault in faults]
    assert {one.by_hand.act for one in drawn if one.by_hand} == set(get_args(Act))
    assert {one.drains for one in drawn} == {1, 2}
    for what in ("kill", "clear_all", "reverts", "is_quiet"):
        assert any(getattr(one, what) for one in drawn), what


def test_what_a_person_does_meets_no_fault_and_is_not_cleared_away() -> None:
    rng = random.Random(1)
    for one in (draw_pair(rng) for _ in range(2000)):
        if one.by_hand is None:
            continue
        assert (one.reverts, one.clear_all) == (False, False)
        method = "POST" if one.by_hand.act == "refresh" else "PATCH"
        assert method not in {fault.method for _, fault in one.faults}
