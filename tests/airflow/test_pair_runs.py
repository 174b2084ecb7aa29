"""Whole Dag runs of a pair in a real Airflow database: deliveries move, and none is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow


@pytest.fixture
def pair(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[PairWorld]:
    with PairWorld(tmp_path, moves_on=True) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield world


def test_deliveries_move_to_the_standby_and_none_is_refused(airflow: InProcessAirflow, pair: PairWorld) -> None:
    old, before = pair.secret_of(pair.webhook_id), pair.secret_of(pair.standby_id)
    dag = airflow.load(pair.pair_entry())

    with pair.events():
        run = airflow.start(dag)

    assert run.state == "success", run.errors
    assert pair.statuses == ["paused", "active"]
    new = pair.secret_of(pair.standby_id)
    assert new != before
    assert pair.secret_of(pair.webhook_id) == old
    assert pair.held == (old, new), "a secret that a reader may be about to read stays in its place"
    assert pair.refused == []
    report = run.report
    assert report["outcome"] == "rotated"
    assert report["pair"]["statuses"] == dict(zip(pair.ids, pair.statuses, strict=True))
    assert report["pair"]["refused"] == 0
    assert report["pair"]["activated_at"] < report["pair"]["paused_at"]


def test_a_receiver_with_one_secret_only_is_found_by_the_probe(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """Nothing is refused, nothing moves, and the stores are as before."""
    old = pair.secret_of(pair.webhook_id)
    store = pair.pair_store(previous_key="NOBODY_READS_THIS")
    dag = airflow.load(pair.pair_entry(stores=[store]))

    with pair.events():
        run = airflow.start(dag)

    assert run.state == "failed"
    assert (run.states["probe"], run.states["activate"]) == ("failed", "upstream_failed")
    assert pair.statuses == ["active", "paused"]
    assert pair.secret_file.read_text().count("whsec_") == 1
    assert old in pair.secret_file.read_text()
    assert pair.refused == []
    assert "No delivery was refused" in run.report["advice"]


def test_the_stores_forget_the_old_half_after_a_while(airflow: InProcessAirflow, pair: PairWorld) -> None:
    dag = airflow.load(pair.pair_entry())
    old = pair.secret_of(pair.webhook_id)
    with pair.events():
        assert airflow.start(dag).state == "success"
    new = pair.secret_of(pair.standby_id)
    assert airflow.start(dag, {"mode": "distribute"}).state == "success"
    assert pair.held == (old, new)

    pair.wait(timedelta(hours=9))
    run = airflow.start(dag, {"mode": "distribute"})
    assert run.state == "success", run.errors
    assert pair.held == (new, new), "first both places hold it"
    pair.wait(timedelta(hours=9))
    run = airflow.start(dag, {"mode": "distribute"})
    assert run.state == "success", run.errors
    assert pair.held == (new, None)
    assert pair.statuses == ["paused", "active"]

    with pair.events():
        run = airflow.start(dag, {"mode": "rotate"})
    assert run.state == "success", run.errors
    assert pair.statuses == ["active", "paused"]
    assert pair.held == (new, pair.secret_of(pair.webhook_id))
    assert pair.refused == []


def test_a_finished_run_can_be_cleared_after_the_drain(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """Every task finds its work done, although the receiver does not accept the old half's secret any more."""
    dag = airflow.load(pair.pair_entry())
    with pair.events():
        run = airflow.start(dag)
        assert run.state == "success", run.errors
        new = pair.secret_of(pair.standby_id)
        for _ in range(2):
            pair.wait(timedelta(hours=9))
            assert airflow.start(dag, {"mode": "distribute"}).state == "success"
        assert pair.held == (new, None)
        airflow.clear(run)
    assert run.state == "success", run.errors
    assert (pair.statuses, pair.held) == (["paused", "active"], (new, None))
    assert pair.secret_of(pair.standby_id) == new
    assert pair.refused == []
    assert "both secrets" not in run.report["advice"], "they are kept no longer"


def test_revert_goes_back_and_forth(airflow: InProcessAirflow, pair: PairWorld) -> None:
    dag = airflow.load(pair.pair_entry())
    old = pair.secret_of(pair.webhook_id)
    with pair.events():
        assert airflow.start(dag).state == "success"
        new = pair.secret_of(pair.standby_id)
        run = airflow.start(dag, {"mode": "revert"})
    assert run.state == "success", run.errors
    assert pair.statuses == ["active", "paused"]
    assert pair.held == (old, new)
    assert (pair.secret_of(pair.webhook_id), pair.secret_of(pair.standby_id)) == (old, new), "nothing was refreshed"
    assert pair.refused == []
