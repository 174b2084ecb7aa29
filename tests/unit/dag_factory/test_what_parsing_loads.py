"""Airflow parses Dag files again and again: what a task runs is not loaded for that."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from featurebase_provider.cli.example_dags import DAG_FILES
from featurebase_provider.config import AuditConfig, NotifyConfig, ProbeConfig, WebhookConfig
from featurebase_provider.stores.registry import BUILT_IN, store_class
from tests.unit.test_imports import modules_below

ROOT = Path(__file__).parents[3]
MOST = 55
"""Modules beyond Airflow's SDK and the Dag file itself."""
DECORATORS, TRIGGER = "airflow.sdk.definitions.decorators", "airflow.providers.standard.operators.trigger_dagrun"
NAMED = {"rotation": [], "audit": [DECORATORS, TRIGGER], "emergency_rotation": [DECORATORS]}
PARSED = {
    "audit": {"kinds"},
    "config": {
        "agreement",
        "base",
        "document",
        "fields",
        "file",
        "loading",
        "models",
        "right_entries",
        "settings",
        "shared_places",
        "stores",
        "webhook",
        "audit",
        "rotation_config",
    },
    "featurebase": {"errors", "text"},
    "hooks": set(),
    "plugins": set(),
    "rotation": {"modes"},
    "sandbox": set(),
    "triggers": set(),
}
"""The modules of each folder that a Dag file may load. Folders that are not here hold what Airflow parses, too."""
HELPERS = {"context", "figures", "finding", "memory", "notify", "one_entry", "stores"}
"""Modules of ``operators/`` that only running tasks need."""
NEVER = ("boto3", "botocore", "hvac", "google.cloud", "azure", "kubernetes", "redis", "fastapi", "starlette", "difflib")
PUBLIC = [
    name
    for name, path in modules_below(ROOT / "provider").items()
    if name.split(".")[1:2] in (["operators"], ["sensors"])
    and re.search(r"^class \w+(Operator|Sensor|Task)\(", path.read_text(), re.M)
]

FILE = """
defaults: {probe: false}
audit: {heal: true}
webhooks:
  - name: production
    webhook_id: 507f1f77bcf86cd799439011
    stores:
      - {type: airflow_variable, name: featurebase_signing_secret}
      - {type: object_storage, path: 'file:///etc/app/webhook.env'}
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each job has loaded, in processes that are forked from one that holds Airflow."""
    config = tmp_path_factory.mktemp("parsing") / "rotation.yaml"
    config.write_text(FILE)
    jobs = {}
    for name, named in NAMED.items():
        file = str(DAG_FILES / f"featurebase_{name}.py")
        jobs[name] = {"file": file, "named": named}
        jobs[f"{name} alone"] = {"file": file, "named": []}
        jobs[f"{name} in the Dag processor"] = {"file": file, "named": None}
    jobs |= {name: {"module": name, "named": []} for name in PUBLIC}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dev.bench.parse_nursery"],
        input="".join(json.dumps({**job, "config": str(config)}) + "\n" for job in jobs.values()),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "provider")},
    )
    return dict(zip(jobs, map(json.loads, done.stdout.splitlines()), strict=True))


def for_tasks_only(modules: list[str]) -> list[str]:
    """Those of the modules that only running tasks need."""
    found = [name for name in modules if name.startswith(NEVER) or name.endswith(".armed")]
    for name in modules:
        package, *path = name.split(".")
        if package != "featurebase_provider" or len(path) < 2:
            continue
        folder, module = path[:2]
        if module not in PARSED.get(folder, {module}) or (folder == "operators" and module in HELPERS):
            found.append(name)
    return found


@pytest.mark.parametrize("name", NAMED)
def test_a_dag_file_loads_nothing_that_only_tasks_need(loaded: dict[str, Any], name: str) -> None:
    assert loaded[name]["error"] == ""
    assert for_tasks_only(loaded[name]["modules"]) == []


@pytest.mark.parametrize("name", NAMED)
def test_a_dag_file_loads_few_modules(loaded: dict[str, Any], name: str) -> None:
    modules = loaded[name]["modules"]
    assert "featurebase_provider.dag_factory" in modules
    assert len(modules) <= MOST, "\n".join(modules)


@pytest.mark.parametrize("name", ["audit", "emergency_rotation"])
def test_the_dag_processor_loads_airflows_modules_before_it_forks(loaded: dict[str, Any], name: str) -> None:
    """Those that the Dag file names."""
    expensive = "airflow.providers.standard.operators.python"
    assert expensive in loaded[f"{name} alone"]["modules"]
    assert expensive not in loaded[f"{name} in the Dag processor"]["modules"]


@pytest.mark.parametrize("name", PUBLIC)
def test_an_operator_alone_loads_nothing_that_only_tasks_need(loaded: dict[str, Any], name: str) -> None:
    assert name in loaded[name]["modules"]
    assert for_tasks_only(loaded[name]["modules"]) == []


def test_what_only_tasks_need_is_recognised() -> None:
    named = ["rotation.plan", "rotation.modes", "operators.memory", "operators.push", "stores.sql.armed", "late"]
    named += ["config.errors", "config.loading"]
    modules = [*(f"featurebase_provider.{name}" for name in named), "boto3.session"]
    assert for_tasks_only(modules) == [
        "featurebase_provider.stores.sql.armed",
        "boto3.session",
        "featurebase_provider.rotation.plan",
        "featurebase_provider.operators.memory",
        "featurebase_provider.config.errors",
    ]


@pytest.mark.parametrize("model", [WebhookConfig, AuditConfig, ProbeConfig, NotifyConfig, *map(store_class, BUILT_IN)])
def test_pydantic_is_given_types_and_not_texts_to_compile(model: type[BaseModel]) -> None:
    """Compiling them takes longer than making the model. Pydantic's own models are not ours to change."""
    ours = [part for part in model.__mro__ if part.__module__.startswith("featurebase_provider.")]
    texts = {part.__name__: [a for a in inspect.get_annotations(part).values() if isinstance(a, str)] for part in ours}
    assert {name: fields for name, fields in texts.items() if fields} == {}
