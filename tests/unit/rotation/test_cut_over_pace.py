"""How often a cut-over reads both halves: soon at first, since each event comes twice meanwhile."""

from __future__ import annotations

from itertools import pairwise

import pytest

from featurebase_provider.rotation.cut_over import CONFIRM_SECONDS, CutOver, CutOverWatch

AT = "2026-01-15T10:30:00+00:00"


def watch(polls: int) -> CutOverWatch:
    cut_over = CutOver("old", "new", "sha256:1", "sha256:2", AT, AT, first_delivery=300.0, pending=3600.0)
    return CutOverWatch(cut_over, polls=polls)


def test_the_pauses_grow_from_seconds_to_the_poll_interval() -> None:
    pauses = [watch(polls).next_read_in(15.0) for polls in range(1, 8)]
    assert pauses[0] <= 2 * CONFIRM_SECONDS
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert pauses[-1] == 15.0


@pytest.mark.parametrize("polls", [0, 1, 50, 100_000])
def test_no_pause_is_longer_than_the_poll_interval(polls: int) -> None:
    assert watch(polls).next_read_in(0.1) == 0.1


def test_a_step_is_confirmed_soon_however_long_the_watch_has_lasted() -> None:
    late = watch(50)
    late._asked = "pause_old"
    assert late.next_read_in(15.0) == CONFIRM_SECONDS
