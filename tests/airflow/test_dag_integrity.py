"""What every Dag must be, as a Dag processor of any supported Airflow sees it.

Parsed in a process of its own each time: nothing that a test has imported before can hide an import.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from featurebase_provider.cli.example_dags import DAG_FILES
from tests.world.parse_dags import parse

FORBIDDEN = (
    "azure", "boto3", "botocore", "fastapi", "fsspec", "google.cloud", "hvac", "kubernetes", "redis", "requests",
    "s3fs", "starlette", "uvicorn", "featurebase_provider.sandbox",
)  # fmt: skip
ROTATION_FILE = """\
defaults:
  featurebase_conn_id: featurebase_default
  schedule: "0 6 1 * *"
  timezone: Europe/Tallinn
webhooks:
  - name: production
    webhook_id: 507f1f77bcf86cd799439011
    owner: feedback-team
    tags: [gdpr]
    stores:
      - {type: airflow_variable, name: featurebase_webhook_signing_secret}
      - {type: object_storage, path: /etc/app/webhook.env}
      - {type: object_storage, path: s3://bucket/webhook.json, conn_id: aws_default}
    probe: {timeout: PT10M}
    reactivate: true
  - name: staging
    webhook_name: Staging <b>hooks</b>
    schedule: null
    stores:
      - {type: airflow_variable, name: staging_signing}
"""
PUSHES = ["push.airflow_variable", "push.object_storage", "push.object_storage_2"]


@pytest.fixture(scope="module")
def parse_shipped(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Parse the project's own Dag files with a rotation file; each text once."""

    @functools.cache
    def parse_with(text: str | None, dag_id: str = "") -> dict[str, Any]:
        file = tmp_path_factory.mktemp("config") / "rotation.yaml"
        if text is not None:
            file.write_text(text)
        context = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "rotate"}
        return parse(
            DAG_FILES,
            AIRFLOW__FEATUREBASE__ROTATION_CONFIG=str(file),
            **(context if dag_id else {}),
        )

    return parse_with


