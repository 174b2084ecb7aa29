"""How often an event arrives twice while deliveries move. ``make slow-receivers`` writes the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.overlap.duplicates import move
from tests.overlap.page import keep_duplicates

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow

POLL_INTERVAL = 15.0
"""Seconds. The first reads follow sooner, so with events the cut-over is over before the first long pause."""


@pytest.mark.parametrize("first_delivery", ["PT1M", "PT5M"])
@pytest.mark.parametrize("per_second", [1, 20, 100])
def test_duplicates_are_the_events_of_the_time_in_which_both_webhooks_are_active(
    airflow: InProcessAirflow, tmp_path: Path, per_second: int, first_delivery: str
) -> None:
    """``first_delivery`` is a limit for times without events: with events it makes no difference."""
    moved = move(airflow, tmp_path, per_second=per_second, first_delivery=first_delivery, poll_interval="PT15S")
    assert moved.seconds < POLL_INTERVAL
    assert abs(moved.duplicates - per_second * moved.seconds) <= max(2.0, per_second)
    keep_duplicates(moved)
