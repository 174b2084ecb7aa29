"""A real Airflow of its own: API server, scheduler, Dag processor and triggerer, LocalExecutor and SQLite."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

from dev.airflow.processes import DemoError, Process, free_port, wait_for
from dev.airflow.rest import AirflowApi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
USERNAME = "admin"


class LocalAirflow:
    """Runs in ``home`` on free loopback ports, and leaves every other Airflow on the machine alone.

    :param home: its ``AIRFLOW_HOME``.
    :param dags: the Dags folder.
    :param settings: further configuration as environment variables.
    :param python: the interpreter whose Airflow is run.
    :param api_timeout: seconds to wait for an answer of its REST API.
    :param path: where it is served below its host, such as ``/airflow``.
    """

    components: tuple[str, ...] = COMPONENTS
    """In the order in which they are started; each is also the name of its log."""

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        settings: Mapping[str, str] | None = None,
        python: str = sys.executable,
        api_timeout: float = 30,
        path: str = "",
    ) -> None:
        self.home = home.resolve()
        self.python = python
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self.password = secrets.token_urlsafe(12)
        self.env = {**_clean_environment(), **self._settings(dags.resolve()), **(settings or {})}
        self.processes: dict[str, Process] = {}
        self.api = AirflowApi(self.url, username=USERNAME, password=self.password, timeout=api_timeout)

    @property
    def logs(self) -> Path:
        """Where the components' output goes; task logs are in ``home/logs``."""
        return self.home / "component-logs"

    @property
    def database(self) -> Path:
        """The metadata database's file."""
        return self.home / "airflow.db"

    def _settings(self, dags: Path) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            # Other programs' settings on this machine, such as proxies, must not come between loopback processes.
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
        }

    def migrate(self) -> None:
        """Make the home folder and its database."""
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps({USERNAME: self.password}))
        passwords.chmod(0o600)
        self.logs.mkdir(exist_ok=True)
        with (self.logs / "migrate.log").open("ab") as log:
            done = subprocess.run(self._command("db", "migrate"), env=self.env, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise DemoError(f"airflow db migrate failed; read {self.logs / 'migrate.log'}")

    def start(self, say: Callable[[str], None] = lambda text: None, *, seconds: float = 120) -> None:
        """Migrate, start all components and wait until they are healthy."""
        say("creating the metadata database")
        self.migrate()
        say(f"starting {', '.join(self.components)}")
        for name in self.components:
            self.start_component(name)
        wait_for("a healthy Airflow", self.api.is_healthy, seconds=seconds, watched=list(self.processes.values()))
        self.api.sign_in()

    def start_component(self, name: str) -> None:
        """Start one component, or start it again."""
        self.processes[name] = self._process(name).start()

    def _process(self, name: str) -> Process:
        return Process(f"Airflow's {name}", self._command(name), log=self.logs / f"{name}.log", env=self.env)

    def stop(self) -> None:
        """Stop everything that was started, the API server last."""
        self.api.close()
        for name in reversed(self.components):
            process = self.processes.pop(name, None)
            if process is not None:
                process.stop()

    def kill(self) -> None:
        """Stop all of it at once, where nobody needs an orderly end."""
        for process in self.processes.values():
            process.kill()
        self.stop()

    def run(self, *arguments: str) -> str:
        """Run one airflow command and return its output."""
        done = subprocess.run(
            self._command(*arguments), env=self.env, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode:
            raise DemoError(f"airflow {' '.join(arguments)} failed: {done.stderr[-1000:]}")
        return done.stdout

    def wait_for_dag(self, dag_id: str, *, seconds: float = 90) -> None:
        """Wait until the Dag is there; a Dag file that does not load ends the wait with its error."""

        def parsed() -> bool:
            if self.api.has_dag(dag_id):
                return True
            errors = self.api.import_errors()
            if errors:
                raise DemoError(f"a Dag file does not load: {errors[0]}")
            return False

        wait_for(f"the Dag {dag_id}", parsed, seconds=seconds, watched=list(self.processes.values()))

    def _command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "airflow", *arguments]


def _clean_environment() -> dict[str, str]:
    """The environment without the settings of another Airflow."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
