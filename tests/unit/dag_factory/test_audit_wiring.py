"""The audit's Dag: what the rotation file says of it, and what its tasks know of each other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG

from featurebase_provider.config import load_rotation_config
from featurebase_provider.dag_factory import audit_dag
from tests.unit.dag_factory.conftest import ROTATION_FILE
from tests.unit.dag_factory.wiring import edges, events, told, told_airflow


@pytest.fixture
def dag(rotation_file: Path) -> DAG:
    dag = audit_dag(rotation_file)
    assert dag is not None
    return dag


def test_the_dag(dag: DAG) -> None:
    assert dag.dag_id == "featurebase_audit"
    assert dag.dag_display_name == "Audit all webhook signing secrets"
    assert "changes nothing itself" in (dag.description or "")
    assert "2 webhooks and 3 stores" in (dag.doc_md or "")
    assert dag.schedule == "0 7 * * *"
    assert dag.start_date is not None
    assert (dag.start_date.isoformat(), str(dag.timezone)) == ("2026-02-02T22:00:00+00:00", "Europe/Tallinn")
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.tags == {"featurebase", "webhook", "secret-rotation", "a-tag"}


def test_the_form(dag: DAG) -> None:
    heal = dag.params.get_param("heal")
    assert list(dag.params) == ["heal"]
    assert (heal.value, heal.schema["type"], heal.schema["title"]) == (True, "boolean", "Heal")
    assert "without refreshing" in heal.schema["description_md"]


def test_every_task_is_told_what_it_needs(dag: DAG, rotation_file: Path) -> None:
    config = load_rotation_config(rotation_file)
    assert told(dag.get_task("audit")) == {
        "webhooks": config.webhooks,
        "ignore": ("webhook_unconfigured", "key_refused"),
        "time_limit": 45 * 60.0,
    }
    assert told(dag.get_task("drifted")) == {"audit_task_id": "audit", "heal": "{{ params.heal }}"}
    assert told(dag.get_task("findings")) == {"audit_task_id": "audit"}


def test_what_is_healed_is_what_was_chosen(dag: DAG) -> None:
    """Run ids are the audit's: one that is there already is this very run's, from an earlier try."""
    heal = dag.get_task("heal")
    assert heal.partial_kwargs["skip_when_already_exists"] is True
    assert heal.partial_kwargs["logical_date"] is None
    assert heal.partial_kwargs["deferrable"] is False
    assert heal.expand_input.value.operator.task_id == "drifted"


def test_how_the_tasks_run(dag: DAG) -> None:
    """Findings are no accident that a retry mends; the audit's time limit ends before Airflow's."""
    for name in ("audit", "drifted", "findings"):
        known = told_airflow(dag.get_task(name))
        assert (known["owner"], known["retries"]) == ("security", 0 if name == "findings" else 2)
        assert (known["retry_delay"], known["max_retry_delay"]) == (timedelta(seconds=30), timedelta(minutes=5))
        assert known["retry_exponential_backoff"]
        assert known["execution_timeout"] == timedelta(minutes=60 if name == "audit" else 10)


def test_order_and_events(dag: DAG) -> None:
    assert edges(dag) == {("audit", "drifted"), ("drifted", "heal"), ("audit", "findings")}
    assert events(dag.get_task("audit")) == (set(), {"featurebase://events"})


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "rotation.yaml"
    path.write_text(ROTATION_FILE.partition("audit:")[0])
    dag = audit_dag(path)
    assert dag is not None
    assert dag.params["heal"] is False
    assert "does not trigger" in (dag.doc_md or "")
