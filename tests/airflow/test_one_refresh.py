"""Whatever goes wrong at the refresh, and however often a run is cleared: one Dag run refreshes once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.world.expectations import everywhere, file_with, in_stores

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


@pytest.mark.parametrize("tasks", [["preflight", "rotate"], ["rotate"], None], ids=["both", "rotate", "all"])
def test_a_cleared_run_refreshes_nothing_more(
    airflow: InProcessAirflow, world: FeaturebaseWorld, tasks: list[str] | None
) -> None:
    """The plan of a Dag run outlives a clear: what was refreshed is found, and only distributed."""
    run = airflow.start(airflow.load(world.entry()))
    secret, plan = world.secret, run.xcoms["preflight"]

    airflow.clear(run, tasks)

    assert run.state == "success", run.errors
    assert run.tries["rotate"] == 2
    assert world.refreshes() == 1
    assert in_stores(airflow, world) == everywhere(secret)
    assert run.xcoms["preflight"] == plan
    assert run.xcoms["rotate"]["how"] == "already_done"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_response"},
        {"kind": "reset", "commit": True},
        {"kind": "hang", "commit": True},
        {"kind": "status", "status": 502, "commit": True},
        {"kind": "malformed", "body": "truncated"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_refresh_with_a_lost_answer_is_found(
    airflow: InProcessAirflow, world: FeaturebaseWorld, fault: dict[str, Any]
) -> None:
    """Featurebase refreshed and its answer was lost: no second refresh, and every store has the secret."""
    airflow.connect(world.conn_id, host=world.url, password=world.api_key, extra='{"timeout": 0.5}')
    world.fault(**fault)
    run = airflow.start(airflow.load(world.entry()))
    assert run.state == "success", run.errors
    assert (world.refreshes(), world.calls("POST", "/secret"), run.tries["rotate"]) == (1, 1, 1)
    assert run.report["how"] == "found_after_lost_answer"
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_refresh_that_never_happened_is_retried_by_airflow(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A 500 and no change within the grace fails the try; the next one compares, and refreshes once."""
    world.fault("status", status=500)
    run = airflow.start(airflow.load(world.entry(retries=1)))
    assert run.state == "success", run.errors
    assert (world.refreshes(), world.calls("POST", "/secret"), run.tries["rotate"]) == (1, 2, 2)
    assert "most likely nothing was refreshed" in run.error("rotate")
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_late_commit_of_a_failed_try_is_not_repeated(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """A refresh that commits only after its try has failed is found by the next try, which refreshes nothing."""
    world.fault("late_commit", status=504, seconds=4)
    run = airflow.start(airflow.load(world.entry(retries=1, refresh_grace="PT2S")))
    assert run.state == "success", run.errors
    assert (world.refreshes(), world.calls("POST", "/secret"), run.tries["rotate"]) == (1, 1, 2)
    assert run.report["how"] == "already_done"
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_stale_reads_are_never_written(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Reads that go on showing the old secret after the refresh are read again, not distributed."""
    run = airflow.start(airflow.load(world.entry(refresh_grace="PT10S")), pause_after="preflight")
    world.fault("stale_read", method="GET", count=4)
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert world.refreshes() == 1
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_stale_baseline_is_read_again(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """The next run's preflight is shown the secret that the last run replaced: it waits for the current one."""
    dag = airflow.load(world.entry())
    airflow.start(dag)
    current = world.fingerprint
    world.fault("stale_read", method="GET", count=2)
    run = airflow.start(dag)
    assert run.state == "success", run.errors
    assert (world.refreshes(), run.report["how"], run.report["before"]) == (2, "answered", current)
    assert in_stores(airflow, world) == everywhere(world.secret)


def test_rotation_by_hand_between_plan_and_refresh(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Somebody was faster: their secret is distributed, and not refreshed away."""
    run = airflow.start(airflow.load(world.entry()), pause_after="preflight")
    world.api("POST", f"/v2/webhooks/{world.webhook_id}/secret")
    airflow.go_on(run)
    assert run.state == "success", run.errors
    assert (world.refreshes(), run.report["how"]) == (1, "already_done")
    assert in_stores(airflow, world) == everywhere(world.secret)


LONE_ROTATE = """\
from datetime import timedelta
from airflow.sdk import DAG
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator

with DAG({name!r}, schedule=None) as dag:
    RotateWebhookSecretOperator(
        task_id="rotate", webhook_id={webhook_id!r}, featurebase_conn_id={conn_id!r}, stores=[{store!r}],
        refresh_grace=timedelta(seconds=0.5), retries=1, retry_delay=timedelta(seconds=0.1),
    )
"""


def test_operator_alone_refreshes_once_over_retries(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    """Without a plan the baseline is kept for the next try, which distributes and does not refresh again."""
    world.secret_file.chmod(0o444)  # readable, so it arms; not writable
    text = LONE_ROTATE.format(
        name=world.name, webhook_id=world.webhook_id, conn_id=world.conn_id, store=world.file_store()
    )
    dag = airflow.load_file(world.name, text)[world.name]
    run = airflow.start(dag)
    assert (run.state, run.tries["rotate"], world.refreshes()) == ("failed", 2, 1)
    assert "stores do not hold it" in run.error("rotate")
    world.secret_file.chmod(0o640)
    airflow.clear(run)
    assert (run.state, world.refreshes()) == ("success", 1)
    assert world.secret_file.read_text() == file_with(world.secret)
