"""What Featurebase's audit log adds to a rotation: a count beside the run's own, and a second witness."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.world import emergency
from tests.world.expectations import everywhere, in_stores
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run

LAGGING = {"audit_log_lag": 3600}
CLOSED = [{"audit_log": "forbidden"}, {"audit_log": "missing"}]
ENDLESS = 100_000
OURS = "the API key 'sandbox'"


def counted(run: Run, task_id: str = "report") -> tuple[int | None, list[str] | None, str | None]:
    """The run's own count, who did what the log shows, and why it could not be read."""
    count = run.xcoms[task_id]["refreshes"]
    logged = count["logged"]
    return count["by_run"], None if logged is None else [one["by"] for one in logged], count["problem"]


def differences(run: Run, task_id: str = "report") -> list[str]:
    return [note for note in run.xcoms[task_id]["notes"] if "audit log" in note]


def test_both_counts_agree(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = airflow.start(airflow.load(world.entry()))
    assert (run.state, counted(run), differences(run)) == ("success", (1, [OURS], None), []), run.errors
    (logged,) = run.report["refreshes"]["logged"]
    assert abs(datetime.fromisoformat(logged["at"]) - datetime.fromisoformat(run.report["refreshed_at"])).seconds < 2
    assert world.calls("GET", "/v2/audit-logs") == 1


@pytest.mark.parametrize("mode", ["dry_run", "distribute"])
def test_a_run_that_refreshes_nothing_asks_no_log(
    airflow: InProcessAirflow, world: FeaturebaseWorld, mode: str
) -> None:
    airflow.start(airflow.load(world.entry()))
    asked = world.calls("GET", "/v2/audit-logs")
    run = airflow.start(airflow.load(world.entry()), {"mode": mode})
    assert run.state == "success", run.errors
    assert run.report["refreshes"]["by_run"] == 0
    if mode == "dry_run":
        assert (counted(run), world.calls("GET", "/v2/audit-logs")) == ((0, None, None), asked)


@pytest.mark.parametrize(("switches", "status"), [(CLOSED[0], "403"), (CLOSED[1], "404")])
def test_a_closed_log_is_unknown_and_fails_nothing(
    airflow: InProcessAirflow, world: FeaturebaseWorld, switches: dict[str, Any], status: str
) -> None:
    world.behave(**switches)
    run = airflow.start(airflow.load(world.entry()))
    by_run, logged, problem = counted(run)
    assert (run.state, by_run, logged, differences(run)) == ("success", 1, None, []), run.errors
    assert status in str(problem)
    assert world.calls("GET", "/v2/audit-logs") == 1
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "hang"},
        {"kind": "reset"},
        {"kind": "malformed", "body": "truncated"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_log_that_fails_is_asked_once_and_fails_nothing(
    airflow: InProcessAirflow, world: FeaturebaseWorld, fault: dict[str, Any]
) -> None:
    airflow.connect(world.conn_id, host=world.url, password=world.api_key, extra='{"timeout": 0.5}')
    world.control("POST", "/faults", method="GET", path="/v2/audit-logs", **fault)
    run = airflow.start(airflow.load(world.entry()))
    by_run, logged, problem = counted(run)
    assert (run.state, by_run, logged, differences(run)) == ("success", 1, None, []), run.errors
    assert "/v2/audit-logs" in str(problem)
    assert world.calls("GET", "/v2/audit-logs") == 1


def test_a_log_that_lags_is_told_and_not_waited_for(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    world.behave(**LAGGING)
    run = airflow.start(airflow.load(world.entry()))
    assert (run.state, counted(run)) == ("success", (1, [], None)), run.errors
    (note,) = differences(run)
    assert "this run knows of 1. The log may lag" in note
    assert world.calls("GET", "/v2/audit-logs") == 1


def test_a_refresh_by_hand_after_the_plan_is_named(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Before rotate: the run has refreshed nothing. After it: one more than its own."""
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    world.force(secret="whsec_by_a_person")
    airflow.go_on(run)
    assert (run.state, counted(run)) == ("success", (0, ["'admin'"], None)), run.errors
    assert "'admin'), but this run knows of none" in differences(run)[0]

    later = airflow.start(airflow.load(world.entry()), pause_after="rotate")
    world.force(secret="whsec_by_a_person_again")
    airflow.go_on(later)
    assert counted(later) == (1, ["'admin'", OURS], None)
    assert "this run knows of 1. The rest was done by a person" in differences(later)[0]


@pytest.mark.parametrize("tasks", [None, ["rotate"], ["report"]], ids=["all", "rotate", "report"])
def test_a_cleared_run_counts_what_its_first_try_did(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tasks: list[str] | None
) -> None:
    run = airflow.start(airflow.load(world.entry()))
    airflow.clear(run, tasks)
    assert (run.state, world.refreshes(), counted(run), differences(run)) == ("success", 1, (1, [OURS], None), [])


def test_a_run_that_failed_before_its_refresh_counts_none(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Any
) -> None:
    """Nothing was sent, and the first try knows it."""
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    world.secret_file.unlink()
    world.secret_file.parent.rmdir()
    airflow.go_on(run)
    assert (run.states["rotate"], world.calls("POST", "/secret")) == ("failed", 0), run.errors
    assert (counted(run), world.calls("GET", "/v2/audit-logs")) == ((0, None, None), 0)


def test_a_refresh_without_a_usable_answer_is_unknown_and_never_none(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    world.fault("status", status=500)
    run = airflow.start(airflow.load(world.entry()))
    assert (run.states["rotate"], counted(run)) == ("failed", (None, [], None))
    assert "most likely nothing was refreshed" in run.error("rotate")


def test_a_refused_refresh_counts_none(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    world.fault("status", status=403)
    run = airflow.start(airflow.load(world.entry()))
    assert (run.states["rotate"], counted(run)[0]) == ("failed", 0)


# The second witness.


def a_lost_answer_and_stale_reads(airflow: InProcessAirflow, world: FeaturebaseWorld, *, retries: int) -> Run:
    """Featurebase refreshed and its answer was lost; until rotate has ended, reads show the secret from before."""
    airflow.connect(world.conn_id, host=world.url, password=world.api_key, extra='{"timeout": 0.5}')
    run = airflow.start(airflow.load(world.entry(retries=retries)), pause_after="preflight")
    world.fault("stale_read", method="GET", count=ENDLESS)
    world.fault("drop_response")
    airflow.go_on(run, pause_after="rotate")
    world.control("DELETE", "/faults")
    return run


@pytest.mark.parametrize("updated_at", ["moves", "stays"])
def test_what_only_the_log_shows_is_not_refreshed_again(
    airflow: InProcessAirflow, world: FeaturebaseWorld, updated_at: str
) -> None:
    """However often it is tried: one refresh. Once a read shows the new secret, a retry distributes it."""
    world.behave(updated_at=updated_at)
    run = a_lost_answer_and_stale_reads(airflow, world, retries=2)
    assert (run.states["rotate"], run.tries["rotate"]) == ("failed", 3)
    assert (world.refreshes(), world.calls("POST", "/secret")) == (1, 1)
    first, *later = run.errors["rotate"]
    assert f"by {OURS}, but for" in first
    assert all("This try sent no refresh: Featurebase's audit log shows" in error for error in later)

    airflow.go_on(run)
    assert (run.state, counted(run)) == ("failed", (None, [OURS], None))
    assert "This run can't tell whether that was its own doing" in differences(run)[0]
    airflow.clear(run)
    assert (run.state, world.refreshes(), world.calls("POST", "/secret")) == ("success", 1, 1), run.errors
    assert run.report["how"] == "already_done"
    assert counted(run) == (None, [OURS], None)
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize("switches", [*CLOSED, LAGGING], ids=["403", "404", "lag"])
def test_without_the_witness_the_next_try_refreshes_as_ever(
    airflow: InProcessAirflow, world: FeaturebaseWorld, switches: dict[str, Any]
) -> None:
    world.behave(**switches)
    run = a_lost_answer_and_stale_reads(airflow, world, retries=1)
    assert "most likely nothing was refreshed" in run.errors["rotate"][0]
    airflow.go_on(run)
    assert (run.state, world.calls("POST", "/secret")) == ("success", 2), run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_a_log_without_the_refresh_lets_the_next_try_refresh(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    """Nothing was refreshed, and the log agrees; that proves nothing, and the comparison decides as ever."""
    world.fault("status", status=500)
    run = airflow.start(airflow.load(world.entry(retries=1)))
    assert (run.state, world.refreshes(), world.calls("POST", "/secret")) == ("success", 1, 2), run.errors
    assert (counted(run), differences(run)) == ((1, [OURS], None), [])


def test_the_runs_own_past_is_no_witness(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A person refreshed right before the run, whose first refresh is lost: theirs is not one since the plan."""
    world.force(secret="whsec_by_a_person")
    world.fault("status", status=500)
    run = airflow.start(airflow.load(world.entry(retries=1, stores=[world.variable_store(adopt=True)], probe=None)))
    assert (run.state, world.refreshes(), world.calls("POST", "/secret")) == ("success", 1, 2), run.errors
    assert counted(run) == (1, [OURS], None)


def test_an_emergency_waits_for_no_witness(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Its second try refreshes once more: that leaves no leaked secret, and waiting for the reads might."""
    airflow.connect(world.conn_id, host=world.url, password=world.api_key, extra='{"timeout": 0.5}')
    dag = emergency.load(airflow, world.entry(probe=None), retries=1)
    run = airflow.start(dag, emergency.ALL, pause_after="webhook.plan[0]")
    leaked = world.fingerprint
    world.fault("stale_read", method="GET", count=ENDLESS)
    world.fault("drop_response")
    airflow.go_on(run, until=lambda: world.calls("POST", "/secret") == 2)
    world.control("DELETE", "/faults")
    airflow.go_on(run)
    assert world.refreshes() == world.calls("POST", "/secret") == 2
    assert (run.state, world.fingerprint != leaked) == ("success", True), run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)
    assert counted(run, "webhook.report[0]") == (1, [OURS, OURS], None)
    assert "this run knows of 1" in differences(run, "webhook.report[0]")[0]


def test_a_pairs_paused_half_has_the_same_count_and_witness(airflow: InProcessAirflow, tmp_path: Path) -> None:
    """By the half's own id; the live half's refreshes are none of this run's."""
    with PairWorld(tmp_path) as pair:
        airflow.connect(pair.conn_id, host=pair.url, password=pair.api_key, extra='{"timeout": 0.5}')
        standby = f"/v2/webhooks/{pair.standby_id}"
        pair.api("PATCH", standby, json={"description": "so that a stale read shows it paused"})
        run = airflow.start(airflow.load(pair.pair_entry(retries=1)), pause_after="preflight")
        pair.control("POST", "/faults", kind="stale_read", method="GET", path=standby, count=ENDLESS)
        pair.control("POST", "/faults", kind="drop_response", method="POST", path=f"{standby}/secret")
        airflow.go_on(run, pause_after="rotate")
        pair.control("DELETE", "/faults")
        assert "the webhook must stay paused" in run.error("rotate")
        assert (run.tries["rotate"], pair.refreshes(), pair.calls("POST", "/secret")) == (2, 1, 1)
        airflow.go_on(run)
        assert counted(run) == (None, [OURS], None)
        airflow.clear(run, ["rotate"])
        assert (run.xcoms["rotate"]["how"], pair.calls("POST", "/secret")) == ("already_done", 1), run.errors
