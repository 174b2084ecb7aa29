"""What the Dag of a pair must be, as a Dag processor of any supported Airflow sees it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.cli.example_dags import DAG_FILES
from tests.airflow.test_dag_integrity import referred
from tests.world.parse_dags import parse

if TYPE_CHECKING:
    from pathlib import Path

ROTATION_FILE = """\
webhooks:
  - name: pair
    strategy: overlap
    webhook_ids: [507f1f77bcf86cd799439011, 507f1f77bcf86cd799439012]
    owner: feedback-team
    probe: true
    stores:
      - {type: object_storage, path: /etc/app/first.env, key: SIGNING, previous_key: SIGNING_OLD}
      - {type: object_storage, path: /etc/app/second.env, key: SIGNING, previous_key: SIGNING_OLD}
  - name: single
    webhook_id: 507f1f77bcf86cd799439013
    stores:
      - {type: airflow_variable, name: single_signing_secret}
"""
PUSHES = ["push.object_storage", "push.object_storage_2"]
OWN_DAG = """\
import pendulum
from airflow.sdk import DAG
from featurebase_provider.dag_factory import rotation_task_group

STORE = {"type": "object_storage", "path": "/etc/a.env", "key": "SIGNING", "previous_key": "SIGNING_OLD"}
IDS = ["a" * 24, "b" * 24]
PAIR = {"name": "two-hooks", "strategy": "overlap", "webhook_ids": IDS, "probe": True, "stores": [STORE]}

with DAG("own", schedule=None, start_date=pendulum.datetime(2026, 1, 1), render_template_as_native_obj=True):
    rotation_task_group(PAIR)
"""


def parsed(tmp_path_factory: pytest.TempPathFactory, *, dags: Path = DAG_FILES, dag_id: str = "") -> dict[str, Any]:
    file = tmp_path_factory.mktemp("config") / "rotation.yaml"
    file.write_text(ROTATION_FILE)
    context = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "rotate"}
    return parse(dags, AIRFLOW__FEATUREBASE__ROTATION_CONFIG=str(file), **(context if dag_id else {}))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parsed(tmp_path_factory)


@pytest.fixture(scope="module")
def pair(shipped: dict[str, Any]) -> dict[str, Any]:
    assert shipped["import_errors"] == {}
    return dict(shipped["dags"]["featurebase_rotate__pair"])


def test_trigger_form_offers_the_way_back(pair: dict[str, Any], shipped: dict[str, Any]) -> None:
    mode = pair["params"]["mode"]
    assert (sorted(pair["params"]), mode["default"]) == (["mode", "reason"], "rotate")
    assert mode["enum"] == ["rotate", "distribute", "dry_run", "revert"]
    assert "revert" not in shipped["dags"]["featurebase_rotate__single"]["params"]["mode"]["enum"]


def test_task_order_is_the_designed_one(pair: dict[str, Any]) -> None:
    assert {tuple(edge) for edge in pair["edges"]} == {
        ("preflight", "rotate"),
        *(("rotate", push) for push in PUSHES),
        *((push, "distributed") for push in PUSHES),
        ("distributed", "probe"),
        ("probe", "activate"),
        ("activate", "cut_over"),
        ("cut_over", "verify_delivery"),
        ("verify_delivery", "report"),
        *((push, "report") for push in PUSHES),
        ("report", "outcome"),
    }
    assert {task_id for task_id, task in pair["tasks"].items() if task["teardown"]} == {"report", "outcome"}
    assert {task["trigger_rule"] for task in pair["tasks"].values() if not task["teardown"]} == {"all_success"}


def test_every_task_is_retried_and_bounded(pair: dict[str, Any]) -> None:
    for task_id, task in pair["tasks"].items():
        assert task["owner"] == "feedback-team", task_id
        assert task["retries"] > 0, task_id
        assert 0 < task["execution_timeout"] <= 2 * 3600, task_id


def test_serialized_dag_holds_no_store(pair: dict[str, Any]) -> None:
    text = json.dumps(json.loads(pair["serialized"])["dag"]["tasks"])
    assert "StoreConfig" not in text
    assert "SIGNING" not in text
    assert re.findall(r"password|api_key|whsec_|\bsk_|Authorization", pair["serialized"]) == []


def test_parsing_opens_no_connection(shipped: dict[str, Any]) -> None:
    assert shipped["sockets"] == []


def test_a_pair_costs_no_time_where_there_is_none(
    shipped: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The Dag of a single webhook is parsed without the operators of a pair; the whole rotation file is checked."""

    def of_pairs(found: dict[str, Any]) -> list[str]:
        own = [name for name in found["imported"] if re.match(r"featurebase_provider\.(?!config\.)", name)]
        return [name for name in own if re.search(r"\.(pair|cut_over|activate|activation|take_back|moves)", name)]

    file = DAG_FILES / "featurebase_rotation.py"
    assert of_pairs(parsed(tmp_path_factory, dags=file, dag_id="featurebase_rotate__single")) == []
    assert "featurebase_provider.operators.cut_over" in of_pairs(shipped)


def test_a_task_group_in_an_own_dag(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN_DAG)
    found = parse(folder)
    assert found["import_errors"] == {}
    tasks = found["dags"]["own"]["tasks"]
    assert {task_id.split(".")[0] for task_id in tasks} == {"rotate_two_hooks"}
    assert {"rotate_two_hooks.activate", "rotate_two_hooks.cut_over"} <= set(tasks)
    assert referred(found["dags"]["own"]) <= set(tasks)
