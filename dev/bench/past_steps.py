"""Makes a webhook with many past runs in a real metadata database, and times what reads them.

Usage: python -m dev.bench.past_steps RUNS FOLDER OUTPUT, in the environment of the Airflow whose database it fills.

One rotation and one audit run for real. Their rows (Dag run, task instances, XComs, asset events) are copied as often
as needed, each copy a day older. The records in Variables are written by the code that writes them after each run.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import tracemalloc
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.bench.history import BEGIN, Kept, run_after
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import WebhookMemory
from featurebase_provider.rotation.past import PastRun, keep_run, past_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import DAG

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow, Run

AUDIT = "featurebase_audit"
REPEATS = 3
CHUNK = 500
DAG_FILE = """\
# An Airflow Dag file with the Dags of one rotation file.
import airflow.sdk.definitions.decorators
from featurebase_provider.dag_factory import audit_dag, rotation_dags

audit = audit_dag({path!r})
for dag in rotation_dags({path!r}):
    globals()[dag.dag_id] = dag
"""


def main() -> int:
    """Fill, time, write the figures as JSON: milliseconds and MiB by step."""
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

    runs, folder = int(sys.argv[1]), Path(sys.argv[2])
    airflow = InProcessAirflow(folder)
    with FeaturebaseWorld(folder / "world") as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        dags = _dags(airflow, world, folder)
        rotation, audit = dags[f"featurebase_rotate__{world.name}"], dags[AUDIT]
        _remember(airflow, world, runs, rotation.dag_id)
        for dag in (rotation, audit):
            _copy(_ended(airflow, dag), runs - 1)
        figures = _timed(airflow, world, rotation, audit)
        _forget(airflow, world)
        figures["audit without records"] = _audit_ms(airflow, audit)
        _forget(airflow, world)
        figures["preflight without records"] = _task_ms(_ended(airflow, rotation))["preflight"]
    Path(sys.argv[3]).write_text(json.dumps(figures))
    return 0


def _dags(airflow: InProcessAirflow, world: FeaturebaseWorld, folder: Path) -> dict[str, DAG]:
    path = folder / "rotation.yaml"
    path.write_text(json.dumps({"webhooks": [world.entry()]}))  # JSON is YAML
    return airflow.load_file("everything", DAG_FILE.format(path=str(path)))


def _ended(airflow: InProcessAirflow, dag: DAG) -> Run:
    """A run that ended, and whose row says so, as the scheduler leaves it."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    run = airflow.start(dag)
    if run.state != "success":
        raise RuntimeError(f"the run ended as {run.state}: {run.errors}")
    with create_session() as session:
        row = session.query(DagRun).filter_by(dag_id=dag.dag_id, run_id=run.run_id)
        row.update({"state": run.state, "end_date": datetime.now(tz=timezone.utc)})
    return run


def _remember(airflow: InProcessAirflow, world: FeaturebaseWorld, runs: int, dag_id: str) -> None:
    kept = Kept()
    memory, history = WebhookMemory(kept, world.url, world.webhook_id), History(world.webhook_id)
    today = (datetime.now(tz=timezone.utc) - BEGIN).days
    for day in range(today - runs, today):
        history = run_after(history, day)
        at = (BEGIN + timedelta(days=day)).isoformat()
        run = PastRun(at, "rotated", dag_id, f"scheduled__{at}", "report", mode="rotate", by="scheduled")
        keep_run(memory, run, past_runs(memory) or ())
    memory.write("history", history.as_json())
    for name, text in kept.records.items():
        airflow.set_variable(name, text)


def _forget(airflow: InProcessAirflow, world: FeaturebaseWorld) -> None:
    for name in airflow.variables(WebhookMemory(Kept(), world.url, world.webhook_id).prefix):
        airflow.delete_variable(name)


def _copy(run: Run, times: int) -> None:
    """Copy what a run left, so many times."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import insert, select

    runs, tasks, xcoms, events = (model.__table__ for model in (DagRun, TaskInstance, XComModel, AssetEvent))

    def of_run(table: Any, dag: str = "dag_id", run_id: str = "run_id") -> list[dict[str, Any]]:
        wanted = select(table).where(table.c[dag] == run.dag.dag_id, table.c[run_id] == run.run_id)
        return [dict(row) for row in session.execute(wanted).mappings()]

    with create_session() as session:
        (own,) = of_run(runs)
        rest = {tasks: of_run(tasks), xcoms: of_run(xcoms), events: of_run(events, "source_dag_id", "source_run_id")}
        first = 1_000_000 + own["id"] * 100_000
        for begin in range(1, times + 1, CHUNK):
            numbers = range(begin, min(begin + CHUNK, times + 1))
            new = {"run_id": lambda number: f"{run.run_id}-{number}", "id": lambda number: first + number}
            session.execute(insert(runs), [_older(own, number, **new) for number in numbers])
            for table, rows in rest.items():
                changes = _changes(table.name, run.run_id, first)
                copies = [_older(row, number, **changes) for number in numbers for row in rows]
                if copies:
                    session.execute(insert(table), copies)


def _changes(table: str, run_id: str, first: int) -> dict[str, Callable[[int], Any]]:
    def own(number: int) -> str:
        return f"{run_id}-{number}"

    return {
        "task_instance": {"run_id": own, "id": lambda _: uuid.uuid4()},
        "xcom": {"run_id": own, "dag_run_id": lambda number: first + number},
        "asset_event": {"source_run_id": own, "id": None},
    }[table]  # type: ignore[return-value]


def _older(row: dict[str, Any], days: int, **changes: Callable[[int], Any] | None) -> dict[str, Any]:
    back = timedelta(days=days)
    copy = {name: value - back if isinstance(value, datetime) else value for name, value in row.items()}
    for name, change in changes.items():
        if change is None:
            del copy[name]
        else:
            copy[name] = change(days)
    return copy


def _timed(airflow: InProcessAirflow, world: FeaturebaseWorld, rotation: DAG, audit: DAG) -> dict[str, float]:
    rotations = [_task_ms(_ended(airflow, rotation)) for _ in range(REPEATS)]
    figures = {
        task: statistics.median(times[task] for times in rotations) for task in ("preflight", "rotate", "report")
    }
    figures["audit"] = statistics.median(_audit_ms(airflow, audit) for _ in range(REPEATS))
    figures["history (all of it, by design)"] = statistics.median(_history_ms(world) for _ in range(REPEATS))
    figures["rotation, MiB"] = _peak_mib(lambda: _ended(airflow, rotation))
    figures["audit, MiB"] = _peak_mib(lambda: _ended(airflow, audit))
    return figures


def _task_ms(run: Run) -> dict[str, float]:
    """How long each task of a run took."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(TaskInstance).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id)
        return {
            ti.task_id: (ti.end_date - ti.start_date).total_seconds() * 1000
            for ti in found
            if ti.start_date and ti.end_date
        }


def _audit_ms(airflow: InProcessAirflow, audit: DAG) -> float:
    return _task_ms(_ended(airflow, audit))["audit"]


def _history_ms(world: FeaturebaseWorld) -> float:
    from featurebase_provider.cli.history import _reports, row_of

    began = time.perf_counter()
    for report in _reports([world.name]) or ():
        row_of(report)
    return (time.perf_counter() - began) * 1000


def _peak_mib(work: Callable[[], object]) -> float:
    """The most that Python allocates meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1024**2
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    sys.exit(main())
