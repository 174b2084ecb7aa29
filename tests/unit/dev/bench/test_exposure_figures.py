"""The exposure benchmark's judgement: ratios are of pairs, and a reader that contradicts us is found."""

from __future__ import annotations

import pytest

from dev.bench.exposure.measure import Exposure, Round
from dev.bench.exposure.places import LATENCIES, STORES
from dev.bench.exposure.readers import Sight
from dev.bench.exposure.samples import Sample, late_stores

POSTED = 1000.0
READABLE = dict.fromkeys(STORES, 50.0)
"""Milliseconds after POSTED."""


def sample(contestant: str, latency: int, slowest: float, *, late: tuple[str, ...] = ()) -> Sample:
    """All stores at once but the last one."""
    times = {**dict.fromkeys(STORES, 1.0), STORES[-1]: slowest}
    return Sample(contestant, latency, times, confirmed=times, one_call=times, seen=times, late=late)


def rounds(*exposures: tuple[float, float, float], late: tuple[str, ...] = ()) -> Exposure:
    """Rounds of floor, ours and usual, the same at each latency."""
    return Exposure(
        [
            Round(
                latency,
                {
                    "floor": sample("floor", latency, floor),
                    "ours": sample("ours", latency, ours, late=late),
                    "usual": sample("usual", latency, usual),
                },
            )
            for floor, ours, usual in exposures
            for latency in LATENCIES
        ]
    )


def sights(**changes: Sight) -> dict[str, Sight]:
    """Readers that got the new secret at once, but for these."""
    return {**dict.fromkeys(STORES, Sight(POSTED + 0.040, POSTED + 0.051)), **changes}


def test_ratios_are_medians_of_pairs() -> None:
    """A busy moment of the machine, which slows a whole round, moves no ratio."""
    found = rounds((10, 11, 1100), (100, 110, 11000), (10, 12, 1200))

    assert found.vs_floor == {latency: pytest.approx(1.1) for latency in LATENCIES}
    assert found.usual_vs == {latency: pytest.approx(100) for latency in LATENCIES}


def test_goals_are_told_by_latency() -> None:
    """1.5 times the floor is enough without latency, and too much with 80 ms a call."""
    missed = rounds((10, 15, 1500)).missed()

    assert missed == ["ours, 80 ms a call: 1.5, at most 1.25 x floor"]


def test_a_usual_dag_that_is_too_fast_misses_the_goal() -> None:
    """12 times ours is enough with 80 ms a call only."""
    missed = rounds((10, 10, 120)).missed()

    assert missed == ["usual Dag, 0 ms a call: 12.0, at least 30.0 x ours"]


def test_a_reader_that_saw_it_late_fails_the_benchmark() -> None:
    """However fast we say that we were."""
    missed = rounds((10, 10, 1000), late=("aws_ssm",)).missed()

    assert len(missed) == len(LATENCIES)
    assert all("aws_ssm" in problem and "in 1 runs" in problem for problem in missed)


def test_every_sample_is_kept() -> None:
    """bench.json has each contestant of each round, and both ratios by latency."""
    kept = rounds((10, 11, 1100), (10, 11, 1100)).as_json()

    assert len(kept["exposure_samples"]) == 2 * len(LATENCIES) * 3
    assert kept["exposure_vs_floor"] == {"0": 1.1, "80": 1.1}
    assert kept["usual_vs_exposure"] == {"0": 100.0, "80": 100.0}


def test_no_reader_is_late() -> None:
    """The old secret may be read by a read that began before we called the store readable."""
    assert late_stores(sights(aws_ssm=Sight(POSTED + 0.049, POSTED + 0.200)), POSTED, READABLE, 0) == ()


def test_an_old_secret_read_after_that_is_late() -> None:
    """By a read that began a millisecond later."""
    assert late_stores(sights(aws_ssm=Sight(POSTED + 0.051, POSTED + 0.060)), POSTED, READABLE, 0) == ("aws_ssm",)


def test_one_latency_is_allowed() -> None:
    """The store's answer is under way as long."""
    late = sights(aws_ssm=Sight(POSTED + 0.125, POSTED + 0.130), hashicorp_vault=Sight(POSTED + 0.135, POSTED + 0.140))

    assert late_stores(late, POSTED, READABLE, 80) == ("hashicorp_vault",)


def test_a_secret_that_no_reader_got_is_late() -> None:
    """However early we called it readable."""
    seen = sights()
    del seen["object_storage"]

    assert late_stores(seen, POSTED, READABLE, 80) == ("object_storage",)
