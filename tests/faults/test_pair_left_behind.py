"""What a run leaves that failed before the deliveries moved: it is taken back, or the report and the audit name it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.pair_calls import TAKEN_BACK
from tests.faults.pair_runs import LONG, check_taken_back, outcome_of_pair
from tests.faults.store_faults import down, up
from tests.faults.table import IS_FULL

if TYPE_CHECKING:
    from tests.faults.pair_stage import PairStage
    from tests.faults.pair_world import FaultyPair
    from tests.world.in_process_airflow import Run

DAG_FILE = """\
# An Airflow Dag file
from featurebase_provider.dag_factory import audit_dag

dag = audit_dag({path!r})
"""
NO_ANSWER: dict[str, dict[str, Any]] = {
    "404": {"kind": "status", "status": 404},
    "503": {"kind": "status", "status": 503},
    "reset": {"kind": "reset"},
    "stale": {"kind": "stale_read"},
    "not_json": {"kind": "malformed", "body": "not_json"},
}
READS = [(half, skip) for half in ("live", "standby") for skip in range(4)]
"""Reads of the report task: what it takes back, whether that agrees with Featurebase, and what it shows."""


def a_failed_run(stage: PairStage) -> Run:
    """One whose push failed, up to its report."""
    world = stage.begin()
    run = stage.airflow.start(stage.dag, pause_after="rotate")
    world.put_up(method="GET", half="standby", kind="status", status=401)
    stage.airflow.go_on(run, pause_after="verify_delivery")
    assert world.control("GET", "/faults") == []
    assert "failed" in run.states.values()
    return run


@pytest.mark.parametrize(
    ("half", "skip", "fault"),
    [
        pytest.param(half, skip, fault, id=f"{half}-{skip}-{fault}")
        for half, skip in READS
        for fault in NO_ANSWER
        if IS_FULL or (half, skip, fault) in (("standby", 1, "503"), ("live", 1, "404"))
    ],
)
def test_a_read_fails_while_a_secret_is_taken_back(pair_stage: PairStage, half: str, skip: int, fault: str) -> None:
    """The report is written; the stores are as they were, or it says that the new secret may still be there."""
    run, world = a_failed_run(pair_stage), pair_stage.world
    world.put_up(method="GET", half=half, skip=skip, **NO_ANSWER[fault])
    pair_stage.airflow.go_on(run)
    assert run.states["report"] == "success", run.errors
    assert outcome_of_pair(run, world, refreshed=True) == TAKEN_BACK
    check_taken_back(run, world)
    world.judge.check()


def audit(stage: PairStage, name: str) -> list[dict[str, Any]]:
    """What an audit finds now."""
    world = stage.world
    path = world.secret_file.with_name(f"{name}.yaml")
    path.write_text(json.dumps({"audit": {}, "webhooks": [world.entry_of_pair()]}))  # JSON is YAML
    (dag,) = stage.airflow.load_file(f"{world.name}-audit", DAG_FILE.format(path=str(path))).values()
    found: list[dict[str, Any]] = stage.airflow.start(dag).xcoms["audit"]["findings"]
    return found


def test_the_audit_names_the_secret_that_a_failed_run_left(pair_stage: PairStage) -> None:
    """Not at once, since a run may be about to need it; and a healing run lets the store forget it."""
    run, world = a_failed_run(pair_stage), pair_stage.world
    down(world)  # type: ignore[arg-type]
    pair_stage.airflow.go_on(run)
    up(world)  # type: ignore[arg-type]
    check_taken_back(run, world)
    assert "scripted" in run.report["pair"]["taken_back"]
    assert world.place.previous == world.secret_of(world.standby_id)
    assert audit(pair_stage, "soon") == []
    world.wait(LONG)
    (found,) = audit(pair_stage, "later")
    assert (found["kind"], found["store"], found["webhook_id"]) == ("drain_overdue", "scripted", world.standby_id)
    assert "failed before it set the webhook active" in found["detail"]
    assert pair_stage.run("distribute").state == "success"
    world.wait(LONG)
    pair_stage.run("distribute")
    assert world.place.slots == (world.secret_of(world.webhook_id), None)
    assert audit(pair_stage, "healed") == []
    world.judge.check()


@pytest.mark.parametrize("fault", NO_ANSWER if IS_FULL else ["stale"])
@pytest.mark.parametrize("path", ["/v2/webhooks", "/v2/webhooks/{standby}"])
def test_an_audit_whose_reads_fail_finds_nothing_that_is_not_there(
    pair_stage: PairStage, path: str, fault: str
) -> None:
    """Whatever it could not read, it does not send anybody to a store, nor does it let a healing run begin."""
    world = pair_stage.begin()
    run = pair_stage.airflow.start(pair_stage.dag)
    assert run.state == "success", run.errors
    changed = _changes(world)
    world.control("POST", "/faults", method="GET", path=path.format(standby=world.standby_id), **NO_ANSWER[fault])
    found = audit(pair_stage, fault)
    world.control("DELETE", "/faults")
    assert {one["kind"] for one in found} <= {"featurebase_unreachable"}, found
    assert _changes(world) == changed
    world.judge.check()


def _changes(world: FaultyPair) -> Any:
    calls = [call for call in world.sandbox.state.journal.calls if call.committed]
    return len(calls), [place.version for place in world.places]
