"""The secrets of a pair have leaked: whole emergency runs in a real Airflow database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.world.emergency import ALL, load
from tests.world.expectations import asset
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world.in_process_airflow import InProcessAirflow, Run


@pytest.fixture
def pair(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[PairWorld]:
    with PairWorld(tmp_path, moves_on=True) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield world


def secrets(pair: PairWorld) -> list[str]:
    return [pair.secret_of(webhook_id) for webhook_id in pair.ids]


def refreshes(pair: PairWorld) -> list[int]:
    return [pair.calls("POST", f"{webhook_id}/secret") for webhook_id in pair.ids]


def emergency(airflow: InProcessAirflow, pair: PairWorld, **how: Any) -> Run:
    return airflow.start(load(airflow, pair.pair_entry()), ALL, **how)


def report(run: Run) -> dict[str, Any]:
    return dict(run.xcoms["webhook.report[0]"])


def test_both_halves_are_refreshed_and_their_secrets_removed(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """The stores hold the active half's new secret alone; nothing has moved, and no secret is in what the run left."""
    before = secrets(pair)
    pair.secret_file.write_text(pair.secret_file.read_text().replace("PREVIOUS=", f"PREVIOUS={before[1]}"))

    run = emergency(airflow, pair)

    assert run.state == "success", run.errors
    after = secrets(pair)
    assert refreshes(pair) == [1, 1]
    assert not set(before) & set(after)
    assert pair.statuses == ["active", "paused"]
    assert pair.held == (after[0], None)
    said = report(run)
    assert (said["outcome"], said["webhook_id"], said["advice"]) == ("rotated", pair.webhook_id, "Nothing to do.")
    assert any(pair.standby_id in note for note in said["notes"])
    assert said["probe"]["result"] == "accepted"
    (row,) = run.xcoms["summary"]
    assert (row["outcome"], row["stores_done"], row["stores_left"]) == ("rotated", 1, [])
    (event,) = airflow.asset_events(asset(pair, "signing-secret"))
    assert event["webhook_id"] == pair.webhook_id
    assert all(secret not in json.dumps(run.xcoms) for secret in (*before, *after))

    again = airflow.clear(run)
    assert again.state == "success", again.errors
    assert (refreshes(pair), secrets(pair)) == ([1, 1], after), "a Dag run refreshes each half once"
    assert pair.held == (after[0], None)


