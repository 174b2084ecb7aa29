from __future__ import annotations

import asyncio

import pytest

from featurebase_provider.sandbox.cancelling import cancel_all
from featurebase_provider.sandbox.clock import MAX_SPEED, RetryClock
from featurebase_provider.sandbox.timestamps import iso_ms


def test_clock_counts_faster_seconds_from_a_change_of_speed_on():
    real = [100.0]
    clock = RetryClock(lambda: real[0])
    real[0] += 2
    assert clock.now() == 2
    clock.speed = 60
    assert clock.now() == 2
    real[0] += 3
    assert clock.now() == 2 + 3 * 60
    clock.speed = 0.5
    real[0] += 4
    assert clock.now() == 2 + 3 * 60 + 2


@pytest.mark.parametrize("speed", [0, -1, MAX_SPEED + 1, float("nan"), float("inf")])
def test_impossible_speeds_are_refused(speed):
    clock = RetryClock()
    with pytest.raises(ValueError, match="speed must be above 0"):
        clock.speed = speed
    assert clock.speed == 1


@pytest.mark.asyncio
async def test_sleepers_notice_every_change_of_speed():
    clock = RetryClock()
    sleeper = asyncio.create_task(clock.sleep(7200))
    for speed in (2, 1, 720_000):  # the last leaves 10 ms
        await asyncio.sleep(0)
        assert not sleeper.done()
        clock.speed = speed
    await asyncio.wait_for(sleeper, 2)
    assert clock.now() >= 7200


def test_times_are_written_with_three_decimals():
    assert iso_ms(1_768_473_000_007) == "2026-01-15T10:30:00.007Z"


@pytest.mark.asyncio
async def test_background_tasks_end_even_when_a_cancellation_is_lost():
    """As in asyncio.wait_for before Python 3.12."""
    lost = []

    async def stubborn():
        while len(lost) < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                lost.append(True)
        await asyncio.sleep(3600)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_all([task]), 5)
    assert task.cancelled()
