"""What the soak lets go wrong: told by the seed, understood by the sandbox, and of every kind."""

from __future__ import annotations

import random

from dev.soak.faults import LATE_IN_WATCH, draw
from featurebase_provider.sandbox.faults import FaultInput


def test_seed_tells_the_whole_story() -> None:
    assert [draw(random.Random(7)) for _ in range(20)] == [draw(random.Random(7)) for _ in range(20)]


def test_sandbox_takes_every_fault() -> None:
    """All kinds occur, and each is one that the sandbox knows with the fields that it needs."""
    rng = random.Random(1)
    kinds = set()
    for _ in range(500):
        for fault in draw(rng).faults:
            kinds.add((fault.method, FaultInput(method=fault.method, **fault.how).kind))
    common = {"status", "reset", "hang", "drop_response", "malformed", "latency"}
    assert kinds == {("POST", one) for one in common | {"late_commit"}} | {
        ("GET", one) for one in common | {"stale_read"}
    }


def test_nobody_dies_where_a_refresh_may_come_second() -> None:
    """A secret that only a dead process saw, and that a late commit replaced, could be in no store."""
    rng = random.Random(1)
    drawn = [draw(rng) for _ in range(2000)]
    very_late = [one for one in drawn if any(f.method == "POST" and f.delay > LATE_IN_WATCH[1] for f in one.faults)]
    assert very_late
    assert not any(one.kill for one in very_late)
    assert any(one.kill for one in drawn)


def test_real_airflow_is_spared_deaths_and_second_refreshes() -> None:
    rng = random.Random(1)
    for _ in range(500):
        drawn = draw(rng, kills=False, later=False)
        assert drawn.kill is None
        assert not drawn.clear_all
        assert all(fault.delay <= LATE_IN_WATCH[1] for fault in drawn.faults)
