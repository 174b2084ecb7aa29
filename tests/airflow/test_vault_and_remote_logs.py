"""Airflow with Vault as its secrets backend, played by OpenBao, and with task logs in S3, played by moto."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.airflow.processes import wait_for
from tests.leaks.scanner import LeakScanner
from tests.world.vault_airflow import CONNECTION, LOGS_CONNECTION, VaultAirflow

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.airflow

DELIVERIES = {"timeout": "PT2M", "poll_interval": "PT10S"}
"""The first look comes when the executor surely knows of the deferral; see ``WheelAirflow``."""


def test_connections_are_in_vault_and_logs_in_s3(tmp_path: Path) -> None:
    """One whole rotation: tasks and the triggerer get the connection from Vault, and no secret is in any log."""
    with VaultAirflow(tmp_path, variables=False, entry={"verify": DELIVERIES}) as real:
        run_id, seen = real.run(reason="Vault and S3")
        assert real.api.run_state(real.dag_id, run_id) == "success"
        assert ("verify_delivery", "deferred") in seen
        assert real.world.refreshes() == 1
        assert real.world.secret in real.world.secret_file.read_text()

        wanted = f"connections/{CONNECTION}"
        assert wanted in real.asked("scheduler")  # whose children the tasks are
        assert wanted in real.asked("triggerer")
        assert not [path for name in real.airflow.components for path in real.asked(name) if "variables/" in path]
        assert real.api.call("GET", "/connections")["connections"] == []

        _check_logs(real, run_id)
        assert f"connections/{LOGS_CONNECTION}" in real.asked("api-server")
        scanner = LeakScanner(real.secrets)
        assert scanner.scan_sqlite(real.airflow.database) == []
        assert scanner.scan_folder(real.airflow.home) == []


def _check_logs(real: VaultAirflow, run_id: str) -> None:
    """Each task's log is in the bucket only, holds no secret, and is what the REST API shows."""
    tasks = real.api.tasks(real.dag_id, run_id)
    folder = f"logs/dag_id={real.dag_id}/run_id={run_id}"
    expected = {f"{folder}/task_id={task_id}/attempt=1.log" for task_id in tasks}
    wait_for("the upload of all logs", lambda: expected <= set(real.logs()), seconds=60)
    logs = real.logs()
    assert any(".log.trigger." in key for key in logs if "task_id=verify_delivery" in key), sorted(logs)
    assert {path.stat().st_size for path in (real.airflow.home / "logs").rglob("attempt=1.log")} <= {0}

    scanner = LeakScanner(real.secrets)
    for key, text in logs.items():
        assert scanner.scan_data("uploaded task log", key, text) == []
    for task_id in tasks:
        shown = real.api.log(real.dag_id, run_id, task_id)
        assert f"s3://{real.bucket}/{folder}/task_id={task_id}/attempt=1.log" in shown
        assert scanner.scan_data("REST API answer", task_id, shown.encode()) == []
    assert real.world.fingerprint in real.api.log(real.dag_id, run_id, "rotate")


def test_records_are_kept_beside_variables_in_vault(tmp_path: Path) -> None:
    """Airflow asks Vault for the records first. One that lies there stops a run before anything changes."""
    with VaultAirflow(tmp_path, variables=True, entry={}) as real:
        first, _ = real.run(reason="no Variable in Vault")
        assert real.api.run_state(real.dag_id, first) == "success"
        records = real.records()
        (plan,) = (name for name in records if "__plan_" in name)
        assert {f"variables/{name}" for name in records} <= real.asked("api-server")
        refreshed = real.world.fingerprint

        # As somebody leaves it who copies all Variables into Vault.
        real.put_variable(plan, records[plan])
        second, _ = real.run(reason="a record in Vault")
        assert real.api.run_state(real.dag_id, second) == "failed"
        report = real.api.xcom(real.dag_id, second, "report")
        assert report["outcome"] == "nothing_changed"
        assert "secrets backend" in str(report["cause"])
        assert (real.world.refreshes(), real.world.fingerprint) == (1, refreshed)

        real.remove_variable(plan)
        third, _ = real.run(reason="no Variable in Vault again")
        assert real.api.run_state(real.dag_id, third) == "success"
        assert real.world.refreshes() == 2
