"""One run of one contestant: what it wrote when, and what readers saw of it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dev.airflow.processes import DemoError
from dev.bench.exposure.places import STORES
from dev.bench.exposure.readers import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dev.bench.exposure.places import Place
    from dev.bench.exposure.readers import Sight
    from dev.bench.exposure.world import ExposureWorld

RUN_SECONDS = 120.0
POLL_SECONDS = 0.5
REST_SECONDS = 0.5
"""After each run, for what Airflow has to do when a run has ended."""


@dataclass(frozen=True)
class Sample:
    """Times in milliseconds by store. Ours and the floor count from just before they send the refresh, the usual Dag
    from its arrival in the sandbox, which spares it the way there.

    :param readable: until the store had answered the write after which its readers get the new secret.
    :param confirmed: ours: until it was read back.
    :param one_call: the floor: the same as ``readable`` where each store is written by one call.
    :param seen: ours: until a reader had got it.
    :param late: ours: stores whose reader got the old secret by a read that began too long after ``readable``.
    """

    contestant: str
    latency: int
    readable: Mapping[str, float]
    confirmed: Mapping[str, float] = field(default_factory=dict)
    one_call: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, float] = field(default_factory=dict)
    late: tuple[str, ...] = ()

    @property
    def exposure(self) -> float:
        """Until the last store was readable."""
        return max(self.readable.values())

    def as_json(self) -> dict[str, Any]:
        """For bench.json."""
        texts = {
            name: {store: round(time, 1) for store, time in value.items()} if isinstance(value, dict) else value
            for name, value in asdict(self).items()
        }
        return {**texts, "exposure": round(self.exposure, 1)}


def take(world: ExposureWorld, place: Place) -> Sample:
    """Let the contestant rotate once, and check that every store holds what Featurebase holds.

    :raises DemoError: the run failed, or a store holds something else.
    """
    sample = {"floor": _floor, "ours": _ours, "usual": _usual}[place.contestant](world, place)
    current = world.secret(place)
    wrong = [store for store, held in world.servers.holds(place).items() if held != current]
    if wrong:
        raise DemoError(f"{place.dag_id}: not Featurebase's current secret in {', '.join(wrong)}")
    time.sleep(REST_SECONDS)
    return sample


def _floor(world: ExposureWorld, place: Place) -> Sample:
    # Watched as ours is: the readers' load is part of both.
    with Watch(world.servers, place, world.secret(place)):
        run = _run(world, place)
    times = world.airflow.api.xcom(place.dag_id, run, "floor")
    return Sample(place.contestant, place.latency, times["least"], one_call=times["one_call"])


def _ours(world: ExposureWorld, place: Place) -> Sample:
    with Watch(world.servers, place, world.secret(place)) as watch:
        run = _run(world, place)
    if watch.errors:
        raise DemoError(f"{place.dag_id}: readers failed: {watch.errors}")
    outcome = world.airflow.api.xcom(place.dag_id, run, "rotate")
    posted, stores = outcome["posted"]["monotonic"], outcome["stores"]
    readable = {store: stores[store]["readable_ms"] for store in STORES}
    return Sample(
        place.contestant,
        place.latency,
        readable,
        confirmed={store: stores[store]["confirmed_ms"] for store in STORES},
        seen={store: (sight.at - posted) * 1000 for store, sight in watch.sights.items()},
        late=late_stores(watch.sights, posted, readable, place.latency),
    )


def late_stores(
    sights: Mapping[str, Sight], posted: float, readable: Mapping[str, float], latency: float
) -> tuple[str, ...]:
    """Stores whose reader never got the new secret, or got the old one by a read that began after we said otherwise.

    :param posted: ``time.monotonic()`` seconds from which ``readable`` counts.
    :param latency: milliseconds that are allowed beside.
    """
    return tuple(
        store
        for store in STORES
        if store not in sights or (sights[store].still_old - posted) * 1000 > readable[store] + latency
    )


def _usual(world: ExposureWorld, place: Place) -> Sample:
    run = _run(world, place)
    began = world.refreshed_at(place)
    ended = {store: world.airflow.api.xcom(place.dag_id, run, store) for store in STORES}
    return Sample(place.contestant, place.latency, {store: (at - began) * 1000 for store, at in ended.items()})


def _run(world: ExposureWorld, place: Place) -> str:
    """Run its Dag; its run id."""
    api = world.airflow.api
    run = api.trigger(place.dag_id)
    deadline = time.monotonic() + RUN_SECONDS
    while (state := api.run_state(place.dag_id, run)) != "success":
        if state == "failed" or time.monotonic() > deadline:
            raise DemoError(f"{place.dag_id}: the run is {state}; read the task logs in {world.airflow.home}/logs")
        time.sleep(POLL_SECONDS)
    return run