@pytest.fixture(scope="module")
def shipped(parse_shipped: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return parse_shipped(ROTATION_FILE)


@pytest.fixture(scope="module")
def production(shipped: dict[str, Any]) -> dict[str, Any]:
    return dict(shipped["dags"]["featurebase_rotate__production"])


def test_every_dag_loads(shipped: dict[str, Any]) -> None:
    assert shipped["import_errors"] == {}
    assert sorted(shipped["dags"]) == [
        "featurebase_audit",
        "featurebase_emergency_rotation",
        "featurebase_rotate__production",
        "featurebase_rotate__staging",
    ]


def test_what_people_see(shipped: dict[str, Any], production: dict[str, Any]) -> None:
    """Tags, owner, description and docs are there; docs name the stores, and escape what is not ours."""
    assert production["tags"] == ["featurebase", "gdpr", "secret-rotation", "webhook"]
    assert production["owner"] == "feedback-team"
    assert "production" in production["description"]
    for text in ("507f1f77bcf86cd799439011", "/etc/app/webhook", "invalidates the old one at once", "Europe/Tallinn"):
        assert text in production["doc_md"].replace("\\", "")
    staging = shipped["dags"]["featurebase_rotate__staging"]
    assert "<b>" not in staging["doc_md"]
    assert "triggered by hand" in staging["doc_md"]


def test_how_a_dag_runs(production: dict[str, Any]) -> None:
    """One run at a time, in the configured zone; no missed intervals."""
    assert (production["catchup"], production["max_active_runs"]) == (False, 1)
    assert "Europe/Tallinn" in production["timezone"]


def test_trigger_form(production: dict[str, Any]) -> None:
    params = production["params"]
    assert sorted(params) == ["mode", "reason"]
    assert (params["mode"]["default"], params["mode"]["enum"]) == ("rotate", ["rotate", "distribute", "dry_run"])
    assert params["reason"]["default"] == ""


def test_every_task_is_retried_and_bounded(production: dict[str, Any]) -> None:
    """Owner, retries with backoff and an execution timeout everywhere; a push goes on longer."""
    for task_id, task in production["tasks"].items():
        assert task["owner"] == "feedback-team", task_id
        assert task["retries"] > 0, task_id
        assert task["backoff"], task_id
        assert 0 < task["execution_timeout"] <= 3600, task_id
    assert {production["tasks"][push]["retries"] for push in PUSHES} == {12}


def test_task_order_is_the_designed_one(production: dict[str, Any]) -> None:
    """All stores between rotate and distributed; the report is a teardown below every push and verify."""
    edges = {
        ("preflight", "rotate"),
        *(("rotate", push) for push in PUSHES),
        *((push, "distributed") for push in PUSHES),
        ("distributed", "probe"),
        ("probe", "settle"),
        ("settle", "verify_delivery"),
        ("verify_delivery", "report"),
        *((push, "report") for push in PUSHES),
        ("report", "outcome"),
    }
    assert {tuple(edge) for edge in production["edges"]} == edges
    assert {task_id for task_id, task in production["tasks"].items() if task["teardown"]} == {"report", "outcome"}
    rules = {task["trigger_rule"] for task in production["tasks"].values() if not task["teardown"]}
    assert rules == {"all_success"}


def test_probe_and_settle_are_optional(shipped: dict[str, Any]) -> None:
    """Without them distributed leads to verify_delivery."""
    staging = shipped["dags"]["featurebase_rotate__staging"]
    assert sorted(staging["tasks"]) == [
        "distributed",
        "outcome",
        "preflight",
        "push.airflow_variable",
        "report",
        "rotate",
        "verify_delivery",
    ]
    assert ["distributed", "verify_delivery"] in staging["edges"]


def test_assets(production: dict[str, Any]) -> None:
    """Through an alias: a task whose outlet or inlet has the URI of somebody else's asset does not start."""
    outlets = {task_id: task["outlets"] for task_id, task in production["tasks"].items() if task["outlets"]}
    assert outlets == {"distributed": ["featurebase://events"], "report": ["featurebase://events"]}
    assert not any(task["inlets"] for task in production["tasks"].values())


def test_audit(shipped: dict[str, Any]) -> None:
    """Daily, one at a time; it triggers what its second task chose."""
    audit = shipped["dags"]["featurebase_audit"]
    assert (audit["catchup"], audit["max_active_runs"], audit["timezone"]) == (False, 1, "UTC")
    assert (audit["params"]["heal"]["default"], sorted(audit["params"])) == (False, ["heal"])
    assert audit["edges"] == [["audit", "drifted"], ["audit", "findings"], ["drifted", "heal"]]
    assert (audit["tasks"]["audit"]["outlets"], audit["tasks"]["audit"]["inlets"]) == (["featurebase://events"], [])
    assert all(0 < task["execution_timeout"] <= 3600 for task in audit["tasks"].values())
    assert audit["tasks"]["heal"]["type"] == "TriggerDagRunOperator"


def test_audit_alone_is_built_for_its_own_tasks(parse_shipped: Callable[..., dict[str, Any]]) -> None:
    found = parse_shipped(ROTATION_FILE, "featurebase_audit")
    assert list(found["dags"]) == ["featurebase_audit"]


def test_tasks_refer_to_tasks_that_exist(production: dict[str, Any]) -> None:
    assert referred(production) <= set(production["tasks"])


def referred(dag: dict[str, Any]) -> set[str]:
    """Every task id that some operator was given."""
    found: set[str] = set()
    for task in dag["tasks"].values():
        for value in task["refers_to"].values():
            found |= {value} if isinstance(value, str) else set(value)
    return found


def test_parsing_imports_no_client_and_no_server(shipped: dict[str, Any]) -> None:
    """What a store or the sandbox needs is imported when it is needed, not whenever a Dag file is parsed."""
    guilty = [
        name
        for name in shipped["imported"]
        if any(
            name == module or name.startswith(f"{module}.") for module in (*FORBIDDEN, "featurebase_provider.sandbox")
        )
    ]
    assert guilty == []
    assert "featurebase_provider.dag_factory" in shipped["imported"]


def test_parsing_opens_no_connection(shipped: dict[str, Any]) -> None:
    assert shipped["sockets"] == []


def test_one_task_builds_one_dag(parse_shipped: Callable[..., dict[str, Any]]) -> None:
    """Where Airflow parses for the sake of one task, the other Dags are not built."""
    found = parse_shipped(ROTATION_FILE, "featurebase_rotate__staging")
    assert list(found["dags"]) == ["featurebase_rotate__staging"]


def test_serialized_dag_holds_no_store(production: dict[str, Any]) -> None:
    """The metadata database keeps docs and arguments, no store object and no connection's content."""
    serialized = json.loads(production["serialized"])
    text = json.dumps(serialized["dag"]["tasks"])
    assert "StoreConfig" not in text
    assert "featurebase_webhook_signing_secret" not in text
    assert "aws_default" not in production["serialized"]
    assert re.findall(r"password|api_key|whsec_|\bsk_|Authorization", production["serialized"]) == []


def error_of(found: dict[str, Any], *, but: str = "") -> str:
    """What is wrong with the rotation file; every Dag file that can't do without says the same."""
    said = {file.rpartition("/")[2]: error for file, error in found["import_errors"].items()}
    assert sorted(said) == sorted(file.name for file in DAG_FILES.glob("*.py") if file.name != but)
    (words,) = {error.partition("ConfigError: ")[2] or error.partition("FileUnusable: ")[2] for error in said.values()}
    return words


def test_broken_file_gives_one_error_and_leaves_the_emergency(parse_shipped: Callable[..., dict[str, Any]]) -> None:
    """File, line, field and allowed values of all faults, in the one import error that people look at."""
    broken = ROTATION_FILE.replace("type: airflow_variable, name: staging_signing", "type: carrier_pigeon").replace(
        "schedule: null", "schedule: hourly"
    )
    found = parse_shipped(broken)
    (dag,) = found["dags"].values()
    assert dag["params"]["webhooks"]["default"] == ["production", "staging"]
    assert "carrier_pigeon" in dag["doc_md"].replace("\\", "")
    error = error_of(found, but="featurebase_emergency_rotation.py")
    lines = broken.splitlines()
    for where, field, allowed in (
        ("schedule: hourly", "webhooks[1].schedule", "@hourly"),
        ("type: carrier_pigeon", "webhooks[1].stores[0].type", "allowed: airflow_variable, "),
    ):
        number = next(index for index, line in enumerate(lines, 1) if where in line)
        assert f"rotation.yaml:{number}: {field}:" in error
        assert allowed in error
    assert "no rotation Dag is built" in error


def test_missing_file_says_how_to_set_it(parse_shipped: Callable[..., dict[str, Any]]) -> None:
    error = error_of(parse_shipped(None))
    assert "rotation.yaml" in error
    assert "AIRFLOW__FEATUREBASE__ROTATION_CONFIG" in error


def test_unset_path_says_how_to_set_it() -> None:
    error = error_of(parse(DAG_FILES))
    assert "AIRFLOW__FEATUREBASE__ROTATION_CONFIG" in error


OWN_DAG = """\
import pendulum
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from featurebase_provider.dag_factory import rotation_dag, rotation_task_group

FIRST = {
    "name": "first-hook", "webhook_id": "507f1f77bcf86cd799439011", "probe": True, "reactivate": True,
    "stores": [{"type": "airflow_variable", "name": "first"}, {"type": "object_storage", "path": "/etc/a.env"}],
}
SECOND = {
    "name": "second", "webhook_name": "Second", "stores": [{"type": "airflow_variable", "name": "second"}],
}

with DAG("own", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    begin, end = EmptyOperator(task_id="begin"), EmptyOperator(task_id="end")
    first = rotation_task_group(FIRST)
    second = rotation_task_group(SECOND, group_id="other", mode="distribute", reason="after {{ ds }}")
    begin >> [first, second] >> end

alone = rotation_dag({**FIRST, "name": "alone"})
"""

NOSY_DAG = """\
# Does in an Airflow Dag file what ours must not.
import contextlib, socket
import fastapi

with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9), timeout=1)
"""


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A folder with a user's own Dag, which has two rotations in it, and a file that does what it must not."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN_DAG)
    (folder / "nosy.py").write_text(NOSY_DAG)
    return parse(folder)


@pytest.fixture(scope="module")
def own(own_folder: dict[str, Any]) -> dict[str, Any]:
    assert own_folder["import_errors"] == {}
    return dict(own_folder["dags"])


def test_guards_see_what_a_dag_file_does(own_folder: dict[str, Any]) -> None:
    """The control of the two guards above: a Dag file that imports a server and connects is noticed."""
    assert "fastapi" in own_folder["imported"]
    assert "socket.connect" in own_folder["sockets"]


def test_task_groups_in_an_own_dag(own: dict[str, Any]) -> None:
    """Mappings serve as stores; each group's tasks know each other by the ids that they have there."""
    tasks = own["own"]["tasks"]
    assert {task_id.split(".")[0] for task_id in tasks} == {"begin", "end", "rotate_first_hook", "other"}
    assert referred(own["own"]) <= set(tasks)
    for task_id, task in tasks.items():
        group = task_id.split(".")[0]
        others = {value for value in task["refers_to"].values() if isinstance(value, str)}
        assert all(other.startswith(f"{group}.") for other in others), task_id
    assert tasks["rotate_first_hook.rotate"]["refers_to"]["plan_task_id"] == "rotate_first_hook.preflight"


def test_task_groups_keep_their_place(own: dict[str, Any]) -> None:
    """What stands before a group runs before it; a teardown does not decide what follows it."""
    edges = {tuple(edge) for edge in own["own"]["edges"]}
    assert {("begin", "rotate_first_hook.preflight"), ("begin", "other.preflight")} <= edges
    assert {("rotate_first_hook.verify_delivery", "end"), ("other.verify_delivery", "end")} <= edges


def test_rotation_dag_from_a_mapping(own: dict[str, Any]) -> None:
    assert "push.object_storage" in own["featurebase_rotate__alone"]["tasks"]
