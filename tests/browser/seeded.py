"""An installation that has run for a year, put into Airflow's database through Airflow's own models.

As a program it seeds the Airflow that its environment names: ``python -m tests.browser.seeded FILE``, where FILE holds
what :func:`tests.browser.installation.an_installation` makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import wait_for
from featurebase_provider.cli.example_dags import DAG_FILES
from featurebase_provider.config.models import AUDIT_DAG_ID
from tests.browser.installation import an_installation, rotation_file
from tests.browser.signed_in import USERS

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = Path(__file__).parents[2]


def python_of_airflow() -> str:
    """The interpreter that runs Airflow: the one that ``make browser`` names, if it is there, or else the tests' own.

    Under CPython 3.11 (3.11.2 and 3.11.7 were tried) Airflow 3.3.2's API server dies of SIGSEGV within some 40 answers
    when two clients list Dag runs at the same moment. With 3.10, 3.12 and 3.13 it lives.
    """
    named = ROOT / os.environ.get("FEATUREBASE_UI_PYTHON", "")
    return str(named) if named.is_file() else sys.executable


class SeededAirflow(LocalAirflow):
    """An API server without the other daemons: what is triggered stays queued. A context manager.

    :param webhooks: how many the rotation file has.
    :param path: where it is served below its host.
    """

    def __init__(self, folder: Path, *, webhooks: int, path: str = "") -> None:
        self.webhooks = webhooks
        self._seed = folder / "seed.json"
        file = folder / "rotation.yaml"
        file.write_text(rotation_file(webhooks))
        settings = {
            "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(file),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        }
        python = python_of_airflow()
        super().__init__(
            folder / "airflow", dags=DAG_FILES, settings=settings, python=python, path=path, api_timeout=120
        )

    def __enter__(self) -> Self:
        self.migrate()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for process in self.processes.values():
                process.check_alive()  # what its clients saw was a refused connection
        finally:
            self.stop()

    def serve(self) -> None:
        """Start the API server."""
        self.start_component("api-server")
        wait_for("the API server", self.api.answers, seconds=400, watched=list(self.processes.values()))
        self.api.sign_in()

    def parse_dags(self) -> None:
        """Put the rotation file's Dags into the database."""
        self.run("dags", "reserialize")

    def seed(self, *, reports: int) -> None:
        """Have the newest audit, and so many reports."""
        self._seed.write_text(json.dumps(an_installation(self.webhooks, reports=reports)))
        module = ("-W", "ignore", "-m", "tests.browser.seeded", str(self._seed))
        subprocess.run([sys.executable, *module], env=self.env, cwd=ROOT, check=True)


def seed(installation: dict[str, Any]) -> None:
    """Store it as the results of Dag runs that have ended."""
    from airflow.utils.session import create_session

    with create_session() as session:
        audit = installation["audit"]
        _task(session, AUDIT_DAG_ID, f"scheduled__{audit['at']}", "audit", audit["at"], "failed", audit)
        for report in installation["reports"]:
            state = "success" if report["outcome"] == "rotated" else "failed"
            _task(session, report["dag_id"], report["run_id"], "report", report["at"], state, report)


def _task(session: Any, dag_id: str, run_id: str, task_id: str, at: str, state: str, result: Any) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    ended = datetime.fromisoformat(at)
    began = ended - timedelta(seconds=4)
    operator, version = _serialized(dag_id, task_id)
    run = DagRun(
        dag_id=dag_id,
        run_id=run_id,
        logical_date=None,
        run_after=began,
        start_date=began,
        run_type=DagRunType.SCHEDULED,
        state=state,
        triggered_by=DagRunTriggeredByType.TIMETABLE,
    )
    run.end_date = ended
    session.add(run)
    session.flush()
    task = TaskInstance(operator, run_id=run_id, state="success", dag_version_id=version)
    task.start_date, task.end_date, task.try_number = began, ended, 1
    session.add(task)
    session.flush()
    XComModel.set(key="return_value", value=result, dag_id=dag_id, task_id=task_id, run_id=run_id, session=session)


@cache
def _serialized(dag_id: str, task_id: str) -> tuple[Any, Any]:
    from airflow.models.dag_version import DagVersion
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        dag = SerializedDagModel.get_dag(dag_id, session=session)
        version = DagVersion.get_latest_version(dag_id, session=session)
        assert dag is not None
        assert version is not None
        return dag.get_task(task_id), version.id


if __name__ == "__main__":
    seed(json.loads(Path(sys.argv[1]).read_text()))
