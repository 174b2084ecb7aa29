from __future__ import annotations

import asyncio

import pytest

from featurebase_provider.sandbox.cancelling import cancel_all
from featurebase_provider.sandbox.clock import MAX_SPEED, SandboxClock, iso_ms, iso_seconds


class Time:
    """Real seconds, as the test lets them pass."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def wall(self) -> float:
        return 1_700_000_000 + self.seconds

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def real():
    return Time()


@pytest.fixture
def clock(real):
    return SandboxClock(real.wall, real.monotonic)


async def settled():
    """Nothing that a job began goes on after it."""


@pytest.mark.parametrize("speed", [0, -1, MAX_SPEED + 1, float("nan"), float("inf")])
def test_impossible_speeds_are_refused(clock, speed):
    with pytest.raises(ValueError, match="speed must be above 0"):
        clock.speed = speed
    assert clock.speed == 1


@pytest.mark.asyncio
async def test_speed_counts_for_jobs_and_not_for_the_servers_time(clock, real):
    done = []
    clock.speed = 60
    clock.call_later(121, lambda: done.append(True))
    real.seconds += 2
    assert clock.unix() == real.wall()
    assert clock.ahead == 0
    await clock.advance(0.9, settled)
    assert not done
    await clock.advance(0.1, settled)
    assert done


@pytest.mark.asyncio
async def test_every_change_of_speed_counts_for_jobs_that_wait_already():
    clock = SandboxClock()
    rang = asyncio.Event()
    clock.call_later(7200, rang.set)
    for speed in (2, 1, 720_000):  # the last leaves 10 ms
        await asyncio.sleep(0)
        assert not rang.is_set()
        clock.speed = speed
    await asyncio.wait_for(rang.wait(), 2)


@pytest.mark.asyncio
async def test_time_moves_on_by_exactly_that_much_and_stops_at_each_job(clock, real):
    """Whatever the order in which they were asked for; a job that a job asks for has its turn, too."""
    began, told = real.wall(), []

    def tell(name):
        told.append((name, clock.unix() - began))

    def first():
        tell("first")
        clock.call_later(1000, lambda: tell("between"))

    clock.call_later(3600, lambda: tell("second"))
    clock.call_later(60, first)
    clock.call_later(3600.5, lambda: tell("never"))
    await clock.advance(3600, settled)
    assert told == [("first", 60), ("between", 1060), ("second", 3600)]
    assert (clock.unix() - began, clock.ahead) == (3600, 3600)
    assert clock.unix_ms() == int((began + 3600) * 1000)


@pytest.mark.asyncio
async def test_job_is_over_before_the_next_one_begins(clock):
    """As an attempt to deliver, which is a task of its own: its retry is found, though it is asked for at the end."""
    told, under_way = [], set()

    def begin(name, *later):
        async def work():
            told.append(f"{name} begins")
            await asyncio.sleep(0.01)
            told.append(f"{name} ends")
            if later:
                clock.call_later(60, lambda: begin(*later))

        under_way.add(asyncio.create_task(work()))

    async def settle():
        if under_way:
            await asyncio.wait({under_way.pop()})

    begin("a", "b", "c")  # before the clock is moved
    clock.call_later(100, lambda: begin("x"))
    await clock.advance(120, settle)
    assert told == [f"{name} {what}" for name in ("a", "b", "x", "c") for what in ("begins", "ends")]


@pytest.mark.asyncio
async def test_nothing_begins_by_itself_while_the_time_is_moved():
    """What was signed at one hour would be verified at another."""
    clock, at = SandboxClock(), []
    clock.call_later(0.02, lambda: at.append(clock.ahead))
    clock.call_later(3600, lambda: at.append(clock.ahead))

    async def slow():
        await asyncio.sleep(0.05)  # the first job comes due meanwhile

    moving = asyncio.create_task(clock.advance(7200, slow))
    await asyncio.sleep(0.04)
    assert at == []
    waiting = asyncio.create_task(clock.stands())
    await moving
    assert at[0] < 1 < 3598 < at[1] < 3601
    await asyncio.wait_for(waiting, 1)
    rang = asyncio.Event()
    clock.call_later(0.01, rang.set)
    await asyncio.wait_for(rang.wait(), 2)


@pytest.mark.asyncio
async def test_two_moves_at_once_come_one_after_the_other(clock, real):
    began, told = real.wall(), []
    for at in (10, 30):
        clock.call_later(at, lambda: told.append(clock.unix() - began))

    async def slow():
        await asyncio.sleep(0.005)

    await asyncio.gather(clock.advance(20, slow), clock.advance(20, slow))
    assert told == [10, 30]
    assert clock.ahead == 40


@pytest.mark.asyncio
async def test_closed_clock_calls_nothing_any_more():
    clock = SandboxClock()
    called = []
    clock.call_later(0.01, lambda: called.append("before"))
    clock.close()
    clock.call_later(0, lambda: called.append("after"))
    await asyncio.sleep(0.03)
    await clock.advance(60, settled)
    assert called == []


def test_times_are_written_with_three_decimals_or_none():
    """The shorter one is cut, not rounded, as a database cuts it."""
    assert iso_ms(1_768_473_000_007) == "2026-01-15T10:30:00.007Z"
    assert iso_seconds(1_768_473_000_999) == "2026-01-15T10:30:00Z"


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
