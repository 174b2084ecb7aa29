"""The emergency's Dag: nothing holds it up, and its tasks know each other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from featurebase_provider.config import load_rotation_config
from featurebase_provider.dag_factory import emergency_rotation_dag
from tests.unit.dag_factory.wiring import edges, events, told_airflow

EVENTS = "featurebase://events"
RULES = {"report": "all_done", "summary": "all_done_setup_success"}
REASON = "{{ params.reason or '' }}"


@pytest.fixture
def dag(rotation_file: Path) -> DAG:
    dag = emergency_rotation_dag(rotation_file)
    assert dag is not None
    return dag


def test_the_dag(dag: DAG) -> None:
    assert dag.dag_id == "featurebase_emergency_rotation"
    assert dag.dag_display_name == "EMERGENCY: replace leaked signing secrets at once"
    assert "without checks beforehand" in (dag.description or "")
    assert "507f1f77bcf86cd799439011" in (dag.doc_md or "")
    assert (dag.schedule, dag.catchup, dag.is_paused_upon_creation) == (None, False, False)
    assert (dag.max_active_runs, dag.max_active_tasks) == (1000, 1000)
    assert dag.tags == {"featurebase", "webhook", "secret-rotation", "emergency"}


def test_the_form_offers_all_webhooks_and_takes_any_name(dag: DAG) -> None:
    """A name that is not configured fails its own branch, and holds up no other."""
    form = dag.params.get_param("webhooks")
    assert list(dag.params) == ["webhooks", "reason"]
    assert form.value == ["production", "staging"]
    expected = {
        "type": "array",
        "items": {"type": "string", "maxLength": 100},
        "minItems": 1,
        "examples": ["production", "staging"],
        "title": "Webhooks",
    }
    assert expected.items() <= form.schema.items()
    assert '["all"] means all' in str(form.description)
    assert dag.params["reason"] == ""


def test_the_branches_are_the_choice(dag: DAG) -> None:
    choose, summary = dag.get_task("choose"), dag.get_task("summary")
    assert choose.known == ("production", "staging")
    assert (summary.choose_task_id, summary.report_task_id) == ("choose", "webhook.report")
    group: Any = dag.task_group.children["webhook"]
    assert group._expand_input.value["webhook"].operator.task_id == "choose"
    assert group.tooltip == "One branch per chosen webhook; they run independently"


@pytest.mark.parametrize(
    ("name", "knows"),
    [
        ("plan", {"reason": REASON, "rotate_task_id": "webhook.rotate"}),
        ("rotate", {"plan_task_id": "webhook.plan"}),
        ("push", {"rotate_task_id": "webhook.rotate"}),
        ("probe", {"rotate_task_id": "webhook.rotate"}),
        ("confirm", {"rotate_task_id": "webhook.rotate", "announce": False}),
        (
            "report",
            {
                "rotate_task_id": "webhook.rotate",
                "preflight_task_id": "webhook.plan",
                "push_ids": ["webhook.push", "webhook.confirm"],
                "probe_task_id": "webhook.probe",
                "mode": "emergency",
                "reason": REASON,
            },
        ),
    ],
)
def test_every_task_is_told_what_it_needs(dag: DAG, rotation_file: Path, name: str, knows: dict[str, Any]) -> None:
    configs = {config.name: config for config in load_rotation_config(rotation_file).webhooks}
    task: Any = dag.get_task(f"webhook.{name}")
    assert {key: getattr(task, key) for key in knows} == knows
    assert task.webhooks == configs
    assert (type(task.webhook).__name__, task.webhook._key) == ("MappedArgument", "webhook")
    assert task.map_index_template == "{{ task.webhook }}"


def test_of_a_file_that_is_right_nobody_is_told_an_error(dag: DAG) -> None:
    assert {dag.get_task(name).file_error for name in ("choose", "summary")} == {None}
    assert {tuple(dag.get_task(f"webhook.{name}").wrong) for name in ("plan", "report")} == {()}


def test_a_wrong_entry_is_known_to_every_task(rotation_file: Path) -> None:
    """The form offers it, so that who means all learns what is left."""
    rotation_file.write_text(rotation_file.read_text().replace("webhook_name: Staging", "webhook_nmae: Staging"))
    dag = emergency_rotation_dag(rotation_file)
    assert dag is not None
    assert dag.params["webhooks"] == ["production", "staging"]
    problem = (
        f"{rotation_file}:11: webhooks[1].webhook_id: is required, or webhook_name instead; "
        f"{rotation_file}:12: webhooks[1].webhook_nmae: is not a known field; did you mean webhook_name?"
    )
    for task in dag.tasks:
        if task.task_id != "choose":
            assert list(task.wrong) == ["staging"]
            assert task.wrong["staging"].startswith(problem)
    choose, summary = dag.get_task("choose"), dag.get_task("summary")
    assert choose.known == ("production", "staging")
    assert choose.file_error == summary.file_error
    assert "2 errors in the rotation file" in str(choose.file_error)
    assert "staging can't be rotated here" in (dag.doc_md or "").replace("\\", "")


def test_how_the_tasks_run(dag: DAG) -> None:
    """Ahead of every other task; what writes stores goes on for hours, and what reports runs in any case."""
    for task in dag.tasks:
        name = task.task_id.rpartition(".")[2]
        writes = name in ("push", "confirm")
        known = told_airflow(task)
        assert (known["owner"], known["priority_weight"], known["weight_rule"]) == ("platform", 10_000, "absolute")
        assert (known["retries"], known["retry_delay"].total_seconds()) == ((500, 10.0) if writes else (20, 5.0))
        assert (bool(known["retry_exponential_backoff"]), known["max_retry_delay"]) == (True, timedelta(minutes=1))
        assert known["execution_timeout"] == timedelta(
            minutes=7 + 15 if name == "probe" else 20, seconds=10 if name == "probe" else 0
        )
        assert known["trigger_rule"] == RULES.get(name, "all_success")
    assert [(task.task_id, task.on_failure_fail_dagrun) for task in dag.tasks if task.is_teardown] == [
        ("summary", True)
    ]


def test_order_and_events(dag: DAG) -> None:
    found = edges(dag)
    assert {edge for edge in found if edge[0] != "choose"} == {
        ("webhook.plan", "webhook.rotate"),
        ("webhook.rotate", "webhook.push"),
        ("webhook.push", "webhook.probe"),
        ("webhook.push", "webhook.confirm"),
        ("webhook.probe", "webhook.report"),
        ("webhook.confirm", "webhook.report"),
        ("webhook.report", "summary"),
    }
    assert ("choose", "webhook.plan") in found
    assert {task.task_id: events(task) for task in dag.tasks if task.inlets or task.outlets} == {
        f"webhook.{name}": (set(), {EVENTS}) for name in ("push", "confirm", "report")
    }


def test_webhooks_and_terms_of_ones_own() -> None:
    """In place of the rotation file, which then need not be there."""
    mine = {"name": "mine", "webhook_id": "5" * 24, "stores": [{"type": "airflow_variable", "name": "mine"}]}
    dag = emergency_rotation_dag(
        webhooks=[mine],
        retries=3,
        retry_delay=timedelta(seconds=1),
        push_retries=7,
        push_retry_delay=timedelta(seconds=2),
        max_retry_delay=timedelta(seconds=9),
        owner="me",
    )
    assert dag is not None
    assert dag.params["webhooks"] == ["mine"]
    plan, push, probe = (told_airflow(dag.get_task(f"webhook.{name}")) for name in ("plan", "push", "probe"))
    assert (plan["retries"], plan["retry_delay"], plan["max_retry_delay"], plan["owner"]) == (
        3, timedelta(seconds=1), timedelta(seconds=9), "me",
    )  # fmt: skip
    assert (push["retries"], push["retry_delay"], push["max_retry_delay"]) == (
        7, timedelta(seconds=2), timedelta(seconds=9),
    )  # fmt: skip
    assert probe["execution_timeout"] == timedelta(minutes=15)
