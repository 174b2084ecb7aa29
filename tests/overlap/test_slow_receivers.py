"""Slow receivers, by both strategies: with overlap no delivery is refused. ``make slow-receivers`` writes the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.overlap.page import keep
from tests.overlap.slow import RECEIVERS, SlowReceiver, SlowWorld

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow

EACH = [pytest.param(kind, seed, id=f"{kind.words}, seed {seed}") for kind in RECEIVERS for seed in kind.seeds]


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_with_overlap_nothing_is_refused(
    airflow: InProcessAirflow, tmp_path: Path, kind: SlowReceiver, seed: int
) -> None:
    """The deliveries move once the receiver knows both secrets; if it never does, nothing moves."""
    with SlowWorld(tmp_path, kind, seed) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        secrets_before = world.held
        played = world.play(airflow, "overlap")
        assert (played.refused, played.lost) == ([], 0)
        if kind.learns:
            assert played.run.state == "success", played.run.errors
            assert played.statuses == ["paused", "active"]
            assert played.duplicates > 0, "events flowed while both webhooks were active"
        else:
            assert (played.run.state, played.run.states["probe"]) == ("failed", "failed")
            assert played.statuses == ["active", "paused"]
            assert (world.held, played.duplicates) == (secrets_before, 0)
    keep(kind.words, "overlap", seed, played)


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_with_refresh_a_slow_receiver_refuses(
    airflow: InProcessAirflow, tmp_path: Path, kind: SlowReceiver, seed: int
) -> None:
    """The same for comparison: what is slow to know the new secret refuses deliveries meanwhile."""
    with SlowWorld(tmp_path, kind, seed) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        played = world.play(airflow, "refresh")
        if kind.reload_minutes:
            assert played.refused, "a receiver that refuses nothing compares nothing"
        assert played.duplicates == 0
        if kind.restarts or kind.reload_minutes <= 1:
            assert (played.run.state, played.lost) == ("success", 0), played.run.errors
        else:
            assert (played.run.state, played.run.states["probe"]) == ("failed", "failed")
    keep(kind.words, "refresh", seed, played)
