"""A real Airflow for the crash matrix: quick to notice the dead, with a Dag for each lane."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import DemoError, kill_sessions, wait_for
from dev.airflow.rest import FINAL_STATES
from tests.crash.execution_api import ExecutionApi
from tests.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dev.airflow.rest import AirflowApi
    from tests.crash.world import CrashWorld

SETTINGS = {
    # A supervisor that was killed keeps its slot in LocalExecutor until the scheduler ends.
    "AIRFLOW__CORE__PARALLELISM": "64",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
    # A worker must not send a call again that is held from outside.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "100",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    # More than the API server has threads: one that waits for a connection must not keep another from giving its back.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "50",
    # A Dag file that loads slowly on a busy machine counts as missing after this many seconds.
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
    "AIRFLOW__WORKERS__MISSING_DAG_RETRY_DELAY": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}
CLIENT_SECONDS = 120
"""How long the Featurebase client waits for an answer: an orphan must outlast the next try's start."""
START_SECONDS = 600.0
RUN_SECONDS = 1200.0
DATABASE = "crash"


class CrashAirflow:
    """A context manager. Its metadata database is PostgreSQL: SQLite is too often locked for so many tasks at once.

    :param folder: for everything that it writes.
    :param dags: the Dags folder.
    :param worlds: one for each lane; entered already.
    """

    def __init__(self, folder: Path, dags: Path, worlds: Sequence[CrashWorld]) -> None:
        self.worlds = worlds
        self._rotation_file = folder / "rotation.yaml"
        self._sessions: list[int] = []
        self._open = ExitStack()
        settings = {
            **SETTINGS,
            "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(self._rotation_file),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": new_database(DATABASE),
        }
        self.airflow = LocalAirflow(folder / "airflow", dags=dags, settings=settings, api_timeout=120)
        self.api = self.airflow.api
        self.execution_api = ExecutionApi(self.airflow.url)

    def __enter__(self) -> CrashAirflow:
        self._rotation_file.write_text(json.dumps({"webhooks": [world.entry() for world in self.worlds]}))
        with ExitStack() as opening:
            opening.enter_context(self.execution_api)
            self.airflow.env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{self.execution_api.url}/execution/"
            opening.callback(self._kill_all)
            self.airflow.start(seconds=START_SECONDS)
            for world in self.worlds:
                tell(self.api, world)
            for world in self.worlds:
                self.airflow.wait_for_dag(world.dag_id, seconds=START_SECONDS)
                self.api.unpause(world.dag_id)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _kill_all(self) -> None:
        kill_sessions([*self._sessions, *(process.pid for process in self.airflow.processes.values())])
        self.airflow.stop()

    def replace(self, component: str) -> None:
        """Kill a component with all that it started, no chance to tidy up, and start another one."""
        process = self.airflow.processes[component]
        pid = process.pid
        os.killpg(pid, signal.SIGKILL)
        process.kill()
        self._sessions.append(pid)
        self.airflow.start_component(component)

    def purge_asset_events(self) -> None:
        """Delete every asset event, as a purge of the metadata database does once they are old."""
        for table in ("dagrun_asset_event", "asset_event"):
            postgres.execute(f"DELETE FROM {table}", dbname=DATABASE)

    def row(self, world: CrashWorld, run_id: str, task_id: str) -> dict[str, Any]:
        """A task instance."""
        return self.api.tasks(world.dag_id, run_id)[task_id]

    def variable(self, world: CrashWorld) -> str | None:
        """What the lane's Variable holds."""
        return str(self.api.call("GET", f"/variables/{world.variable}")["value"]) if world.variable else None

    def set_variable(self, world: CrashWorld) -> None:
        """Bring the lane's Variable to Featurebase's current secret, as a person would."""
        if world.variable is not None:
            body = {"key": world.variable, "value": world.secret}
            self.api.call("PATCH", f"/variables/{world.variable}", json=body)

    def give_up(self, world: CrashWorld, run_id: str) -> None:
        """Mark a run as failed, which ends its tasks."""
        self.api.call("PATCH", f"/dags/{world.dag_id}/dagRuns/{run_id}", json={"state": "failed"})
        self.wait_for_end(world, run_id)

    def wait_for_end(self, world: CrashWorld, run_id: str) -> str:
        """Wait for the end of a run and return its state."""

        def ended() -> bool:
            return self.api.run_state(world.dag_id, run_id) in FINAL_STATES

        try:
            wait_for(f"the end of {world.dag_id}", ended, seconds=RUN_SECONDS, every=2.0)
        except DemoError as error:
            tasks = self.api.tasks(world.dag_id, run_id)
            states = {task_id: (row["state"], row["try_number"]) for task_id, row in tasks.items()}
            raise DemoError(f"{error}: {states}") from None
        return self.api.run_state(world.dag_id, run_id)


def tell(api: AirflowApi, world: CrashWorld) -> None:
    """Give Airflow what it needs to know of a lane."""
    api.add_connection(
        world.conn_id,
        conn_type="featurebase",
        host=world.sandbox.url,
        password=world.api_key,
        extra=json.dumps({"timeout": CLIENT_SECONDS}),
    )
    api.add_connection(world.store_conn_id, conn_type="http", host=world.service.url)
    if world.variable is not None:
        api.set_variable(world.variable, world.secret)


def new_database(name: str) -> str:
    """Make an empty database in the tests' PostgreSQL; its URL, as Airflow takes it."""
    port = postgres.postgres()
    postgres.execute(f"DROP DATABASE IF EXISTS {name}")
    postgres.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg2://postgres:{postgres.PASSWORD}@127.0.0.1:{port}/{name}"
