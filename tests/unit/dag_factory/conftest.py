from __future__ import annotations

from pathlib import Path

import pytest

ROTATION_FILE = """\
webhooks:
  - name: production
    webhook_id: 507f1f77bcf86cd799439011
    featurebase_conn_id: featurebase_other
    schedule: "0 6 1 * *"
    execution_timeout: PT20M
    probe: {timeout: PT7M}
    stores:
      - {type: airflow_variable, name: one}
      - {type: object_storage, path: /etc/a.env}
  - name: staging
    webhook_name: Staging <b>hooks</b>
    stores:
      - {type: airflow_variable, name: two}
audit:
  schedule: "0 7 * * *"
  timezone: Europe/Tallinn
  start_date: 2026-02-03
  heal: true
  ignore: [webhook_unconfigured, key_refused]
  owner: security
  tags: [a-tag]
"""


@pytest.fixture(autouse=True)
def eager_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Airflow whose Dags make up for missed runs unless they say otherwise."""
    monkeypatch.setenv("AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT", "True")


@pytest.fixture
def rotation_file(tmp_path: Path) -> Path:
    """A rotation file that Airflow is not told about."""
    path = tmp_path / "rotation.yaml"
    path.write_text(ROTATION_FILE)
    return path


@pytest.fixture
def parsing_for(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Let Airflow parse for the sake of one task of this Dag."""

    def parse_for(dag_id: str) -> None:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "rotate")

    return parse_for
