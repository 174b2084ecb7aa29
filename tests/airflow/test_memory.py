"""What a rotation remembers in Airflow's Variables: whose plan it is, what survives a purge, and what is unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.rotation.memory import WebhookMemory
from tests.world.emergency import ALL
from tests.world.emergency import load as load_emergency
from tests.world.expectations import asset, everywhere, file_with, in_stores
from tests.world.fakes import DictMemory
from tests.world.featurebase import FeaturebaseWorld

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG

    from tests.world.in_process_airflow import InProcessAirflow, Run

OWN_DAG = """\
# An Airflow Dag of a user's own
import json
from airflow.sdk import DAG, Param, task
from featurebase_provider.dag_factory import rotation_task_group

entries = json.loads({entries!r})
with DAG({name!r}, schedule=None, params={{"mode": Param("rotate")}}) as dag:
{body}
"""


def own_dag(airflow: InProcessAirflow, world: FeaturebaseWorld, body: str, *entries: dict[str, Any]) -> DAG:
    """A Dag that has rotations as task groups."""
    name = f"own_{world.name}"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    text = OWN_DAG.format(entries=json.dumps(entries or [world.entry()]), name=name, body=lines)
    return airflow.load_file(name, text)[name]


def prefix(world: FeaturebaseWorld) -> str:
    return WebhookMemory(DictMemory(), world.url, world.webhook_id).prefix


def records(airflow: InProcessAirflow, world: FeaturebaseWorld) -> dict[str, Any]:
    """What is remembered of the webhook, by the end of the Variable's name."""
    begins = prefix(world)
    return {key.removeprefix(begins): json.loads(text) for key, text in airflow.variables(begins).items()}


def the_plan(airflow: InProcessAirflow, world: FeaturebaseWorld) -> str:
    """The name of the webhook's one plan."""
    (name,) = (key for key in airflow.variables(prefix(world)) if "__plan_" in key)
    return name


