"""What the emergency Dag must be, as a Dag processor of any supported Airflow sees it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.cli.example_dags import DAG_FILES
from tests.airflow.test_dag_integrity import FORBIDDEN, ROTATION_FILE, referred
from tests.world.parse_dags import parse

if TYPE_CHECKING:
    from pathlib import Path

DAG_ID = "featurebase_emergency_rotation"
BRANCH = ["plan", "rotate", "push", "probe", "confirm", "report"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The shipped Dag file alone."""
    folder = tmp_path_factory.mktemp("dags")
    (folder / "dag.py").write_text((DAG_FILES / f"{DAG_ID}.py").read_text())
    return parse_with(folder)


@pytest.fixture(scope="module")
def dag(found: dict[str, Any]) -> dict[str, Any]:
    return dict(found["dags"][DAG_ID])


def parse_with(folder: Path, **environment: str) -> dict[str, Any]:
    file = folder.with_name(f"{folder.name}.yaml")
    file.write_text(ROTATION_FILE)
    return parse(folder, AIRFLOW__FEATUREBASE__ROTATION_CONFIG=str(file), **environment)


def test_it_is_parsed_without_clients_and_connections(found: dict[str, Any]) -> None:
    assert (found["import_errors"], list(found["dags"]), found["sockets"]) == ({}, [DAG_ID], [])
    imported = [name for name in found["imported"] if name.startswith(tuple(f"{one}." for one in FORBIDDEN))]
    assert imported == []


def test_nothing_holds_a_run_up(dag: dict[str, Any]) -> None:
    """No pause to be ended first, no other run to wait for, no gate before the refresh."""
    assert (dag["paused_at_first"], dag["catchup"]) == (False, False)
    assert dag["max_active_runs"] >= 100
    edges = {tuple(edge) for edge in dag["edges"]}
    assert {edge for edge in edges if edge[1] in ("webhook.plan", "webhook.rotate")} == {
        ("choose", "webhook.plan"),
        ("choose", "webhook.rotate"),
        ("webhook.plan", "webhook.rotate"),
    }


def test_form_offers_the_configured_webhooks(dag: dict[str, Any]) -> None:
    form = dag["params"]["webhooks"]
    assert form["default"] == form["examples"] == ["production", "staging"]
    assert (form["type"], form["minItems"]) == ("array", 1)
    assert dag["params"]["reason"]["default"] == ""


def test_branch_is_named_and_retried(dag: dict[str, Any]) -> None:
    """Every task of a branch shows its webhook in the grid; those that write stores go on for hours."""
    tasks = dag["tasks"]
    assert set(tasks) == {"choose", "summary", *(f"webhook.{name}" for name in BRANCH)}
    for name in BRANCH:
        task = tasks[f"webhook.{name}"]
        assert task["map_index_template"] == "{{ task.webhook }}", name
        assert (task["retries"] > 0, task["backoff"], task["execution_timeout"] > 0) == (True, True, True), name
    assert {tasks[f"webhook.{name}"]["retries"] for name in ("push", "confirm")} == {500}
    assert tasks["webhook.probe"]["execution_timeout"] > 600
    assert referred(dag) <= set(tasks)
    assert {name for name, task in tasks.items() if task["trigger_rule"] == "all_done"} == {"webhook.report"}
    assert {name for name, task in tasks.items() if task["teardown"]} == {"summary"}


def test_events_go_through_an_alias(dag: dict[str, Any]) -> None:
    """As outlets of their own, every webhook's assets would get an event whenever any branch succeeds."""
    outlets = {task_id: task["outlets"] for task_id, task in dag["tasks"].items() if task["outlets"]}
    assert outlets == {f"webhook.{name}": ["featurebase://events"] for name in ("push", "confirm", "report")}


def test_page_says_what_the_button_does(dag: dict[str, Any]) -> None:
    assert "refreshed immediately" in dag["doc_md"]
    assert "507f1f77bcf86cd799439011" in dag["doc_md"]
    assert "<b>" not in dag["doc_md"]


def test_serialized_dag_holds_names_only(dag: dict[str, Any]) -> None:
    """No store, no connection; the rotation file stays where it is."""
    text = json.dumps(json.loads(dag["serialized"])["dag"]["tasks"])
    assert "WebhookConfig" not in text
    assert "featurebase_webhook_signing_secret" not in text
    assert "aws_default" not in dag["serialized"]
    assert re.findall(r"password|api_key|whsec_|\bsk_|Authorization", dag["serialized"]) == []


@pytest.mark.parametrize(
    ("wanted", "built"),
    [(DAG_ID, [DAG_ID]), ("somebodys_own", [DAG_ID]), ("featurebase_rotate__staging", []), ("featurebase_audit", [])],
)
def test_one_task_builds_what_it_needs(tmp_path: Path, wanted: str, built: list[str]) -> None:
    """Where Airflow parses for the sake of another of our Dags, this one is not built."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "dag.py").write_text((DAG_FILES / f"{DAG_ID}.py").read_text())
    context = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": wanted, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "rotate"}
    assert list(parse_with(tmp_path / "dags", **context)["dags"]) == built


def test_webhooks_of_ones_own(tmp_path: Path) -> None:
    """In place of the rotation file, which then need not be there."""
    (tmp_path / "own.py").write_text(
        "# An Airflow dag\n"
        "from featurebase_provider.dag_factory import emergency_rotation_dag\n"
        "dag = emergency_rotation_dag(webhooks=[{'name': 'mine', 'webhook_id': '5' * 24,\n"
        "    'stores': [{'type': 'airflow_variable', 'name': 'mine'}]}], push_retries=7)\n"
    )
    own = parse(tmp_path)["dags"][DAG_ID]
    assert own["params"]["webhooks"]["default"] == ["mine"]
    assert own["tasks"]["webhook.push"]["retries"] == 7
