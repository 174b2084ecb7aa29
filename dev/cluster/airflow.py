"""Airflow as a cluster runs it: PostgreSQL, Redis, Celery workers, and two of each daemon that there may be two of."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import DemoError, Process, kill_sessions
from dev.cluster import host
from tests.crash.airflow import new_database
from tests.servers import postgres, redis_server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.crash.world import CrashWorld

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "cluster"
COMMANDS = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    **{f"scheduler-{number}": ("scheduler",) for number in (1, 2)},
    # Task logs go to S3: two log servers can't listen on one port of one machine.
    **{f"triggerer-{number}": ("triggerer", "--skip-serve-logs") for number in (1, 2)},
    **{f"worker-{number}": ("celery", "worker", "--skip-serve-logs", "--concurrency", "4") for number in (1, 2)},
}
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{host.__name__}.{host.name.__name__}",
    "AIRFLOW__CORE__PARALLELISM": "64",
    # How soon the others notice that one has died. Airflow's defaults: 300, 10, 300, 30, 30, 600.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "60",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
    # A busy machine is slow to send a task to Redis, to load a Dag file, and to answer.
    "AIRFLOW__CELERY__OPERATION_TIMEOUT": "30",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "100",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    # A Dag whose file took longer than this to load counts as gone, and its runs stand still.
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3600",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "20",
}


class ClusterAirflow(LocalAirflow):
    """Each component is a host: a name, an ``AIRFLOW_HOME``, a working and a temporary folder of its own.

    They share nothing but the database, the broker, the folder of Dag files and the rotation file.

    :param folder: for everything that they write; ``hosts`` below it has a folder for each of them.
    :param dags: the Dags folder.
    :param settings: further configuration as environment variables.
    """

    components = tuple(COMMANDS)

    def __init__(self, folder: Path, *, dags: Path, settings: Mapping[str, str]) -> None:
        database, broker = new_database(DATABASE), redis_server.redis_server()
        more = {
            **SETTINGS,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{quote(redis_server.PASSWORD)}@127.0.0.1:{broker}/0",
            **settings,
        }
        super().__init__(folder / "airflow", dags=dags, settings=more, api_timeout=120)
        self.hosts = folder / "hosts"
        self.killed: dict[str, int] = {}
        """Components that were killed, and the process ids that they had."""

    def _process(self, name: str) -> Process:
        home = self.hosts / name
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        env = {
            **self.env,
            host.VARIABLE: name,
            "AIRFLOW_HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "PYTHONPATH": str(ROOT),  # where ``host`` is
        }
        log = self.logs / f"{name}.log"
        return Process(name, self._command(*COMMANDS[name]), log=log, env=env, folder=home)

    def kill_component(self, name: str) -> None:
        """SIGKILL a component with all that it started, as the loss of its host does; nobody starts it again."""
        process = self.processes.pop(name)
        self.killed[name] = process.pid
        kill_sessions([process.pid])
        process.kill()

    def end(self) -> None:
        """Stop everything at once, tasks of workers that are dead included."""
        leaders = [*self.killed.values()]
        for process in self.processes.values():
            with suppress(DemoError):
                leaders.append(process.pid)
        kill_sessions(leaders)
        self.stop()

    def schedulers_work(self) -> list[tuple[str, int]]:
        """How many tasks that have not ended each scheduler has queued, the busiest first."""
        return self._counted(
            "SELECT job.hostname, count(*) FROM task_instance JOIN job ON job.id = task_instance.queued_by_job_id"
            " WHERE task_instance.state IN ('queued', 'running') GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def triggerers_work(self) -> list[tuple[str, int]]:
        """How many triggers each triggerer has, the busiest first."""
        return self._counted(
            "SELECT job.hostname, count(*) FROM trigger JOIN job ON job.id = trigger.triggerer_id"
            " GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def tasks_on(self, name: str) -> list[tuple[str, str]]:
        """Dag and task ids of what runs on a worker."""
        statement = "SELECT dag_id, task_id FROM task_instance WHERE state = 'running' AND hostname = %s ORDER BY 1, 2"
        return [(str(dag), str(task)) for dag, task in postgres.execute(statement, [name], dbname=DATABASE)]

    def _counted(self, statement: str) -> list[tuple[str, int]]:
        rows = postgres.execute(statement, dbname=DATABASE)
        return [(str(name), int(count)) for name, count in rows if name not in self.killed]

    def variable(self, world: CrashWorld) -> str | None:
        """What the lane's Variable holds."""
        return str(self.api.call("GET", f"/variables/{world.variable}")["value"]) if world.variable else None

    def set_variable(self, world: CrashWorld) -> None:
        """Bring the lane's Variable to Featurebase's current secret, as a person would."""
        if world.variable is not None:
            body: dict[str, Any] = {"key": world.variable, "value": world.secret}
            self.api.call("PATCH", f"/variables/{world.variable}", json=body)