def test_memory_holds_fingerprints_and_no_secret(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    before = world.fingerprint
    run = airflow.start(airflow.load(world.entry()))
    assert run.state == "success", run.errors
    found = records(airflow, world)
    (plan,) = (record for name, record in found.items() if name.startswith("plan_"))
    assert (plan["plan"]["before"], plan["plan"]["run_id"]) == (before, run.run_id)
    current = next(one for one in found["history"]["secrets"] if one["fingerprint"] == world.fingerprint)
    assert current["refreshed_at"] == run.xcoms["rotate"]["refreshed_at"]
    assert [one["fingerprint"] for one in found["history"]["secrets"] if "replaced_at" in one] == [before]
    assert not [secret for secret in world.secrets.values() if secret in json.dumps(found)]
    assert airflow.asset_events(asset(world, "plan")) == []


def test_two_groups_of_one_webhook_have_plans_of_their_own(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A dry run, then a rotation, in one Dag run: the second must not play the first one's plan."""
    body = (
        'rotation_task_group(entries[0], group_id="look", mode="dry_run")\n'
        'rotation_task_group(entries[0], group_id="turn", mode="rotate")'
    )
    run = airflow.start(own_dag(airflow, world, body))
    assert run.state == "success", run.errors
    assert (run.xcoms["look.report"]["outcome"], run.xcoms["turn.report"]["outcome"]) == ("dry_run", "rotated")
    assert world.refreshes() == 1
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_groups_of_one_name_and_two_webhooks_stay_apart(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """Each store gets the secret of its own webhook, although both entries go by one name."""
    other = world.create_webhook("Other", f"{world.receiver.url}/other")
    file = tmp_path / "other.env"
    file.write_text(f"FEATUREBASE_WEBHOOK_SECRET={other['secret']}\n")
    entries = [
        world.entry(stores=[world.file_store()]),
        world.entry(stores=[world.file_store(path=str(file))], webhook_id=other["id"], probe=None),
    ]
    body = 'rotation_task_group(entries[0], group_id="one")\nrotation_task_group(entries[1], group_id="two")'
    run = airflow.start(own_dag(airflow, world, body, *entries))
    assert run.state == "success", run.errors
    assert world.secret_file.read_text() == file_with(world.secret)
    now = world.api("GET", f"/v2/webhooks/{other['id']}")["secret"]
    assert (file.read_text(), now != other["secret"]) == (f"FEATUREBASE_WEBHOOK_SECRET={now}\n", True)


def test_a_mapped_group_over_modes_rotates_in_its_own_branch(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    """And a webhook that goes by its name is found there, too."""
    entry = world.entry(webhook_id=None, webhook_name="Production")
    body = (
        "from airflow.sdk import task_group\n"
        "@task_group\n"
        "def each(mode):\n"
        '    rotation_task_group(entries[0], group_id="turn", mode=mode)\n'
        'each.expand(mode=["dry_run", "rotate"])'
    )
    run = airflow.start(own_dag(airflow, world, body, entry))
    assert run.state == "success", run.errors
    outcomes = [run.xcoms[f"each.turn.report[{index}]"]["outcome"] for index in (0, 1)]
    assert outcomes == ["dry_run", "rotated"]
    assert world.refreshes() == 1
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_the_report_in_a_dag_of_ones_own_counts_its_own_tasks(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    body = (
        'rotation_task_group(entries[0], group_id="turn")\n'
        "@task\n"
        "def theirs():\n"
        '    raise ValueError("nothing to do with it")\n'
        "theirs()"
    )
    run = airflow.start(own_dag(airflow, world, body))
    assert run.states["theirs"] == "failed"
    report = run.xcoms["turn.report"]
    assert report["outcome"] == "rotated"
    assert {row["task_id"].partition(".")[0] for row in report["tasks"]} == {"turn"}


@pytest.mark.parametrize("emergency", [False, True], ids=["rotation", "emergency"])
def test_a_run_that_was_deleted_and_made_anew_rotates(
    airflow: InProcessAirflow, world: FeaturebaseWorld, emergency: bool
) -> None:
    """It has the id of the old one, whose plan is still remembered: in an emergency the leak must not stay."""
    dag = load_emergency(airflow, world.entry()) if emergency else airflow.load(world.entry())
    conf = ALL if emergency else None
    first = airflow.start(dag, conf, run_id=f"again.{world.name}.{emergency}")
    assert first.state == "success", first.errors
    airflow.delete(first)
    second = airflow.start(dag, conf, run_id=first.run_id)
    assert second.state == "success", second.errors
    assert world.refreshes() == 2
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_a_run_that_was_deleted_after_a_dry_run_rotates(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    dag = airflow.load(world.entry())
    first = airflow.start(dag, {"mode": "dry_run"}, run_id=f"again.{world.name}")
    airflow.delete(first)
    second = airflow.start(airflow.load(world.entry()), run_id=first.run_id)  # a run leaves its params in the Dag
    assert (second.state, second.report["outcome"], world.refreshes()) == ("success", "rotated", 1)


def test_a_dry_run_evicts_no_rotations_plan(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = airflow.start(airflow.load(world.entry()))
    for mode in ("dry_run", "distribute"):
        assert airflow.start(airflow.load(world.entry()), {"mode": mode}).state == "success"
    run.dag = airflow.load(world.entry())
    airflow.clear(run)
    assert (run.state, world.refreshes(), run.xcoms["rotate"]["how"]) == ("success", 1, "already_done")


def test_purged_events_and_results_take_no_memory_away(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """``airflow db clean`` deletes asset events and XComs: a cleared run still refreshes once, its values stay ours."""
    dag = airflow.load(world.entry())
    run = airflow.start(dag)
    airflow.purge()
    airflow.clear(run)
    assert run.state == "success", run.errors
    assert world.refreshes() == 1
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    airflow.purge()
    later = airflow.start(dag, {"mode": "distribute"})
    assert later.state == "success", later.errors
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_a_run_whose_plan_is_gone_refreshes_no_second_time(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Somebody deleted the Variable, and the results are purged: the run can't know, so it stops and says so."""
    run = airflow.start(airflow.load(world.entry()))
    airflow.delete_variable(the_plan(airflow, world))
    airflow.purge()
    airflow.clear(run)
    assert (run.states["preflight"], world.refreshes()) == ("failed", 1)
    assert "its rotate task was started, and its plan is gone" in run.error("preflight")


def test_a_cleared_run_that_a_later_one_has_followed_stops(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    dag = airflow.load(world.entry())
    first = airflow.start(dag)
    airflow.start(dag)
    airflow.purge()
    airflow.clear(first)
    assert (first.states["preflight"], world.refreshes()) == ("failed", 2)
    assert "a later Dag run has made its own" in first.error("preflight")


def test_nothing_is_refreshed_without_a_plan_to_find_again(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The Variable goes between preflight and rotate: a later try could not tell what this one did."""
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    airflow.delete_variable(the_plan(airflow, world))
    airflow.go_on(run)
    assert (run.state, world.refreshes(), world.calls("POST", "/secret")) == ("failed", 0, 0)
    assert "this try refreshed nothing" in run.error("rotate")


def test_a_plan_of_other_stores_is_no_plan_to_refresh_by(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tmp_path: Path
) -> None:
    """The rotation file was edited between preflight and rotate: the new store was never proven."""
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    run.dag = airflow.load(world.entry(stores=[world.file_store(path=str(tmp_path / "new.env"), create=True)]))
    airflow.go_on(run)
    assert (run.states["rotate"], world.refreshes()) == ("failed", 0)
    assert "have changed since preflight checked them" in run.error("rotate")


SPOILT = {
    "somebody else's": lambda airflow, name: airflow.set_variable(name, "theirs"),
    "undecryptable": lambda airflow, name: airflow.spoil_variable(name),
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("what", ["history", "leaked"])
def test_what_is_unknown_stops_a_rotation_and_no_emergency(
    airflow: InProcessAirflow, world: FeaturebaseWorld, how: str, what: str
) -> None:
    """Unknown is not absent: it is never overwritten, and the message names the Variable."""
    dag, emergency = airflow.load(world.entry()), load_emergency(airflow, world.entry())
    name = f"{prefix(world)}{what}"
    SPOILT[how](airflow, name)
    before = airflow.raw_variable(name)
    for mode in ("rotate", "distribute", "dry_run"):
        run = airflow.start(dag, {"mode": mode})
        assert (run.states["preflight"], world.refreshes()) == ("failed", 0)
        assert name in run.error("preflight")
    leaked = world.secret
    urgent = airflow.start(emergency, ALL)
    assert urgent.state == "success", urgent.errors
    assert (world.refreshes(), world.secret != leaked) == (1, True)
    assert in_stores(airflow, world) == everywhere(world.secret)
    assert airflow.raw_variable(name) == before


def test_a_variable_in_the_environment_hides_the_record(
    airflow: InProcessAirflow, world: FeaturebaseWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes with a mere warning in Airflow: what is set can't be read back."""
    dag = airflow.load(world.entry())
    monkeypatch.setenv(f"AIRFLOW_VAR_{prefix(world).upper()}HISTORY", "theirs")
    run = airflow.start(dag)
    assert (run.states["preflight"], world.refreshes()) == ("failed", 0)
    assert "environment" in run.error("preflight")
    monkeypatch.delenv(f"AIRFLOW_VAR_{prefix(world).upper()}HISTORY")
    assert airflow.start(dag).state == "success"


@pytest.fixture
def poisoned(airflow: InProcessAirflow, world: FeaturebaseWorld) -> Run:
    """A rotation is over, and a Dag that its report triggered has a run that never began: Airflow gives no event."""
    run = airflow.start(airflow.load(world.entry()))
    airflow.consume_without_a_start(asset(world, "rotation-report"))
    return run


def test_one_odd_row_of_airflows_database_holds_nothing_up(
    airflow: InProcessAirflow, world: FeaturebaseWorld, poisoned: Run
) -> None:
    """Where there is no record yet, events would be asked for: they can't be had, and nobody waits for them."""
    for name in airflow.variables(prefix(world)):
        airflow.delete_variable(name)
    airflow.clear(poisoned, ["push.object_storage", "distributed", "probe", "verify_delivery", "report", "outcome"])
    assert poisoned.state == "success", poisoned.errors
    emergency = airflow.start(load_emergency(airflow, world.entry()), ALL)
    assert emergency.state == "success", emergency.errors
    later = airflow.start(airflow.load(world.entry()))
    assert later.state == "success", later.errors
    assert world.refreshes() == 3
    assert in_stores(airflow, world) == everywhere(world.secret)


@pytest.mark.parametrize("other", ["by name", "by another connection"])
def test_a_webhook_in_two_entries_is_held(airflow: InProcessAirflow, world: FeaturebaseWorld, other: str) -> None:
    """Two Dags would undo each other's stores; the file alone can't tell."""
    airflow.connect(f"{world.conn_id}_too", host=world.url, password=world.api_key)
    same = {"by name": {"webhook_id": None, "webhook_name": "Production"}}.get(other, {})
    twin = world.entry(
        name=f"{world.name}-twin",
        featurebase_conn_id=f"{world.conn_id}_too",
        stores=[world.file_store(key="TWIN")],
        **same,
    )
    dags = airflow.load_rotation_file(world.name, [world.entry(stores=[world.file_store()]), twin])
    for dag in dags.values():
        run = airflow.start(dag)
        assert (run.states["preflight"], world.refreshes()) == ("failed", 0)
        assert "means this webhook too" in run.error("preflight")
