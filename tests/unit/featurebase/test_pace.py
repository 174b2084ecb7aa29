"""Turns to call the API: spread over time, and held while Featurebase asks for it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from featurebase_provider.featurebase.answers import RawAnswer
from featurebase_provider.featurebase.pace import CALLS_PER_MINUTE, SLOWER, Pace
from featurebase_provider.featurebase.retries import LONGEST_WAIT

NOW = 1_768_473_000.0


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    return Pace(60, monotonic=time.monotonic, sleep=time.sleep)


def answer(status: int = 200, **headers: str) -> RawAnswer:
    return RawAnswer(httpx.Response(status, headers={name.replace("_", "-"): text for name, text in headers.items()}))


def test_two_triggerers_stay_within_the_documented_limit() -> None:
    """2,000 calls a minute for an API key."""
    assert 2 * CALLS_PER_MINUTE <= 2000


@pytest.mark.asyncio
async def test_first_turn_comes_at_once_and_the_others_one_after_another(time: Time, pace: Pace) -> None:
    async def one() -> float:
        await pace.turn()
        return time.now - 100.0

    assert await asyncio.gather(*[one() for _ in range(5)]) == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.asyncio
async def test_unused_turns_are_not_saved_up(time: Time, pace: Pace) -> None:
    """After a quiet hour 200 callers still come one after another."""
    await pace.turn()
    time.now += 3600
    began = time.now
    for _ in range(3):
        await pace.turn()
    assert time.now - began == 2.0


@pytest.mark.asyncio
async def test_cancelled_caller_frees_its_turn(time: Time, pace: Pace) -> None:
    await pace.turn()
    waiting = [asyncio.create_task(pace.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert time.now == 102.0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "held"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"X_RateLimit_Reset": str(NOW + 20)}, 20.0),
        ({"X_RateLimit_Reset": "12"}, 12.0),
        ({}, 60.0),  # until the window has certainly ended
        ({"Retry_After": "86400"}, LONGEST_WAIT),
    ],
)
async def test_nobody_calls_after_a_429_until_featurebase_says(
    time: Time, pace: Pace, headers: dict[str, str], held: float
) -> None:
    pace.observe(answer(429, **headers), NOW)
    await pace.turn()
    assert time.now - 100.0 == held


@pytest.mark.asyncio
async def test_a_429_holds_those_who_wait_already(time: Time, pace: Pace) -> None:
    await pace.turn()
    waiting = asyncio.create_task(pace.turn())
    await asyncio.sleep(0)
    pace.observe(answer(429, Retry_After="30"), NOW)
    await waiting
    assert time.now - 100.0 == 30.0


@pytest.mark.asyncio
async def test_turns_are_slower_while_others_use_up_the_limit(time: Time, pace: Pace) -> None:
    """A quarter of the window's calls is left to those who must not wait, such as a rotation."""
    pace.observe(answer(X_RateLimit_Limit="2000", X_RateLimit_Remaining="499", X_RateLimit_Reset="10"), NOW)
    moments = []
    for _ in range(5):
        await pace.turn()
        moments.append(time.now - 100.0)
    assert moments == [0.0, SLOWER, 2 * SLOWER, 3 * SLOWER, 3 * SLOWER + 1]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        {"X_RateLimit_Limit": "2000", "X_RateLimit_Remaining": "500", "X_RateLimit_Reset": "10"},
        {"X_RateLimit_Limit": "2000", "X_RateLimit_Remaining": "3"},
        {"X_RateLimit_Limit": "many", "X_RateLimit_Remaining": "-1", "X_RateLimit_Reset": "10"},
        {},
    ],
)
async def test_enough_left_or_headers_that_say_nothing_change_nothing(
    time: Time, pace: Pace, headers: dict[str, str]
) -> None:
    pace.observe(answer(**headers), NOW)
    await pace.turn()
    await pace.turn()
    assert time.now - 100.0 == 1.0
