"""Wall time of whole Dag runs: ours beside the Dag that people write, in one warm Airflow, one after the other.

Airflow, the sandbox and a receiver are processes of their own, as in the demo. Events flow, so ``verify_delivery`` sees
real deliveries. Scheduler and executor are the same for both, so compare ratios within one run of the benchmark.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.rest import FINAL_STATES
from dev.airflow.world import API_KEY, PREVIOUS_KEY, SECRET_KEY, TOPIC, World
from dev.bench import api_calls, dag_timeline, task_clock
from dev.demo.timeline import ACCEPTED
from featurebase_provider.cli.example_dags import DAG_FILES

if TYPE_CHECKING:
    from dev.airflow.world import Receiver
    from dev.bench.dag_timeline import Step

HERE = Path(__file__).parent
USUAL, OURS = "usual_rotation", "featurebase_rotate__production"
PROBED, PAIR = "featurebase_rotate__probed", "featurebase_rotate__pair"
EVENTS_PER_SECOND = 5.0
RUN_SECONDS = 300.0
SETTLES = 2.0
"""Seconds between two runs, in which the processes of the one before end."""


class RunFailed(Exception):
    """A Dag run did not succeed; its time would mean nothing."""


@dataclass(frozen=True)
class Run:
    """A Dag run that has succeeded.

    :param seconds: from before it was triggered to its end.
    :param calls: the calls of the Featurebase API that came meanwhile, by task, method and path.
    :param refused: attempts to deliver that a receiver did not accept meanwhile.
    :param old_ends: seconds from before it was triggered until the old secret signed nothing more: the refresh, or the
        pause of a pair's old webhook. None if neither happened.
    """

    seconds: float
    steps: list[Step]
    calls: api_calls.Calls
    refused: int
    old_ends: float | None


class BenchAirflow:
    """A warm Airflow with both Dags, and the world around it. A context manager.

    :param folder: for everything that it writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder)
        self._clock = folder / "task_clock.jsonl"
        self._open = ExitStack()

    def __enter__(self) -> BenchAirflow:
        with ExitStack() as opened:
            opened.callback(self.world.stop)
            self.world.start()
            self.audited = opened.enter_context(api_calls.Audited(self.folder))
            usual = self.world.add_webhook("Usual", f"{self.world.single.url}/webhook", "comment.created")
            pair = self.world.add_pair()
            self._airflow = LocalAirflow(
                self.folder / "airflow", dags=self._dag_files(), settings=self._settings(usual["id"], pair)
            )
            opened.callback(self._airflow.kill)
            self._airflow.start()
            api = self.api = self._airflow.api
            api.add_connection("featurebase_default", conn_type="featurebase", host=self.world.url, password=API_KEY)
            bearer = json.dumps({"Authorization": f"Bearer {API_KEY}"})
            api.add_connection("featurebase_http", conn_type="http", host=self.world.url, extra=bearer)
            # A pair's stores hold the live secret before a rotation.
            api.set_variable("pair", json.dumps({"current": dotenv_values(pair.secret_file)[SECRET_KEY]}))
            self.audited.connect(api)
            for dag_id in (USUAL, OURS, PROBED, PAIR, api_calls.AUDIT):
                self._airflow.wait_for_dag(dag_id)
                api.unpause(dag_id)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _dag_files(self) -> Path:
        dags, plugins = self.folder / "dags", self.folder / "plugins"
        for folder, sources in (
            (dags, (HERE / "usual_rotation_dag.py", DAG_FILES / "featurebase_rotation.py", HERE / "audit_100_dag.py")),
            (plugins, (Path(task_clock.__file__),)),
        ):
            folder.mkdir()
            for source in sources:
                shutil.copy(source, folder)
        return dags

    def _settings(self, usual_id: str, pair: Receiver) -> dict[str, str]:
        rotation_file = self.folder / "rotation.yaml"
        rotation_file.write_text(json.dumps({"webhooks": _entries(self.world, pair)}))
        return {
            "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.folder / "plugins"),
            # No file changes, and each parse takes a second of a core.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            task_clock.FILE: str(self._clock),
            api_calls.AUDIT_FILE: str(self.audited.rotation_file),
            "FEATUREBASE_BENCH_WEBHOOK_ID": usual_id,
            "FEATUREBASE_BENCH_SECRET_FILE": str(self.folder / "usual.env"),
        }

    def run(self, dag_id: str, *, topic: str | None = None) -> Run:
        """Run a Dag by hand to its end.

        :param topic: of the events that flow meanwhile; None for none.
        :raises RunFailed: it did not succeed.
        """
        if topic is not None:
            self.world.emit(per_second=EVENTS_PER_SECOND, seconds=RUN_SECONDS, topic=topic)
        calls_before, deliveries_before = len(self.world.requests()), len(self.world.deliveries())
        triggered = time.time()
        run_id = self.api.trigger(dag_id)
        while self.api.run_state(dag_id, run_id) not in FINAL_STATES:
            if time.time() > triggered + RUN_SECONDS:
                raise RunFailed(f"{dag_id} took more than {RUN_SECONDS:.0f} s; logs are in {self.folder}")
            time.sleep(0.5)
        if topic is not None:
            self.world.stop_emitting()
        time.sleep(SETTLES)
        run = self.api.run(dag_id, run_id)
        tasks = self.api.tasks(dag_id, run_id)
        if run["state"] != "success":
            raise RunFailed(
                f"{dag_id} ended as {run['state']}: { {name: one['state'] for name, one in tasks.items()} }"
            )
        clock = [json.loads(line) for line in self._clock.read_text().splitlines()]
        mine = [record for record in clock if record["run"] == run_id]
        calls = self.world.requests()[calls_before:]
        changes = [call["at"] / 1000 for call in calls if call["method"] in ("POST", "PATCH") and call["committed"]]
        return Run(
            seconds=dag_timeline.seconds(run["end_date"]) - triggered,
            steps=dag_timeline.steps_of(
                mine,
                {name: dag_timeline.seconds(task["end_date"]) for name, task in tasks.items() if task["end_date"]},
                self._upstream(dag_id),
                triggered=triggered,
            ),
            calls=api_calls.by_task(calls, mine),
            refused=sum(one["statusCode"] not in ACCEPTED for one in self.world.deliveries()[deliveries_before:]),
            old_ends=max(changes) - triggered if changes else None,
        )

    def _upstream(self, dag_id: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for task in self.api.call("GET", f"/dags/{dag_id}/tasks")["tasks"]:
            for after in task["downstream_task_ids"]:
                found.setdefault(after, []).append(task["task_id"])
        return found


def _entries(world: World, pair: Receiver) -> list[dict[str, Any]]:
    """The rotation file: one webhook as it is by default, one with a probe, and a pair with shorter waits."""

    def file(receiver: Receiver, **more: str) -> dict[str, Any]:
        path = str(receiver.secret_file)
        return {"type": "object_storage", "path": path, "format": "dotenv", "key": SECRET_KEY, **more}

    one = {"webhook_id": world.webhook_id, "schedule": None}
    probed = world.add_receiver("receiver-of-the-probed", "post.voted", "Probed")
    return [
        {"name": "production", **one, "stores": [{"type": "airflow_variable", "name": "ours"}, file(world.single)]},
        {
            "name": "probed",
            "webhook_id": probed.webhook_ids[0],
            "schedule": None,
            "stores": [{"type": "airflow_variable", "name": "probed"}, file(probed)],
            "probe": {},
        },
        {
            "name": "pair",
            "strategy": "overlap",
            "webhook_ids": list(pair.webhook_ids),
            "schedule": None,
            "stores": [
                {
                    "type": "airflow_variable",
                    "name": "pair",
                    "format": "json",
                    "key": "current",
                    "previous_key": "previous",
                },
                file(pair, previous_key=PREVIOUS_KEY),
            ],
            "probe": {"steady": "PT3S"},
        },
    ]


def measure(runs: int) -> dict[str, list[dict[str, Any]]]:
    """Run both Dags in turns, then once what is only counted.

    :param runs: runs of each of the two Dags, after one that fills caches.
    :returns: tables: the wall times, where they go in either Dag, and the calls of the Featurebase API.
    :raises RunFailed: a run did not succeed.
    """
    with tempfile.TemporaryDirectory(prefix="featurebase-bench-") as name, BenchAirflow(Path(name)) as airflow:
        contestants = {USUAL: None, OURS: TOPIC}
        taken: dict[str, list[Run]] = {dag_id: [] for dag_id in contestants}
        for turn in range(runs + 1):
            for dag_id, topic in contestants.items():
                run = airflow.run(dag_id, topic=topic)
                if turn:
                    taken[dag_id].append(run)
        moved = airflow.run(PAIR, topic="post.updated")
        calls = {
            "rotation": [run.calls for run in taken[OURS]],
            "rotation with probe": [airflow.run(PROBED, topic="post.voted").calls],
            "rotation, strategy: overlap": [moved.calls],
            "audit of 100 webhooks": [airflow.audited.count(airflow.api)],
        }
    return {
        "dag_run": _summary(taken),
        "dag_run_steps": [
            {"dag": dag_id, **row}
            for dag_id, done in taken.items()
            for row in dag_timeline.rows_of([run.steps for run in done])
        ],
        "strategies": [_strategy_row("refresh", taken[OURS]), _strategy_row("overlap", [moved])],
        "api_calls": [row for what, counted in calls.items() for row in api_calls.rows_of(what, counted)],
    }


def _strategy_row(strategy: str, done: list[Run]) -> dict[str, Any]:
    ends = [run.old_ends for run in done if run.old_ends is not None]
    return {
        "strategy": strategy,
        "runs": len(done),
        "refused": sum(run.refused for run in done),
        "old_secret_signs_until_s": round(statistics.median(ends), 1),
        "run_ends_s": round(statistics.median(run.seconds for run in done), 1),
    }


def _summary(taken: dict[str, list[Run]]) -> list[dict[str, Any]]:
    ratios = [ours.seconds / usual.seconds for usual, ours in zip(taken[USUAL], taken[OURS], strict=True)]
    rows = []
    for dag_id, done in taken.items():
        seconds = [run.seconds for run in done]
        path = [dag_timeline.critical(run.steps) for run in done]
        rows.append(
            {
                "dag": dag_id,
                "runs": len(done),
                "median_s": round(statistics.median(seconds), 1),
                "min_s": round(min(seconds), 1),
                "max_s": round(max(seconds), 1),
                "processes": round(statistics.median(len(run.steps) for run in done)),
                "one_after_the_other": round(statistics.median(len(steps) for steps in path)),
                "beside_the_usual": round(statistics.median(ratios), 2) if dag_id == OURS else 1.0,
            }
        )
    return rows
