"""Every field of the rotation file arrives at the task that it is about, and the tasks know each other."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from featurebase_provider.config import WebhookConfig
from featurebase_provider.dag_factory import rotation_dag, rotation_task_group
from tests.unit.dag_factory.wiring import edges, events, told, told_airflow

ENTRY: dict[str, Any] = {
    "name": "pro-duction",
    "webhook_id": "507f1f77bcf86cd799439011",
    "featurebase_conn_id": "featurebase_other",
    "schedule": "0 6 1 * *",
    "timezone": "Europe/Tallinn",
    "start_date": date(2026, 2, 3),
    "min_age": timedelta(days=2),
    "late_start": timedelta(hours=3),
    "refresh_grace": timedelta(seconds=44),
    "previous_for": timedelta(hours=9),
    "allow_inactive": True,
    "reactivate": True,
    "probe": {
        "timeout": timedelta(minutes=7),
        "interval": timedelta(seconds=3),
        "steady": timedelta(seconds=9),
        "successes": 4,
        "reject_check": False,
        "body": {"topic": "t"},
        "allow_hosts": ("receiver.internal",),
    },
    "verify": {"timeout": timedelta(minutes=21), "poll_interval": timedelta(seconds=5)},
    "owner": "security",
    "tags": ("a-tag",),
    "retries": 5,
    "retry_delay": timedelta(seconds=31),
    "push_retries": 17,
    "push_retry_delay": timedelta(seconds=11),
    "max_retry_delay": timedelta(minutes=6),
    "execution_timeout": timedelta(minutes=16),
    "dashboard_url": "https://acme.featurebase.app/{webhook_id}",
    "stores": [{"type": "airflow_variable", "name": "one"}, {"type": "object_storage", "path": "/etc/a.env"}],
}
CONFIG = WebhookConfig.model_validate(ENTRY)
LABELS = ("airflow_variable", "object_storage")
PUSHES = tuple(f"push.{label}" for label in LABELS)
WHO = {
    "webhook": CONFIG.name,
    "webhook_id": CONFIG.webhook_id,
    "featurebase_conn_id": CONFIG.featurebase_conn_id,
    "dashboard_url": CONFIG.dashboard_url,
}
PROBE = {
    "timeout": 420.0,
    "interval": 3.0,
    "steady": 9.0,
    "successes": 4,
    "reject_check": False,
    "body": {"topic": "t"},
    "allow_hosts": ("receiver.internal",),
}
FORM = {"mode": "{{ params.mode }}", "reason": "{{ params.reason or '' }}"}


@pytest.fixture
def dag() -> DAG:
    return rotation_dag(ENTRY)


def test_the_dag(dag: DAG) -> None:
    assert dag.dag_id == CONFIG.dag_id
    assert dag.dag_display_name == "Rotate the signing secret of webhook pro-duction"
    assert dag.description == "Rotates the signing secret of the Featurebase webhook pro-duction"
    assert CONFIG.webhook_id in (dag.doc_md or "")
    assert dag.schedule == CONFIG.schedule
    assert dag.start_date is not None
    assert (dag.start_date.isoformat(), str(dag.timezone)) == ("2026-02-02T22:00:00+00:00", "Europe/Tallinn")
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.tags == {"featurebase", "webhook", "secret-rotation", "a-tag"}


def test_the_form(dag: DAG) -> None:
    mode, reason = dag.params.get_param("mode"), dag.params.get_param("reason")
    assert list(dag.params) == ["mode", "reason"]
    assert mode.value == "rotate"
    expected = {"type": "string", "enum": ["rotate", "distribute", "dry_run"], "title": "Mode"}
    assert expected.items() <= mode.schema.items()
    assert "changes nothing" in mode.schema["description_md"]
    assert reason.value == ""
    assert reason.schema == {"type": ["null", "string"], "maxLength": 500, "title": "Reason"}
    assert "Never enter a secret here" in str(reason.description)


def test_every_task_runs_on_the_files_terms(dag: DAG) -> None:
    for task in dag.tasks:
        known = told_airflow(task)
        pushes = task.task_id.startswith("push.")
        retries = 17 if pushes else 2 if task.task_id == "verify_delivery" else 5
        assert known["owner"] == "security"
        assert (known["retries"], known["max_retry_delay"]) == (retries, timedelta(minutes=6)), task.task_id
        assert known["retry_delay"] == timedelta(seconds=11 if pushes else 31), task.task_id
        assert known["retry_exponential_backoff"], task.task_id
        waits = {"probe": timedelta(minutes=7, seconds=9), "verify_delivery": timedelta(minutes=21)}
        longest = timedelta(minutes=16) + waits.get(task.task_id, timedelta())
        assert known["execution_timeout"] == longest, task.task_id


def test_the_sensor_never_retries_more_often_than_other_tasks() -> None:
    assert rotation_dag({**ENTRY, "retries": 1}).get_task("verify_delivery").retries == 1


@pytest.mark.parametrize(
    ("task_id", "knows"),
    [
        (
            "preflight",
            {
                **FORM,
                "plan_task_id": None,
                "webhook_name": None,
                "stores": CONFIG.stores,
                "probe": True,
                "probe_options": PROBE,
                "late_start": CONFIG.late_start,
                "min_age": CONFIG.min_age,
                "previous_for": CONFIG.previous_for,
                "allow_inactive": True,
                "others": (),
                "rotate_task_id": "rotate",
                "strict_conf": True,
            },
        ),
        (
            "rotate",
            {
                "plan_task_id": "preflight",
                "stores": CONFIG.stores,
                "without_stores": "",
                "refresh_grace": CONFIG.refresh_grace,
                "late_start": CONFIG.late_start,
                "allow_inactive": True,
                "approve_task_id": None,
                "require_all_stores": True,
                "fail_on_store_error": None,
            },
        ),
        *(
            (push, {"plan_task_id": "preflight", "store": store, "rotate_task_id": "rotate"})
            for push, store in zip(PUSHES, CONFIG.stores, strict=True)
        ),
        (
            "distributed",
            {"plan_task_id": "preflight", "rotate_task_id": "rotate", "push_task_ids": list(PUSHES)},
        ),
        (
            "probe",
            {
                "plan_task_id": "preflight",
                "rotate_task_id": "rotate",
                "distributed_task_id": "distributed",
                "probe_options": PROBE,
            },
        ),
        ("settle", {"plan_task_id": "preflight", "rotate_task_id": "rotate", "probe_task_id": "probe"}),
        (
            "verify_delivery",
            {
                "plan_task_id": "preflight",
                "wait": CONFIG.verify.timeout,
                "poll_interval": 5.0,
                "stores": CONFIG.stores,
                "rotate_task_id": "rotate",
                "push_task_ids": list(PUSHES),
                "probe_task_id": "probe",
                "deferrable": True,
            },
        ),
        (
            "report",
            {
                **FORM,
                "plan_task_id": "preflight",
                "preflight_task_id": "preflight",
                "rotate_task_id": "rotate",
                "push_task_ids": dict(zip(LABELS, PUSHES, strict=True)),
                "probe_task_id": "probe",
                "verify_task_id": "verify_delivery",
                "approve_task_id": None,
                "notify": (),
                "task_ids": ["preflight", "rotate", *PUSHES, "distributed", "probe", "settle", "verify_delivery"],
            },
        ),
        ("outcome", {"plan_task_id": "preflight", "report_task_id": "report"}),
    ],
)
def test_every_task_is_told_what_it_needs(dag: DAG, task_id: str, knows: dict[str, Any]) -> None:
    assert told(dag.get_task(task_id)) == {**WHO, **knows}


def test_no_task_has_an_asset_that_another_one_can_take_the_place_of(dag: DAG) -> None:
    """Airflow does not start a task with an inlet or outlet of which another Dag file has the URI by another name."""
    found = {task.task_id: events(task) for task in dag.tasks}
    assert found.pop("distributed") == found.pop("report") == (set(), {"featurebase://events"})
    assert set(found.values()) == {(frozenset(), frozenset())}


def test_the_order(dag: DAG) -> None:
    first, second = PUSHES
    assert edges(dag) == {
        ("preflight", "rotate"),
        ("rotate", first),
        ("rotate", second),
        (first, "distributed"),
        (second, "distributed"),
        ("distributed", "probe"),
        ("probe", "settle"),
        ("settle", "verify_delivery"),
        ("verify_delivery", "report"),
        (first, "report"),
        (second, "report"),
        ("report", "outcome"),
    }
    assert [(task.task_id, task.on_failure_fail_dagrun) for task in dag.tasks if task.is_teardown] == [
        ("report", False),
        ("outcome", True),
    ]
    assert dag.task_group.children["push"].tooltip == "One task per store, each retried by itself"


def test_what_is_not_configured_is_not_there() -> None:
    """And nobody waits for it or looks for its result."""
    dag = rotation_dag({**ENTRY, "probe": None, "reactivate": False})
    assert {"probe", "settle"} & set(dag.task_dict) == set()
    assert ("distributed", "verify_delivery") in edges(dag)
    assert told(dag.get_task("preflight"))["probe"] is False
    assert told(dag.get_task("preflight"))["probe_options"] is None
    for task_id in ("verify_delivery", "report"):
        assert told(dag.get_task(task_id))["probe_task_id"] is None


def test_a_webhook_by_name_is_named_to_preflight_and_found_by_the_others() -> None:
    """The name renders to itself whatever looks like Jinja in it; the others take the id from the plan."""
    entry = {**ENTRY, "webhook_id": None, "webhook_name": "A {{ name }}"}
    tasks = {task.task_id: told(task) for task in rotation_dag(entry).tasks}
    assert tasks["preflight"]["webhook_name"].startswith("{{ '")
    assert {known["webhook_id"] for known in tasks.values()} == {""}
    assert {known["plan_task_id"] for task_id, known in tasks.items() if task_id != "preflight"} == {"preflight"}


def test_preflight_knows_the_other_entries() -> None:
    other = WebhookConfig.model_validate({**ENTRY, "name": "other"})
    assert told(rotation_dag(ENTRY, others=[other]).get_task("preflight"))["others"] == [other]


def test_a_group_has_its_own_mode_names_and_terms() -> None:
    with DAG("own", schedule=None) as dag:
        group = rotation_task_group(ENTRY)
        other = rotation_task_group(ENTRY, group_id="other", mode="distribute", reason="after {{ ds }}")
    assert (group.group_id, other.group_id) == ("rotate_pro_duction", "other")
    for task_id in ("preflight", "report"):
        known = told(dag.get_task(f"rotate_pro_duction.{task_id}"))
        assert known["mode"] == "{{ params.mode | default('rotate') }}"
        assert known["reason"] == "{{ params.reason | default('', true) }}"
        known = told(dag.get_task(f"other.{task_id}"))
        assert (known["mode"], known["reason"]) == ("distribute", "after {{ ds }}")
    assert told(dag.get_task("other.preflight"))["strict_conf"] is False
    assert dag.get_task("other.rotate").owner == "security"
    assert dag.get_task("other.rotate").retries == 5


def test_no_default_of_a_dag_changes_what_a_task_waits_for() -> None:
    """What a dry run leaves alone hangs on it."""
    with DAG("own", schedule=None, default_args={"trigger_rule": "all_done"}) as dag:
        rotation_task_group(ENTRY, group_id="mine")
    rules = {task.task_id: told_airflow(task)["trigger_rule"] for task in dag.tasks if not task.is_teardown}
    assert set(rules.values()) == {"all_success"}
