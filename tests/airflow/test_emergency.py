"""A signing secret has leaked: whole emergency runs in a real Airflow database."""

from __future__ import annotations

import copy
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.world.emergency import ALL, load
from tests.world.expectations import asset, everywhere, in_stores
from tests.world.featurebase import FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world.in_process_airflow import InProcessAirflow, Run


@pytest.fixture
def worlds(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[list[FeaturebaseWorld]]:
    """Three Featurebases, each with a webhook and a receiver."""
    with ExitStack() as stack:
        worlds = [stack.enter_context(FeaturebaseWorld(tmp_path / str(number))) for number in range(3)]
        for world in worlds:
            airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield worlds


def branch(run: Run, index: int = 0) -> dict[str, str]:
    """The states of one branch's tasks."""
    suffix = f"[{index}]"
    return {
        key.removesuffix(suffix).removeprefix("webhook."): state
        for key, state in run.states.items()
        if key.endswith(suffix)
    }


def test_all_webhooks(airflow: InProcessAirflow, worlds: list[FeaturebaseWorld]) -> None:
    """Every configured webhook is refreshed once, its stores are done, its assets have their events."""
    earlier = [world.secret for world in worlds]
    run = airflow.start(load(airflow, *(world.entry() for world in worlds)), {**ALL, "reason": "a leak"})
    assert run.state == "success", run.errors
    assert set(run.states.values()) == {"success"}
    for index, world in enumerate(worlds):
        assert world.refreshes() == 1
        assert world.secret != earlier[index]
        assert in_stores(airflow, world) == everywhere(world.secret)
        assert earlier[index] not in json.dumps(run.xcoms[f"webhook.plan[{index}]"])
        (secret,) = airflow.asset_events(asset(world, "signing-secret"))
        assert (secret["fingerprint"], secret["webhook_id"]) == (world.fingerprint, world.webhook_id)
        (report,) = airflow.asset_events(asset(world, "rotation-report"))
        assert report == run.xcoms[f"webhook.report[{index}]"]
        assert (report["outcome"], report["mode"], report["reason"]) == ("rotated", "emergency", "a leak")
        assert report["probe"]["result"] == "accepted"
        assert {row["task_id"].split(".")[0] for row in report["tasks"]} == {"webhook"}
    assert [row["webhook"] for row in run.xcoms["summary"]] == [world.name for world in worlds]
    assert {row["outcome"] for row in run.xcoms["summary"]} == {"rotated"}


def test_chosen_webhooks_only(airflow: InProcessAirflow, worlds: list[FeaturebaseWorld]) -> None:
    """The form's choice counts, each webhook once; the others are not even read."""
    dag = load(airflow, *(world.entry(probe=None) for world in worlds))
    run = airflow.start(dag, {"webhooks": [worlds[2].name, worlds[0].name, worlds[2].name]})
    assert run.state == "success", run.errors
    assert [world.refreshes() for world in worlds] == [1, 0, 1]
    assert worlds[1].calls("*", worlds[1].webhook_id) == 0
    assert run.xcoms["choose"] == [worlds[2].name, worlds[0].name]
    assert branch(run)["probe"] == "skipped"


def test_a_wrong_entry_takes_no_other_away(
    airflow: InProcessAirflow, worlds: list[FeaturebaseWorld], tmp_path: Path
) -> None:
    """All are chosen: the right ones are rotated, and the run fails and says which entry is wrong."""
    right, wrong, also_right = worlds
    entries = [right.entry(probe=None), wrong.entry(webhook_id="not an id"), also_right.entry(probe="yes")]
    run = airflow.start(load(airflow, *entries, rotation_file=tmp_path / "rotation.yaml"), ALL)
    assert [world.refreshes() for world in worlds] == [1, 0, 1]
    assert run.state == "failed"
    assert run.xcoms["choose"] == [right.name, also_right.name, wrong.name]
    said = run.error("webhook.plan[2]")
    assert "its entry in the rotation file is invalid" in said
    assert "webhooks[1].webhook_id: " in said
    rows = {row["webhook"]: row for row in run.xcoms["summary"]}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        right.name: "rotated", wrong.name: "wrong entry", also_right.name: "rotated",
    }  # fmt: skip
    assert "webhooks[1].webhook_id: " in rows[wrong.name]["advice"]


