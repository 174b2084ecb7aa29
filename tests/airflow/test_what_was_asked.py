"""Runs that ask for something: what is not understood, or does not arrive, changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.world.emergency import ALL
from tests.world.emergency import load as load_emergency
from tests.world.expectations import asset, everywhere, in_stores

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

OWN_DAG = """\
# An Airflow Dag
import json
from airflow.sdk import DAG, Asset, task
from featurebase_provider.dag_factory import rotation_task_group
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator

entry = json.loads({entry!r})
with DAG({name!r}, schedule=None, {dag}) as dag:
    {body}
"""
GROUP = 'rotation_task_group(entry, group_id="turn")'


def own_dag(
    airflow: InProcessAirflow, world: FeaturebaseWorld, body: str = GROUP, dag: str = "", **changes: Any
) -> DAG:
    """A Dag of somebody's own with this body, and these arguments."""
    name = f"asked_{world.name}"
    text = OWN_DAG.format(entry=json.dumps(world.entry(probe=None, **changes)), name=name, body=body, dag=dag)
    return airflow.load_file(name, text)[name]


@pytest.fixture
def conf_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS", "False")


@pytest.mark.parametrize(
    "conf", [{"dry_run": True}, {"Mode": "dry_run"}, {"conf": {"mode": "dry_run"}}, {"mode": "rotate", "ticket": 1}]
)
def test_a_rotation_that_was_misunderstood(airflow: InProcessAirflow, world: FeaturebaseWorld, conf: Any) -> None:
    run = airflow.start(airflow.load(world.entry()), conf)
    assert (run.state, run.states["preflight"], world.refreshes()) == ("failed", "failed", 0)
    assert "Nothing was changed" in run.error("preflight")
    assert "none of mode, reason" in run.error("preflight")