def test_both_active(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """The stores hold both new secrets, and neither old one."""
    pair.set_status(pair.standby_id, "active")
    before = secrets(pair)
    pair.secret_file.write_text(pair.secret_file.read_text() + f"{pair.pair_store()['previous_key']}={before[1]}\n")
    run = emergency(airflow, pair)
    assert run.state == "success", run.errors
    assert pair.statuses == ["active", "active"]
    assert set(pair.held) == set(secrets(pair))
    assert not set(pair.held) & set(before)
    assert set(run.xcoms["webhook.probe[0]"]["halves"]) == set(pair.ids)


def test_a_paused_half_that_is_not_refreshed(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """The other one is, and the run fails and says what is still valid."""
    pair.control("POST", "/behaviour", refresh_paused="refused")
    before = secrets(pair)
    run = emergency(airflow, pair)
    after = secrets(pair)
    assert (after[0] != before[0], after[1]) == (True, before[1])
    assert pair.held == (after[0], None)
    assert run.state == "failed"
    said = report(run)
    assert said["outcome"] == "incomplete"
    assert f"THE LEAKED SECRET OF WEBHOOK {pair.standby_id} IS STILL VALID" in said["advice"]
    assert list(said["pair"]["still_valid"]) == [pair.standby_id]
    (row,) = run.xcoms["summary"]
    assert (row["outcome"], row["stores_done"]) == ("incomplete", 1)
    assert "1 of 1 webhooks are not done" in run.error("summary")

    pair.control("POST", "/behaviour", refresh_paused="accepted")
    airflow.clear(run)
    assert run.state == "success", run.errors
    assert secrets(pair)[0] == after[0], "the half that was refreshed is not refreshed again"
    assert secrets(pair)[1] != before[1]


def test_a_live_half_that_is_not_refreshed(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """Both are paused, and only the vendor knows why: none is refreshed, and the branch says so."""
    pair.control("POST", "/behaviour", refresh_paused="refused")
    pair.set_status(pair.webhook_id, "paused")
    before = secrets(pair)
    run = emergency(airflow, pair)
    assert (run.state, secrets(pair)) == ("failed", before)
    assert report(run)["outcome"] == "nothing_changed"
    assert "STILL VALID" in report(run)["advice"]


def test_none_active_and_one_is_not_refreshed(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """The stores get what is new: a leaked secret that a store lacks holds nothing up."""
    pair.force(status="suspended")
    pair.control("POST", "/behaviour", refresh_paused="refused")
    run = emergency(airflow, pair)
    assert run.state == "failed"
    assert pair.held == (pair.secret_of(pair.webhook_id), None)
    assert pair.standby_id in report(run)["advice"]


@pytest.mark.parametrize("gone", [0, 1])
def test_a_half_that_is_gone(airflow: InProcessAirflow, pair: PairWorld, gone: int) -> None:
    """Its secret is not valid any more, so the run is done once the other one's is replaced everywhere."""
    before = secrets(pair)
    assert airflow.start(airflow.load(pair.pair_entry()), {"mode": "distribute"}).state == "success"
    pair.api("DELETE", f"/v2/webhooks/{pair.ids[gone]}")
    run = emergency(airflow, pair)
    assert run.state == "success", run.errors
    left = pair.secret_of(pair.ids[1 - gone])
    assert left not in before
    assert pair.held == (left, None)
    assert any("no longer exists" in note for note in report(run)["notes"])


def test_a_store_that_is_dead_holds_neither_half_up(airflow: InProcessAirflow, pair: PairWorld) -> None:
    folder, away = pair.secret_file.parent, pair.secret_file.parent.with_name("away")
    folder.rename(away)
    dag = load(airflow, pair.pair_entry(), push_retries=1)
    run = airflow.start(dag, ALL, pause_after="webhook.rotate[0]")
    assert refreshes(pair) == [1, 1]
    airflow.go_on(run, until=lambda: bool(run.errors.get("webhook.push[0]")))
    away.rename(folder)
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert (refreshes(pair), pair.held) == ([1, 1], (secrets(pair)[0], None))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_refresh_with_a_lost_answer(airflow: InProcessAirflow, pair: PairWorld, lost: int) -> None:
    path = f"/v2/webhooks/{pair.ids[lost]}/secret"
    pair.control("POST", "/faults", kind="drop_response", method="POST", path=path, count=1)
    run = emergency(airflow, pair)
    assert run.state == "success", run.errors
    assert refreshes(pair) == [1, 1]
    assert pair.held == (secrets(pair)[0], None)
    halves = run.xcoms["webhook.rotate[0]"]["halves"]
    assert halves[pair.ids[lost]]["how"] == "found_after_lost_answer"


def test_a_rotation_under_way_does_not_move_to_a_leaked_secret(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """The emergency comes between the probe and activate."""
    rotation = airflow.load(pair.pair_entry())
    run = airflow.start(rotation, pause_after="probe")
    hurry = emergency(airflow, pair)
    assert hurry.state == "success", hurry.errors
    airflow.go_on(run)
    assert run.state == "failed"
    assert "The webhook was not set active; deliveries go on as before" in run.error("activate")
    assert pair.statuses == ["active", "paused"]
    assert secrets(pair)[0] in pair.held


def test_an_emergency_in_the_middle_of_a_cut_over(airflow: InProcessAirflow, pair: PairWorld) -> None:
    """The half that was proven has another secret now, so deliveries stay with the old one, which was refreshed too."""
    rotation = airflow.load(pair.pair_entry())
    run = airflow.start(rotation, pause_after="activate")
    hurry = emergency(airflow, pair)
    assert hurry.state == "success", hurry.errors
    assert set(pair.held) == set(secrets(pair))
    airflow.go_on(run)
    assert run.state == "failed"
    assert "refreshed by somebody else" in run.error("cut_over")
    assert pair.statuses == ["active", "paused"]
    assert secrets(pair)[0] in pair.held