def test_a_missing_connection_holds_nobody_up(airflow: InProcessAirflow, worlds: list[FeaturebaseWorld]) -> None:
    """Its branch fails at its first try, and the summary is there as soon as the others are done."""
    lost, found, _ = worlds
    dag = load(airflow, lost.entry(featurebase_conn_id="nowhere"), found.entry(probe=None), retries=20)
    run = airflow.start(dag, ALL)
    assert [len(run.errors["webhook.plan[0]"]), len(run.errors["summary"])] == [1, 1]
    assert "connection 'nowhere': this Airflow connection does not exist" in run.error("webhook.plan[0]")
    assert [row["outcome"] for row in run.xcoms["summary"]] == ["nothing_changed", "rotated"]


def test_unknown_name_holds_nobody_up(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Its branch fails, naming the known ones, before anything changed; it is rendered as nothing but text."""
    unknown = "{{ conn.get('" + world.conn_id + "').password }}"
    dag = load(airflow, world.entry(probe=None))
    run = airflow.start(dag, {"webhooks": [unknown, world.name]})
    assert run.state == "failed"
    assert branch(run, 0) == {
        "plan": "failed", "rotate": "upstream_failed", "push": "upstream_failed", "probe": "upstream_failed",
        "confirm": "upstream_failed", "report": "skipped",
    }  # fmt: skip
    assert f"no webhook of this name; nothing was changed. Known: {world.name}." in run.error("webhook.plan[0]")
    assert (branch(run, 1)["push"], branch(run, 1)["report"], world.refreshes()) == ("success", "success", 1)
    assert in_stores(airflow, world) == everywhere(world.secret)
    assert [row["outcome"] for row in run.xcoms["summary"]] == ["no report", "rotated"]
    assert "1 of 2 webhooks are not done" in run.error("summary")
    assert world.api_key not in json.dumps([run.xcoms, run.errors])


def test_no_webhook_is_refused(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """An empty choice is refused with the trigger form, not taken for all."""
    with pytest.raises(ValueError, match=r"\[\] should be non-empty|too short"):
        airflow.start(load(airflow, world.entry()), {"webhooks": []})


def test_branch_without_its_connection_holds_nobody_up(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    lost = world.entry(
        name=f"{world.name}-lost", featurebase_conn_id="nowhere", stores=[world.variable_store(name="x")]
    )
    run = airflow.start(load(airflow, lost, world.entry(probe=None)), ALL)
    assert (run.state, world.refreshes()) == ("failed", 1)
    assert (branch(run, 0)["plan"], branch(run, 1)["confirm"]) == ("failed", "success")
    assert "nowhere" in run.error("webhook.plan[0]")
    assert run.xcoms["webhook.report[0]"]["outcome"] == "nothing_changed"
    assert "STILL VALID" in run.xcoms["webhook.report[0]"]["advice"]


def test_dead_store_stops_nothing_and_is_brought_home(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """One store can't be armed, and is mended while its push retries: it takes the secret without a second refresh."""
    folder, away = world.secret_file.parent, world.secret_file.parent.with_name("away")
    folder.rename(away)
    dag = load(airflow, world.entry(probe=None), push_retries=1)
    run = airflow.start(dag, ALL, pause_after="webhook.rotate[0]")
    assert world.refreshes() == 1
    stores = run.xcoms["webhook.rotate[0]"]["stores"]
    assert {label: one["result"] for label, one in stores.items()} == {
        "airflow_variable": "written",
        "object_storage": "not_armed",
    }
    airflow.go_on(run, until=lambda: bool(run.errors.get("webhook.push[0]")))
    assert "1 of 2 stores do not hold it" in run.error("webhook.push[0]")
    away.rename(folder)
    airflow.go_on(run)
    assert (run.state, run.tries["webhook.push[0]"], world.refreshes()) == ("success", 2, 1), run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)
    (row,) = run.xcoms["summary"]
    assert (row["outcome"], row["stores_done"], row["stores_left"]) == ("rotated", 2, [])


