"""What a StatsD hears of whole runs, with and without tags, through Airflow's own client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

from tests.airflow.test_audit import AUDIT, load
from tests.servers.statsd import StatsD
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.statsd import Figure
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


@pytest.fixture(params=[False, True], ids=["without tags", "with tags"])
def statsd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    with StatsD(tags=request.param) as listener:
        for name, value in listener.settings.items():
            monkeypatch.setenv(name, value)
        clients = []

        def connect() -> Any:
            clients.append(get_stats_factory()())
            return clients[-1]

        # What a task's process does when it starts.
        stats.initialize(factory=connect, export_legacy_names=True)
        yield listener
    monkeypatch.undo()
    for client in clients:
        client.statsd.close()
    stats.initialize(factory=get_stats_factory(), export_legacy_names=True)


def heard(statsd: StatsD, *names: str) -> list[Figure]:
    """The figures whose names begin so, as they arrived. The last packet may still be on its way."""
    statsd.catch_up()
    return [figure for figure in statsd.figures if figure.name.startswith(names)]


def test_a_rotation_and_an_audit_are_told(
    airflow: InProcessAirflow, world: FeaturebaseWorld, statsd: StatsD, tmp_path: Path
) -> None:
    """The outcome, the type and the webhook are in the names; tags say the same where they are on."""
    dags = load(airflow, tmp_path, [world.entry(probe=None, max_age="P1D", min_age=None)])
    run = airflow.start(dags[f"featurebase_rotate__{world.name}"], {"mode": "rotate"})
    assert run.state == "success", run.errors

    (outcome,) = heard(statsd, "rotation.")
    assert (outcome.name, outcome.value, outcome.kind) == ("rotation.rotated", 1, "c")
    tagged = bool(outcome.tags)
    assert outcome.tags == ({"webhook": world.name, "outcome": "rotated", "mode": "rotate"} if tagged else {})
    stores = {store["label"]: store for store in run.report["stores"]}
    types = {"airflow_variable", "object_storage"}
    assert {figure.name for figure in heard(statsd, "store_write.")} == {f"store_write.{one}" for one in types}
    fields = {"store_write": "write_ms", "exposure.readable": "readable_ms", "exposure.confirmed": "confirmed_ms"}
    for figure in heard(statsd, "store_write.", "exposure."):
        what, _, store_type = figure.name.rpartition(".")
        said = stores[store_type][fields[what]]
        assert (figure.kind, figure.value) == ("ms", pytest.approx(said, abs=0.001))
        assert figure.tags == ({"webhook": world.name, "store": store_type, "type": store_type} if tagged else {})
    exposures = {f"exposure.{what}.{one}" for what in ("readable", "confirmed") for one in types}
    assert {figure.name for figure in heard(statsd, "exposure.")} == exposures
    assert heard(statsd, "refusals_seen") == []

    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    airflow.start(dags[AUDIT])
    (age,) = heard(statsd, f"secret_age_days.{world.name}")
    (left,) = heard(statsd, f"days_to_max_age.{world.name}")
    (drifted,) = heard(statsd, f"drifted_stores.{world.name}")
    assert {figure.kind for figure in (age, left, drifted)} == {"g"}
    assert (0 <= age.value < 0.01, left.value, drifted.value) == (True, pytest.approx(1 - age.value, abs=0.001), 2)
    assert age.tags == ({"webhook": world.name} if tagged else {})


def test_an_overdue_secret_has_fewer_than_no_days_left(
    airflow: InProcessAirflow, world: FeaturebaseWorld, statsd: StatsD, tmp_path: Path
) -> None:
    """In StatsD's own protocol a negative gauge is a change, so the client sets it to 0 first."""
    dags = load(airflow, tmp_path, [world.entry(probe=None, max_age="PT1S", min_age=None)])
    airflow.start(dags[f"featurebase_rotate__{world.name}"], {"mode": "rotate"})
    time.sleep(1.5)
    airflow.start(dags[AUDIT])
    first, then = heard(statsd, f"days_to_max_age.{world.name}")
    assert first.value == 0
    assert -1 < then.value < 0


def test_a_pair_exposes_nothing(airflow: InProcessAirflow, statsd: StatsD, tmp_path: Path) -> None:
    """Nobody depends on the secret that is refreshed; its writes are timed all the same."""
    with PairWorld(tmp_path, moves_on=True) as pair:
        airflow.connect(pair.conn_id, host=pair.url, password=pair.api_key)
        dags = load(airflow, tmp_path, [pair.pair_entry()])
        with pair.events():
            run = airflow.start(dags[f"featurebase_rotate__{pair.name}"], {"mode": "rotate"})
        assert run.state == "success", run.errors
        airflow.start(dags[AUDIT])
    names = {figure.name for figure in heard(statsd, "")}
    assert {"rotation.rotated", "store_write.object_storage", f"secret_age_days.{pair.name}"} <= names
    assert f"drifted_stores.{pair.name}" in names
    assert not any(name.startswith("exposure.") for name in names)
