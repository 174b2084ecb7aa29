"""Whole audits of a pair in a real Airflow database: what they find after each step, and that healing ends well."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.airflow.test_audit import AUDIT, kinds, load, waiting
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow.sdk import DAG

    from tests.world.in_process_airflow import InProcessAirflow


@pytest.fixture
def pair(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[PairWorld]:
    with PairWorld(tmp_path, moves_on=True) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield world


def heal(airflow: InProcessAirflow, dags: dict[str, DAG], pair: PairWorld) -> dict[str, list[str]]:
    """Audit, let the run that it triggers end, and return what was found."""
    rotation = dags[f"featurebase_rotate__{pair.name}"]
    audit = airflow.start(dags[AUDIT])
    (run,) = waiting(rotation)
    airflow.go_on(run)
    assert run.state == "success", run.errors
    return kinds(audit)


def test_the_stores_forget_the_old_half_in_two_healed_steps(
    airflow: InProcessAirflow, pair: PairWorld, tmp_path: Path
) -> None:
    """Nothing is found before and after; no secret is in what the audits leave."""
    dags = load(airflow, tmp_path, [pair.pair_entry()], heal=True)
    place = f"{pair.name}/object_storage"
    clean = airflow.start(dags[AUDIT])
    assert (clean.state, kinds(clean)) == ("success", {}), clean.errors
    old = pair.secret_of(pair.webhook_id)
    with pair.events():
        assert airflow.start(dags[f"featurebase_rotate__{pair.name}"]).state == "success"
    new = pair.secret_of(pair.standby_id)
    moved = airflow.start(dags[AUDIT])
    assert (moved.state, kinds(moved)) == ("success", {}), moved.errors
    (row,) = moved.xcoms["audit"]["webhooks"]
    assert (row["webhook_id"], row["status"]) == (pair.standby_id, "active")
    assert [(half["webhook_id"], half["status"]) for half in row["halves"]] == [
        (pair.webhook_id, "paused"),
        (pair.standby_id, "active"),
    ]

    pair.wait(timedelta(hours=9))
    assert heal(airflow, dags, pair) == {"drain_overdue": [place]}
    assert pair.held == (new, new)
    assert kinds(airflow.start(dags[AUDIT])) == {}
    pair.wait(timedelta(hours=9))
    assert heal(airflow, dags, pair) == {"drain_overdue": [place]}
    assert pair.held == (new, None)
    clean = airflow.start(dags[AUDIT])
    assert (clean.state, kinds(clean)) == ("success", {}), clean.errors
    assert all(secret not in json.dumps([moved.xcoms, clean.xcoms]) for secret in (old, new))
    assert pair.refused == []


def test_a_person_sets_both_active(airflow: InProcessAirflow, pair: PairWorld, tmp_path: Path) -> None:
    """No run began that, so no healing run pauses one; but the stores get the secret of every active half."""
    dags = load(airflow, tmp_path, [pair.pair_entry()], heal=True)
    pair.set_status(pair.standby_id, "active")
    assert heal(airflow, dags, pair) == {"both_live": [pair.name], "store_differs": [f"{pair.name}/object_storage"]}
    assert pair.statuses == ["active", "active"]
    assert set(pair.held) == {pair.secret_of(webhook_id) for webhook_id in pair.ids}
    again = airflow.start(dags[AUDIT])
    assert (kinds(again), again.states["drifted"]) == ({"both_live": [pair.name]}, "skipped")
    assert "pause one of the two webhooks" in again.xcoms["audit"]["findings"][0]["detail"] + again.error("findings")


def test_a_cut_over_that_was_left_unfinished_is_finished(
    airflow: InProcessAirflow, pair: PairWorld, tmp_path: Path
) -> None:
    """The run was killed after it had set the new half active."""
    dags = load(airflow, tmp_path, [pair.pair_entry()], heal=True)
    rotation = dags[f"featurebase_rotate__{pair.name}"]
    killed = airflow.start(rotation, pause_after="activate")
    assert pair.statuses == ["active", "active"]
    assert kinds(airflow.start(dags[AUDIT])) == {}, "a run may be moving the deliveries now"
    airflow.delete(killed)
    pair.wait(timedelta(hours=2))
    with pair.events():
        assert heal(airflow, dags, pair) == {"both_live": [pair.name]}
    assert pair.statuses == ["paused", "active"]
    assert kinds(airflow.start(dags[AUDIT])) == {}
    assert pair.refused == []


def test_halves_that_differ_or_are_gone(airflow: InProcessAirflow, pair: PairWorld, tmp_path: Path) -> None:
    dags = load(airflow, tmp_path, [pair.pair_entry()])
    pair.api("PATCH", f"/v2/webhooks/{pair.standby_id}", json={"topics": ["post.updated"]})
    assert kinds(airflow.start(dags[AUDIT])) == {"pair_differs": [pair.name]}
    pair.set_status(pair.webhook_id, "paused")
    assert kinds(airflow.start(dags[AUDIT])) == {
        "none_live": [pair.name],
        "pair_differs": [pair.name],
        "store_differs": [f"{pair.name}/object_storage"],
    }
    pair.set_status(pair.webhook_id, "active")
    pair.api("DELETE", f"/v2/webhooks/{pair.standby_id}")
    assert kinds(airflow.start(dags[AUDIT])) == {"webhook_missing": [pair.name]}