def test_store_that_stays_dead_is_named(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The run fails in the end, and its report names what is left, and what holds the secret."""
    world.secret_file.parent.rename(world.secret_file.parent.with_name("away"))
    run = airflow.start(load(airflow, world.entry(probe=None)), ALL)
    assert (run.state, world.refreshes()) == ("failed", 1)
    report = run.xcoms["webhook.report[0]"]
    assert report["outcome"] == "incomplete"
    assert {one["label"]: one["result"] for one in report["stores"]} == {
        "airflow_variable": "written",
        "object_storage": "not_armed",
    }
    (row,) = run.xcoms["summary"]
    assert (row["stores_done"], row["stores_left"]) == (1, ["object_storage"])
    assert airflow.asset_events(asset(world, "signing-secret")) == []
    assert len(airflow.asset_events(asset(world, "rotation-report"))) == 1


def test_foreign_value_is_never_overwritten(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The secret is replaced everywhere else; the store is named at once, without retries that could not help."""
    airflow.set_variable(world.variable, "somebody else's")
    run = airflow.start(load(airflow, world.entry(probe=None), push_retries=5), ALL)
    assert (run.state, run.tries["webhook.push[0]"], world.refreshes()) == ("failed", 1, 1)
    assert "A foreign value is never overwritten: remove it, or set adopt: true" in run.error("webhook.push[0]")
    assert airflow.variable(world.variable).val == "somebody else's"
    assert world.secret in world.secret_file.read_text()
    assert run.xcoms["webhook.report[0]"]["outcome"] == "incomplete"


@pytest.mark.parametrize("status", ["paused", "suspended"])
def test_inactive_webhook_is_refreshed_too(airflow: InProcessAirflow, world: FeaturebaseWorld, status: str) -> None:
    world.force(status=status)
    run = airflow.start(load(airflow, world.entry(probe=None)), ALL)
    assert (run.state, world.refreshes(), world.webhook["status"]) == ("success", 1, status), run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize("tasks", [None, ["webhook.plan", "webhook.rotate"]], ids=["all", "plan and rotate"])
def test_cleared_run_refreshes_nothing_more(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tasks: list[str] | None
) -> None:
    """Nobody's plan but this run's own counts, although a rotation run has the same id."""
    same_id = f"the-same-id-in-two-Dags.{world.name}"
    normal = airflow.start(airflow.load(world.entry()), run_id=same_id)
    run = airflow.start(load(airflow, world.entry(probe=None)), ALL, run_id=same_id)
    assert (normal.state, run.state, world.refreshes()) == ("success", "success", 2), run.errors
    secret = world.secret
    airflow.clear(run, tasks)
    airflow.clear(normal)
    assert (run.state, normal.state) == ("success", "success"), (run.errors, normal.errors)
    assert (world.refreshes(), world.secret) == (2, secret)
    assert run.xcoms["webhook.rotate[0]"]["how"] == normal.xcoms["rotate"]["how"] == "already_done"
    assert in_stores(airflow, world) == everywhere(secret)


def test_refresh_with_a_lost_answer_is_found(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    world.fault("drop_response")
    run = airflow.start(load(airflow, world.entry(probe=None)), ALL)
    assert (run.state, world.refreshes(), world.calls("POST", "/secret")) == ("success", 1, 1), run.errors
    assert run.xcoms["webhook.report[0]"]["how"] == "found_after_lost_answer"


def test_receiver_that_refuses_fails_its_branch(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The stores are done and compared all the same."""
    run = airflow.start(load(airflow, world.entry(stores=[world.variable_store()])), ALL)
    assert (run.state, branch(run)["probe"], branch(run)["confirm"]) == ("failed", "failed", "success")
    assert run.xcoms["webhook.report[0]"]["outcome"] == "failed"


def test_documented_triggers_are_taken(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """What the page shows for command line and REST API passes the trigger form's own checks."""
    page = (Path(__file__).parents[2] / "docs" / "emergency.md").read_text()
    confs = [json.loads(conf) for conf in re.findall(r"--conf '(.*)'$", page, flags=re.MULTILINE)]
    confs += [json.loads(body)["conf"] for body in re.findall(r"-d '(.*)'$", page, flags=re.MULTILINE)]
    assert len(confs) == 3
    dag = load(airflow, world.entry())
    for conf in confs:
        assert set(conf) == {"webhooks", "reason"}
        params = copy.deepcopy(dag.params)
        params.update(conf)
        assert params.validate()["webhooks"] in (["production"], ["all"])


def test_webhook_by_name(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    entry = world.entry(webhook_name="Production", probe=None)
    del entry["webhook_id"]
    run = airflow.start(load(airflow, entry), ALL)
    assert (run.state, world.refreshes()) == ("success", 1), run.errors
    assert run.xcoms["webhook.report[0]"]["webhook_id"] == world.webhook_id