@pytest.mark.usefixtures("conf_counts_for_nothing")
def test_a_mode_that_airflow_does_not_pass_on(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = airflow.start(airflow.load(world.entry()), {"mode": "dry_run"})
    assert (run.states["preflight"], world.refreshes()) == ("failed", 0)
    assert "dag_run_conf_overrides_params" in run.error("preflight")
    assert airflow.start(airflow.load(world.entry(probe=None)), {}).state == "success", "the default arrived"


@pytest.mark.parametrize(
    "conf",
    [None, {}, {"reason": "a leak"}, {"webhook": ["x"]}, {"Webhooks": ["x"]}, {**ALL, "mode": "dry_run"}],
    ids=lambda conf: json.dumps(conf),
)
def test_an_emergency_that_was_misunderstood(airflow: InProcessAirflow, world: FeaturebaseWorld, conf: Any) -> None:
    """Who names no webhook must not invalidate them all."""
    run = airflow.start(load_emergency(airflow, world.entry()), conf)
    assert (run.state, run.states["choose"], world.refreshes()) == ("failed", "failed", 0)
    assert "webhooks" in run.error("choose")


@pytest.mark.usefixtures("conf_counts_for_nothing")
def test_a_choice_that_airflow_does_not_pass_on(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = airflow.start(load_emergency(airflow, world.entry()), {"webhooks": ["another"]})
    assert (run.states["choose"], world.refreshes()) == ("failed", 0)
    assert "dag_run_conf_overrides_params" in run.error("choose")


def test_a_group_in_a_dag_of_ones_own_does_what_its_run_asks(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    dry = airflow.start(own_dag(airflow, world), {"mode": "dry_run", "reason": "to see", "their_key": [1]})
    assert (dry.state, dry.xcoms["turn.report"]["outcome"], world.refreshes()) == ("success", "dry_run", 0)
    assert dry.xcoms["turn.report"]["reason"] == "to see"
    run = airflow.start(own_dag(airflow, world))
    assert (run.xcoms["turn.report"]["outcome"], world.refreshes()) == ("rotated", 1)


@pytest.mark.parametrize("conf", [{"dry_run": True}, {"MODE": "dry_run"}, {"modes": ["dry_run"]}])
def test_slips_in_a_dag_of_ones_own(airflow: InProcessAirflow, world: FeaturebaseWorld, conf: Any) -> None:
    run = airflow.start(own_dag(airflow, world), conf)
    assert (run.states["turn.preflight"], world.refreshes()) == ("failed", 0)


def test_a_group_whose_mode_is_fixed_does_not_play_another(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    dag = own_dag(airflow, world, 'rotation_task_group(entry, group_id="turn", mode="rotate")')
    run = airflow.start(dag, {"mode": "dry_run"})
    assert (run.states["turn.preflight"], world.refreshes()) == ("failed", 0)
    assert "the Dag file sets it" in run.error("turn.preflight")


def test_an_operator_alone_only_rotates(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    body = (
        'RotateWebhookSecretOperator(task_id="rotate", webhook_id=entry["webhook_id"], stores=entry["stores"], '
        'featurebase_conn_id=entry["featurebase_conn_id"])'
    )
    run = airflow.start(own_dag(airflow, world, body), {"mode": "dry_run"})
    assert (run.states["rotate"], world.refreshes()) == ("failed", 0)
    assert airflow.start(own_dag(airflow, world, body), {"their_key": 1}).state == "success"


@pytest.mark.parametrize("rule", ["none_failed", "all_done"])
def test_default_args_do_not_take_safety_away(airflow: InProcessAirflow, world: FeaturebaseWorld, rule: str) -> None:
    """A dry run writes no store whatever the Dag's author set for other tasks, and results are there to be read."""
    world.secret_file.write_text("FEATUREBASE_WEBHOOK_SECRET=whsec_theirs\n")
    args = f'default_args={{"trigger_rule": {rule!r}, "do_xcom_push": False}}, render_template_as_native_obj=True'
    entry = {"stores": [{**world.file_store(), "adopt": True}]}
    dry = airflow.start(own_dag(airflow, world, dag=args, **entry), {"mode": "dry_run"})
    assert (dry.state, dry.xcoms["turn.report"]["outcome"], world.refreshes()) == ("success", "dry_run", 0)
    assert dry.states["turn.push.object_storage"] == "skipped"
    assert "whsec_theirs" in world.secret_file.read_text()
    run = airflow.start(own_dag(airflow, world, dag=args, **entry))
    assert (run.state, run.xcoms["turn.report"]["outcome"], world.refreshes()) == ("success", "rotated", 1)


def test_an_id_of_digits_stays_text(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    digits = "507199577866787990194391"
    dag = own_dag(airflow, world, dag="render_template_as_native_obj=True", webhook_id=digits)
    run = airflow.start(dag)
    assert digits in run.error("turn.preflight"), "Featurebase was asked for this webhook"


@pytest.mark.parametrize("what", ["signing-secret", "rotation-report", "plan"])
def test_an_asset_of_somebody_else_with_our_uri_ends_no_rotation(
    airflow: InProcessAirflow, world: FeaturebaseWorld, what: str
) -> None:
    """It has the URI first, by another name. The rotation goes through."""
    uri = asset(world, what)
    text = (
        f"# An Airflow Dag\nfrom airflow.sdk import DAG, Asset\nwith DAG('theirs_{world.name}', schedule=[Asset(name="
    )
    text += f"'ours {world.name} {what}', uri={uri!r})]): pass\n"
    airflow.load_file(f"theirs_{world.name}", text)
    run = airflow.start(airflow.load(world.entry()))
    assert run.state == "success", run.errors
    assert (run.report["outcome"], world.refreshes()) == ("rotated", 1)
    urgent = airflow.start(load_emergency(airflow, world.entry()), ALL)
    assert (urgent.state, world.refreshes()) == ("success", 2)
    assert in_stores(airflow, world) == everywhere(world.secret)
