"""What a StatsD hears of whole runs, with and without tags, through Airflow's own client."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

from tests.airflow.test_audit import AUDIT, load
from tests.servers.statsd import StatsD
from tests.servers.statsd_exporter import StatsDExporter
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.statsd import Figure
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


@contextmanager
def told_to(settings: dict[str, str]) -> Iterator[None]:
    """Airflow's own client tells this StatsD."""
    clients = []

    def connect() -> Any:
        clients.append(get_stats_factory()())
        return clients[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        # What a task's process does when it starts.
        stats.initialize(factory=connect, export_legacy_names=True)
        yield
    for client in clients:
        client.statsd.close()
    stats.initialize(factory=get_stats_factory(), export_legacy_names=True)


@pytest.fixture(params=[False, True], ids=["without tags", "with tags"])
def statsd(request: pytest.FixtureRequest) -> Iterator[StatsD]:
    with StatsD(tags=request.param) as listener, told_to(listener.settings):
        yield listener


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


@pytest.mark.parametrize("tags", [False, True], ids=["without tags", "with tags"])
def test_prometheus_reads_what_the_page_lists(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path, tags: bool
) -> None:
    """Through the real statsd_exporter and the mapping of docs/monitoring: names, labels, and seconds."""
    exporter = StatsDExporter(tags=tags)
    dags = load(airflow, tmp_path, [world.entry(probe=None, max_age="P1D", min_age=None)])
    with told_to(exporter.settings):
        run = airflow.start(dags[f"featurebase_rotate__{world.name}"], {"mode": "rotate"})
        assert run.state == "success", run.errors
        airflow.start(dags[AUDIT])
    figures = exporter.figures("featurebase_drifted_stores")
    print(*(f"{name} {values}" for name, values in sorted(figures.items())), sep="\n")
    webhook = f'webhook="{world.name}"'
    about = {"mode": "rotate", "outcome": "rotated", "webhook": world.name} if tags else {"outcome": "rotated"}
    labels = ",".join(f'{name}="{value}"' for name, value in about.items())
    assert figures["featurebase_rotations_total"] == {labels: 1}
    assert figures["featurebase_drifted_stores"] == {webhook: 0}
    assert 0 <= figures["featurebase_secret_age_days"][webhook] < 0.01
    assert figures["featurebase_days_to_max_age"][webhook] == pytest.approx(1, abs=0.01)
    for store in run.report["stores"]:
        for name, milliseconds in (("exposure_confirmed", store["exposure_ms"]), ("store_write", store["write_ms"])):
            sums = figures[f"featurebase_{name}_seconds_sum"]
            (total,) = (value for labels, value in sums.items() if f'type="{store["label"]}"' in labels)
            assert total == pytest.approx(milliseconds / 1000, abs=0.001)
    assert any('task="preflight"' in labels for labels in figures["featurebase_task_tries_total"])
