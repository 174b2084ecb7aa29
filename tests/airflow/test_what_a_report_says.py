"""What a report says is what was seen, in whole Dag runs: of stores, receivers, and what to do about both."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.world.emergency import load
from tests.world.expectations import PUSHES, asset, everywhere, in_stores

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run

AFTER_THE_PUSHES = ["distributed", "probe", "verify_delivery", "report", "outcome"]


def by_hand(world: FeaturebaseWorld) -> None:
    """Somebody refreshes the secret at Featurebase, and no store learns of it."""
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")


def after_a_rotation_by_hand(airflow: InProcessAirflow, world: FeaturebaseWorld) -> Any:
    """A Dag whose stores hold the secret before last."""
    dag = airflow.load(world.entry())
    assert airflow.start(dag).state == "success"
    by_hand(world)
    return dag


def rows(run: Run) -> dict[str, dict[str, Any]]:
    """The report's tasks by id."""
    return {row["task_id"]: row for row in run.report["tasks"]}


def test_store_whose_push_failed_is_not_shown_as_rotate_left_it(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    """The folder went away after rotate had written the file."""
    run = airflow.start(airflow.load(world.entry()), pause_after="rotate")
    folder, away = world.secret_file.parent, world.secret_file.parent.with_name("away")
    folder.rename(away)
    airflow.go_on(run)
    assert run.xcoms["rotate"]["stores"]["object_storage"]["result"] == "written"
    assert (run.state, run.report["outcome"]) == ("failed", "incomplete")
    good, bad = run.report["stores"]
    assert (good["result"], bad["result"], bad["fingerprint"]) == ("written", "unknown", None)
    for said in (bad["problem"], run.report["cause"], rows(run)["push.object_storage"]["why"]):
        assert "does not exist. A refresh can't be undone" in said
    assert "Not known to hold it: object_storage. Fix the store, then clear its push task" in run.report["advice"]
    (event,) = airflow.asset_events(asset(world, "rotation-report"))
    assert event == run.report

    away.rename(folder)
    airflow.clear(run, ["push.object_storage", *AFTER_THE_PUSHES])
    assert (run.state, run.report["cause"], run.report["advice"]) == ("success", None, "Nothing to do.")


def test_emergency_push_that_left_nothing(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """It could not read Featurebase, so it has looked at no store: what rotate saw is older than that."""
    dag = load(airflow, world.entry(probe=None))
    run = airflow.start(dag, {"webhooks": [world.name]}, pause_after="webhook.rotate[0]")
    world.fault("status", method="GET", status=403, count=1)
    airflow.go_on(run)
    report = run.xcoms["webhook.report[0]"]
    assert (run.state, report["outcome"]) == ("failed", "incomplete")
    assert {one["result"] for one in report["stores"]} == {"unknown"}
    assert "answered 403" in report["cause"]


def receiver_down(world: FeaturebaseWorld) -> None:
    world.move("http://127.0.0.1:9/webhook")


def receiver_refuses(world: FeaturebaseWorld) -> None:
    world.secret_file.write_text(world.secret_file.read_text().replace(world.secret, "whsec_another_one"))


def paused(world: FeaturebaseWorld) -> None:
    world.api("PATCH", f"/v2/webhooks/{world.webhook_id}", json={"status": "paused"})


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (receiver_down, "The probe could not find out whether the receiver accepts"),
        (receiver_refuses, "The receiver refuses Featurebase's current secret, so deliveries fail now"),
        (paused, "The webhook is 'paused', so Featurebase delivers nothing. Once its receiver has the current secret"),
    ],
    ids=["down", "refuses", "paused"],
)
def test_nothing_changed_says_how_the_receiver_stands(
    airflow: InProcessAirflow, world: FeaturebaseWorld, prepare: Any, says: str
) -> None:
    """Whether that can wait until the morning depends on it."""
    prepare(world)
    run = airflow.start(airflow.load(world.entry(stores=[world.variable_store()])))
    assert (run.state, run.report["outcome"], world.refreshes()) == ("failed", "nothing_changed", 0)
    assert says in run.report["advice"]
    assert run.report["advice"].startswith("This run changed nothing. ")
    assert "verify" not in run.report["advice"].partition("Fix what failed")[0]
    assert run.report["cause"] == f"preflight: {run.error('preflight')}"
    assert (run.report["webhook_id"], run.report["host"]) == (world.webhook_id, world.url)
    assert (run.report["before"], run.report["found"]["status"]) == (world.fingerprint, world.webhook["status"])


