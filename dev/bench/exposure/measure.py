"""Lets the contestants take turns, and compares them within each round."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.bench.exposure.places import CONTESTANTS, LATENCIES, STORES
from dev.bench.exposure.samples import Sample, take
from dev.bench.exposure.world import ExposureWorld

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_OF_FLOOR: Mapping[int, float] = {0: 2.0, 80: 1.25}
LEAST_OF_USUAL: Mapping[int, float] = {0: 30.0, 80: 10.0}
"""By latency: how long ours may take beside the floor, and how much longer the usual Dag must take than ours."""


@dataclass(frozen=True)
class Round:
    """A sample of each contestant at one latency, taken one after the other.

    :param samples: by contestant.
    """

    latency: int
    samples: Mapping[str, Sample]

    def ratio(self, contestant: str, other: str) -> float:
        """One's exposure beside the other's."""
        return self.samples[contestant].exposure / self.samples[other].exposure


@dataclass(frozen=True)
class Exposure:
    """All rounds, and what follows from them."""

    rounds: Sequence[Round]

    @property
    def vs_floor(self) -> dict[int, float]:
        """Ours beside the floor, by latency: medians of paired ratios."""
        return {latency: self._median_ratio(latency, "ours", "floor") for latency in LATENCIES}

    @property
    def usual_vs(self) -> dict[int, float]:
        """The usual Dag beside ours, by latency: medians of paired ratios."""
        return {latency: self._median_ratio(latency, "usual", "ours") for latency in LATENCIES}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each contestant at each latency: the exposure, which is that of its slowest store."""
        return [row for latency in LATENCIES for row in self._rows(latency)]

    def _rows(self, latency: int) -> list[dict[str, Any]]:
        floor, ours, usual = (f"{name}, {latency} ms a call" for name in ("floor", "ours", "usual Dag"))
        vs_floor, usual_vs = self.vs_floor[latency], self.usual_vs[latency]
        most, least = MOST_OF_FLOOR[latency], LEAST_OF_USUAL[latency]
        one_call = [max(sample.one_call.values()) for sample in self._samples(latency, "floor")]
        return [
            _row(floor, self._exposures(latency, "floor")),
            _row(f"{floor}, one call per store", one_call),
            _row(ours, self._exposures(latency, "ours"), vs_floor, f"at most {most} x floor", met=vs_floor <= most),
            _row(usual, self._exposures(latency, "usual"), usual_vs, f"at least {least} x ours", met=usual_vs >= least),
        ]

    def rows_by_store(self) -> list[dict[str, Any]]:
        """A row for each store at each latency: medians in milliseconds."""
        return [self._store_row(latency, store) for latency in LATENCIES for store in STORES]

    def _store_row(self, latency: int, store: str) -> dict[str, Any]:
        ours, floor = self._samples(latency, "ours"), self._samples(latency, "floor")
        times = {
            "floor_ms": [sample.readable[store] for sample in floor],
            "readable_ms": [sample.readable[store] for sample in ours],
            "seen_ms": [sample.seen[store] for sample in ours if store in sample.seen],
            "confirmed_ms": [sample.confirmed[store] for sample in ours],
            "usual_ms": [sample.readable[store] for sample in self._samples(latency, "usual")],
        }
        medians = {name: round(statistics.median(values), 1) if values else "" for name, values in times.items()}
        late = sum(store in sample.late for sample in ours)
        return {"name": f"{store}, {latency} ms a call", **medians, "seen_late": late}

    def missed(self) -> list[str]:
        """The goals that were not reached, and what readers saw too late."""
        goals = [f"{row['name']}: {row['ratio']}, {row['goal']}" for row in self.rows() if row["met"] is False]
        late = [
            f"{row['name']}: in {row['seen_late']} runs a reader got the old secret after we called it readable"
            for row in self.rows_by_store()
            if row["seen_late"]
        ]
        return goals + late

    def as_json(self) -> dict[str, Any]:
        """What bench.json has beside the rows."""
        samples = [
            {"round": number, **one.samples[contestant].as_json()}
            for number, one in enumerate(self.rounds)
            for contestant in CONTESTANTS
        ]
        return {
            "exposure_vs_floor": {str(latency): round(ratio, 2) for latency, ratio in self.vs_floor.items()},
            "usual_vs_exposure": {str(latency): round(ratio, 1) for latency, ratio in self.usual_vs.items()},
            "exposure_samples": samples,
        }

    def _samples(self, latency: int, contestant: str) -> list[Sample]:
        return [one.samples[contestant] for one in self.rounds if one.latency == latency]

    def _exposures(self, latency: int, contestant: str) -> list[float]:
        return [sample.exposure for sample in self._samples(latency, contestant)]

    def _median_ratio(self, latency: int, contestant: str, other: str) -> float:
        return statistics.median(one.ratio(contestant, other) for one in self.rounds if one.latency == latency)


def measure(runs: int) -> Exposure:
    """Rotate ``runs`` times with each contestant at each latency, and once more beforehand, which does not count.

    :raises DemoError: something did not start, or a run failed.
    """
    with ExposureWorld(_say) as world:
        places = {(place.contestant, place.latency): place for place in world.places}
        rounds = []
        for number in range(runs + 1):
            for latency in LATENCIES:
                first = number % len(CONTESTANTS)
                order = (*CONTESTANTS[first:], *CONTESTANTS[:first])
                samples = {contestant: take(world, places[contestant, latency]) for contestant in order}
                one = Round(latency, samples)
                told = ", ".join(f"{name} {samples[name].exposure:.0f} ms" for name in CONTESTANTS)
                _say(f"round {number or 'that does not count'}, {latency} ms a call: {told}")
                if number:
                    rounds.append(one)
        return Exposure(rounds)


def _say(text: str) -> None:
    print(f"exposure: {text}", file=sys.stderr, flush=True)


def _row(
    name: str, values: Sequence[float], ratio: float | None = None, goal: str = "", *, met: bool | str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "runs": len(values),
        "median_ms": round(statistics.median(values), 1),
        "min_ms": round(min(values), 1),
        "max_ms": round(max(values), 1),
        "ratio": "" if ratio is None else round(ratio, 2),
        "goal": goal,
        "met": met,
    }
