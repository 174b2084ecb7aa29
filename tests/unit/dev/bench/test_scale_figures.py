"""What the benchmarks of waiting tasks and of past runs make of their samples."""

from __future__ import annotations

from typing import Any

import pytest

from dev.bench import past_runs, waiting
from dev.bench.waiting import MOST_PER_MINUTE, Case


def sample(at: float, *, mib: float = 100.0, cpu: float = 0.0, lags: tuple[float, ...] = (0.1, 0.2)) -> dict[str, Any]:
    return {"at": at, "rss": int(mib * 1024**2), "cpu": cpu, "lags_ms": list(lags)}


def test_row_counts_requests_of_any_minute_and_of_each_second() -> None:
    """A minute begins with any request, not with the clock's."""
    calls = [0.0, 50.0, 50.5, 100.0, 109.9, 110.1]
    row = waiting._row(Case("1 sensor", 1), [sample(0.0), sample(100.0, cpu=2.0)], calls, None)
    assert (row["most_a_minute"], row["most_a_second"]) == (4, 2)
    assert row["cpu_percent"] == 2.0
    assert row["met"] is True
    assert row["kib_per_trigger"] == ""


def test_memory_of_a_trigger_is_what_each_further_one_takes() -> None:
    one = waiting._row(Case("1 sensor", 1), [sample(0.0), sample(1.0)], [0.0], None)
    many = waiting._row(Case("11 sensors", 11), [sample(0.0, mib=110), sample(1.0, mib=110)], [0.0], one)
    assert many["kib_per_trigger"] == 1024.0


@pytest.mark.parametrize(("requests", "met"), [(MOST_PER_MINUTE, True), (MOST_PER_MINUTE + 1, False)])
def test_documented_limit_is_a_goal(requests: int, met: bool) -> None:
    calls = [number / 100 for number in range(requests)]
    row = waiting._row(Case("many", 1), [sample(0.0), sample(1.0)], calls, None)
    assert row["met"] is met
    assert len(waiting.missed([row])) == (not met)


def test_lags_are_ordered_before_they_are_judged() -> None:
    lags = tuple(float(number) for number in reversed(range(100)))
    row = waiting._row(Case("1 sensor", 1), [sample(0.0, lags=lags), sample(1.0, lags=())], [0.0], None)
    assert (row["lag_p50_ms"], row["lag_p99_ms"], row["lag_max_ms"]) == (50.0, 99.0, 99.0)


@pytest.mark.parametrize(("last", "met"), [(500.0, True), (1500.0, True), (1501.0, False)])
def test_a_step_may_grow_as_the_number_of_runs_does(last: float, met: bool) -> None:
    row = past_runs._row("preflight", [90.0, 100.0, last])
    assert row["met"] is met
    assert len(past_runs.missed([row])) == (not met)
