"""A real Airflow, its daemons and the sandbox around it, all out of one environment that the wheel is installed in."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.world import API_KEY, SECRET_KEY, World
from tests.servers.statsd import StatsD
from tests.world.featurebase import TOPIC
from tests.world.pair import PairWorld

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

ROTATION, PAIR = "featurebase_rotate__production", "featurebase_rotate__pair"
AUDIT, EMERGENCY = "featurebase_audit", "featurebase_emergency_rotation"
VARIABLE = "webhook_production"
START_SECONDS, RUN_SECONDS = 300.0, 600.0
VERIFY = {"timeout": "PT2M", "poll_interval": "PT10S"}
"""The first look comes when the executor surely knows of the deferral: up to 5.5 s after it, and a task that goes on
before that is failed by the scheduler."""


@dataclass(frozen=True)
class Run:
    """A Dag run that has ended.

    :param tasks: the last state of each task.
    :param seen: each task with each state in which it was seen.
    """

    run_id: str
    state: str
    tasks: dict[str, str]
    seen: list[tuple[str, str]]


class WheelAirflow:
    """A context manager, with one webhook, and with a pair of webhooks at another Featurebase in the test's process.

    :param python: the environment's interpreter.
    :param folder: for everything that it writes.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self._rotation_file = folder / "rotation.yaml"
        # What whoever installs the wheel has of the Dag files.
        subprocess.run([python.with_name("featurebase"), "example-dags", folder / "dags"], check=True)
        self.world = World(folder, python=str(python))
        self.pair = PairWorld(folder / "pair")
        self.stats = StatsD()
        self._airflow = LocalAirflow(
            folder / "airflow",
            dags=folder / "dags",
            python=str(python),
            settings={
                "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(self._rotation_file),
                # No file changes, and each parse takes a second of a core.
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
                **self.stats.settings,
            },
            api_timeout=120,
        )
        self.api = self._airflow.api

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self.stats)
            opened.callback(self.world.stop)
            self.world.start()
            opened.enter_context(self.pair)
            entries = [self._entry(), self._pair_entry()]
            self._rotation_file.write_text(json.dumps({"audit": {"schedule": None}, "webhooks": entries}))
            opened.callback(self._airflow.kill)
            self._airflow.start(seconds=START_SECONDS)
            self.api.add_connection(
                "featurebase_default", conn_type="featurebase", host=self.world.url, password=API_KEY
            )
            self.api.add_connection(
                self.pair.conn_id, conn_type="featurebase", host=self.pair.url, password=self.pair.api_key
            )
            for dag_id in (ROTATION, PAIR, AUDIT, EMERGENCY):
                self._airflow.wait_for_dag(dag_id, seconds=START_SECONDS)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _entry(self) -> dict[str, Any]:
        file = {"type": "object_storage", "path": str(self.world.secret_file), "format": "dotenv", "key": SECRET_KEY}
        return {
            "name": "production",
            "webhook_id": self.world.webhook_id,
            "schedule": None,
            "retries": 0,
            "stores": [{"type": "airflow_variable", "name": VARIABLE}, file],
            "probe": {"timeout": "PT1M", "interval": "PT1S"},
            "verify": VERIFY,
        }

    def _pair_entry(self) -> dict[str, Any]:
        probe = {"timeout": "PT1M", "interval": "PT0.5S", "steady": "PT3S"}
        return self.pair.pair_entry(name="pair", schedule=None, probe=probe, verify=VERIFY)

    def run(self, dag_id: str, **conf: Any) -> Run:
        """Run a Dag by hand to its end. Events happen from the moment on in which a task waits for deliveries."""
        self.api.unpause(dag_id)
        run_id = self.api.trigger(dag_id, conf)
        seen = []
        for task_id, state in self.api.follow(dag_id, run_id, seconds=RUN_SECONDS):
            seen.append((task_id, state))
            if state == "deferred":
                self.world.emit(per_second=5, seconds=RUN_SECONDS)
                self.pair.control("POST", "/events", topic=TOPIC, count=10_000, per_second=5)
        self.world.stop_emitting()
        self.pair.control("DELETE", "/events")
        return Run(run_id, self.api.run_state(dag_id, run_id), dict(seen), seen)

    def held(self) -> set[str]:
        """The signing secrets that the stores hold."""
        lines = self.world.secret_file.read_text().splitlines()
        in_file = next(line.removeprefix(f"{SECRET_KEY}=") for line in lines if line.startswith(SECRET_KEY))
        return {in_file, self.api.call("GET", f"/variables/{VARIABLE}")["value"]}
