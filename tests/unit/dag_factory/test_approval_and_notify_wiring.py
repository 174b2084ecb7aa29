"""An approval stands between preflight and rotate, and notifiers reach the tasks that tell."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.dag_factory import rotation_dag
from tests.unit.dag_factory.wiring import edges

NOTIFY = [{"events": ["failure", "approval_needed"], "notifier": "a.B"}]
ONE: dict[str, Any] = {
    "name": "one",
    "webhook_id": "5" * 24,
    "stores": [{"type": "airflow_variable", "name": "one"}],
}
PAIR: dict[str, Any] = {
    "name": "pair",
    "webhook_ids": ["5" * 24, "6" * 24],
    "strategy": "overlap",
    "probe": True,
    "stores": [{"type": "object_storage", "path": "/etc/a.env", "previous_key": "OLD"}],
}


@pytest.mark.parametrize("entry", [ONE, PAIR], ids=["refresh", "overlap"])
def test_without_them_the_dag_is_as_before(entry: dict[str, Any]) -> None:
    dag = rotation_dag(entry)
    asking = rotation_dag({**entry, "approval": "always"})
    assert "approve" not in dag.task_ids
    assert set(asking.task_ids) - set(dag.task_ids) == {"approve"}
    assert edges(asking) - edges(dag) == {("preflight", "approve"), ("approve", "rotate")}
    assert dag.get_task("rotate").approve_task_id is None
    assert dag.get_task("report").on_failure_callback == []


@pytest.mark.parametrize("entry", [ONE, PAIR], ids=["refresh", "overlap"])
def test_they_reach_their_tasks(entry: dict[str, Any]) -> None:
    approval = {"timeout": "P2D", "approvers": ["alice", "bob"]}
    dag = rotation_dag({**entry, "approval": approval, "notify": NOTIFY, "execution_timeout": "PT16M"})
    approve, rotate, report = (dag.get_task(name) for name in ("approve", "rotate", "report"))
    assert approve.response_timeout == approve.timeout == timedelta(days=2)
    assert approve.execution_timeout == timedelta(minutes=16)
    assert [user["id"] for user in approve.assigned_users] == ["alice", "bob"]
    assert approve.plan_task_id == "preflight"
    assert (rotate.approve_task_id, report.approve_task_id) == ("approve", "approve")
    assert "approve" in report.task_ids
    assert [entry.notifier for entry in report.notify] == [entry.notifier for entry in approve.notify] == ["a.B"]
    assert len(report.on_failure_callback) == 1


def test_a_dag_file_without_them_loads_neither() -> None:
    """Parsing a Dag file costs what its entries need."""
    script = (
        "import sys; from featurebase_provider.dag_factory import rotation_dag\n"
        f"rotation_dag({ONE!r}); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    late = {"featurebase_provider.operators.approve", "featurebase_provider.operators.notify"}
    assert not loaded & {*late, "airflow.providers.standard.operators.hitl"}