def test_after_a_rotation_by_hand_distribute_is_named(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The receiver is not to blame: it holds what its store holds."""
    dag = after_a_rotation_by_hand(airflow, world)
    run = airflow.start(dag)
    assert (run.state, world.refreshes()) == ("failed", 2)
    for said in (run.error("preflight"), run.report["cause"], run.report["advice"]):
        assert f"Some stores hold another secret than Featurebase's current one ({world.fingerprint})" in said
        assert "Trigger the Dag with mode=distribute: it updates the stores without refreshing" in said
        assert "object_storage" in said
    healed = airflow.start(dag, {"mode": "distribute"})
    assert (healed.state, healed.report["outcome"]) == ("success", "distributed"), healed.errors
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_dry_run_shows_stores_and_probe(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    run = airflow.start(airflow.load(world.entry()), {"mode": "dry_run"})
    found = run.report["found"]
    assert [(one["label"], one["holding"], one["fingerprint"]) for one in found["stores"]] == [
        ("airflow_variable", "absent", None),
        ("object_storage", "matches", world.fingerprint),
    ]
    assert all(one["said"].startswith(("writable", "reachable, not provable")) for one in found["stores"])
    assert found["probe"]["result"] == "accepted"
    assert run.report["stores"] == []
    assert "The receiver accepted an event signed with Featurebase's current secret" in run.report["advice"]


def test_skipped_run_says_why(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    dag = airflow.load(world.entry())
    airflow.start(dag)
    run = airflow.start(dag, run_after=datetime.now(tz=timezone.utc))
    assert (run.state, run.report["outcome"]) == ("success", "skipped")
    assert run.report["cause"].startswith("preflight: Skipped: ")
    assert "min_age" in run.report["cause"]


@pytest.mark.parametrize("probe", [None, {"timeout": "PT1S", "interval": "PT0.1S", "steady": "PT0S"}])
def test_nothing_to_do_is_said_with_proof_only(
    airflow: InProcessAirflow, world: FeaturebaseWorld, probe: dict[str, Any] | None
) -> None:
    run = airflow.start(airflow.load(world.entry(probe=probe)))
    assert (run.state, run.report["outcome"], run.report["delivery"]["kind"]) == ("success", "rotated", "quiet")
    assert (run.report["advice"] == "Nothing to do.") is (probe is not None)
    if probe is None:
        assert "it is not proven that the receiver accepts it" in run.report["advice"]


@pytest.mark.parametrize("changes", [{}, {"reactivate": True}], ids=["", "reactivate"])
def test_distribute_works_while_the_webhook_is_paused(
    airflow: InProcessAirflow, world: FeaturebaseWorld, changes: dict[str, Any]
) -> None:
    """The stores were behind, so deliveries were refused, so Featurebase paused it: the way out is open."""
    after_a_rotation_by_hand(airflow, world)
    dag = airflow.load(world.entry(**changes))
    paused(world)
    refused = airflow.start(dag)
    assert (refused.state, refused.states["preflight"]) == ("failed", "failed")
    assert "mode=distribute" in refused.error("preflight")

    run = airflow.start(dag, {"mode": "distribute"})
    assert (run.state, run.report["outcome"]) == ("success", "distributed"), run.errors
    assert in_stores(airflow, world) == everywhere(world.secret)
    assert world.webhook["status"] == "paused"
    assert "set it active on its page" in run.report["advice"]
    assert f'PATCH /v2/webhooks/{world.webhook_id} {{"status": "active"}}' in run.report["advice"]
    assert "Nothing to do" not in run.report["advice"]


def test_emergency_of_a_paused_webhook_says_how_it_comes_back(
    airflow: InProcessAirflow, world: FeaturebaseWorld
) -> None:
    paused(world)
    run = airflow.start(load(airflow, world.entry()), {"webhooks": [world.name]})
    assert (run.state, world.refreshes()) == ("success", 1), run.errors
    (row,) = run.xcoms["summary"]
    assert (row["outcome"], row["stores_left"]) == ("rotated", [])
    assert "set it active on its page" in row["advice"]
    assert "Nothing to do" not in row["advice"]


def test_no_word_of_a_secret(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """What tasks leave for the report is stored, as results are."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    dag = after_a_rotation_by_hand(airflow, world)
    run = airflow.start(dag)
    assert PUSHES[0] in run.states
    with create_session() as session:
        shown = [str(row.value) for row in session.query(XComModel).filter_by(run_id=run.run_id)]
    assert any("Some stores hold another" in text for text in shown)
    assert not [name for name, secret in world.secrets.items() for text in shown if secret in text]
