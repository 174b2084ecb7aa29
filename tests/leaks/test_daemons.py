"""The provider in an Airflow with all its daemons, driven as a person does: through the REST API."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from dev.airflow.processes import wait_for
from tests.leaks.scanner import LeakScanner

if TYPE_CHECKING:
    from typing import Any

    from tests.leaks.real_airflow import RealAirflow

pytestmark = pytest.mark.airflow

EMERGENCY = "featurebase_emergency_rotation"


def test_sensor_outlives_the_triggerer(real_airflow: RealAirflow) -> None:
    """The triggerer is killed while the sensor waits in it; started again, it takes over and the run ends well."""
    world = real_airflow.worlds["restarted"]
    run_id = real_airflow.trigger("restarted", reason="the triggerer will be killed")

    def deferred() -> bool:
        return real_airflow.states("restarted", run_id)["verify_delivery"] == "deferred"

    wait_for("the deferral", deferred, seconds=120)
    seen = world.calls("GET")
    wait_for("a read by the triggerer", lambda: world.calls("GET") > seen, seconds=60)
    triggerer = real_airflow.airflow.processes["triggerer"]
    os.killpg(triggerer.pid, signal.SIGKILL)  # first of all, so that it can tidy up nothing
    triggerer.kill()
    real_airflow.airflow.start_component("triggerer")
    world.control("POST", "/events", topic="post.created", count=2000, per_second=5)

    state = real_airflow.wait("restarted", run_id)
    world.control("DELETE", "/events")
    world.note_secret()
    assert (state, world.refreshes()) == ("success", 1)
    assert set(real_airflow.states("restarted", run_id).values()) == {"success"}
    assert real_airflow.report("restarted", run_id)["delivery"]["kind"] == "healthy"
    assert world.secret in world.secret_file.read_text()


def test_unpausing_after_a_missed_tick_refreshes_nothing(real_airflow: RealAirflow) -> None:
    """Airflow starts the last missed scheduled run at once; it is skipped, and says so."""
    dag_id, world = real_airflow.dag_id("missed"), real_airflow.worlds["missed"]
    real_airflow.airflow.api.unpause(dag_id)
    wait_for("the missed run", lambda: bool(real_airflow.airflow.api.runs(dag_id)), seconds=60)
    (run,) = real_airflow.airflow.api.runs(dag_id)
    assert run["run_type"] == "scheduled"
    assert real_airflow.wait("missed", run["dag_run_id"]) == "success"
    states = real_airflow.states("missed", run["dag_run_id"])
    assert (states.pop("report"), states.pop("outcome"), set(states.values())) == ("success", "success", {"skipped"})
    assert real_airflow.report("missed", run["dag_run_id"])["outcome"] == "skipped"
    assert world.calls("POST", "/secret") == 0


@pytest.mark.parametrize("conf", [{"dry_run": True}, {"Mode": "dry_run"}])
def test_a_request_that_was_misunderstood_rotates_nothing(real_airflow: RealAirflow, conf: dict[str, Any]) -> None:
    """Through the REST API, which takes any key. The report has the reason in preflight's own words."""
    run_id = real_airflow.trigger("missed", **conf)
    assert real_airflow.wait("missed", run_id) == "failed"
    report = real_airflow.report("missed", run_id)
    assert (report["outcome"], "which is none of mode, reason" in report["cause"]) == ("nothing_changed", True), report
    assert real_airflow.worlds["missed"].calls("POST", "/secret") == 0


def test_an_emergency_that_names_no_webhook_rotates_none(real_airflow: RealAirflow) -> None:
    """By command line, which shows no form."""
    refreshes = [world.calls("POST", "/secret") for world in real_airflow.worlds.values()]
    real_airflow.airflow.api.unpause(EMERGENCY)
    for number, conf in enumerate(({}, {"webhook": ["missed"]})):
        run_id = f"by_command_line_{number}"
        real_airflow.airflow.run("dags", "trigger", EMERGENCY, "--run-id", run_id, "--conf", json.dumps(conf))
        assert real_airflow.airflow.api.wait_for_run(EMERGENCY, run_id, seconds=300) == "failed"
        assert real_airflow.airflow.api.tasks(EMERGENCY, run_id)["choose"]["state"] == "failed"
        assert "webhooks" in real_airflow.airflow.api.log(EMERGENCY, run_id, "choose")
    assert [world.calls("POST", "/secret") for world in real_airflow.worlds.values()] == refreshes


def connection_test(real_airflow: RealAirflow, **changes: Any) -> dict[str, Any]:
    """Press the connection form's Test button."""
    world = real_airflow.worlds["flowing"]
    fields = {"conn_type": "featurebase", "host": world.url, "password": world.api_key, **changes}
    body = {"connection_id": "being_edited", **fields}
    return dict(real_airflow.airflow.api.call("POST", "/connections/test", json=body))


def test_connection_test(real_airflow: RealAirflow) -> None:
    said = f"{real_airflow.worlds['flowing'].url}: Featurebase accepted the API key; the workspace has 1 webhooks"
    assert connection_test(real_airflow) == {"status": True, "message": said}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"password": "sk_wrong_key_of_somebody"}, "answered 401"),
        ({"host": "http://featurebase.example"}, "use https"),
        ({"extra": '{"api_version": "2025-12-12.clover"}'}, "has no webhook endpoints"),
        ({"extra": '{"timeout": "soon"}'}, "'timeout' is not a number"),
    ],
    ids=["key", "http", "version", "timeout"],
)
def test_connection_test_says_what_is_wrong(real_airflow: RealAirflow, changes: dict[str, str], says: str) -> None:
    answer = connection_test(real_airflow, **changes)
    assert (answer["status"], says in answer["message"]) == (False, True), answer
    assert "sk_wrong" not in answer["message"]


def test_no_secret_in_any_of_it(real_airflow: RealAirflow) -> None:
    """After all of the above too: trigger rows, the killed triggerer's log, the tested connections."""
    scanner = LeakScanner({**real_airflow.secrets, "a wrong key": "sk_wrong_key_of_somebody"})
    assert scanner.scan_sqlite(real_airflow.airflow.database) == []
    assert scanner.scan_folder(real_airflow.airflow.home) == []
