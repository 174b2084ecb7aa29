"""What a run, an audit and the page pay for 10, 500 or 5,000 past runs of a webhook, all in Airflow's database."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import DemoError, wait_for
from dev.bench.past_steps import AUDIT

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = (10, 500, 5_000)
REPEATS = 5
MOST_GROWTH = 1.5 * RUNS[2] / RUNS[1]
"""A step whose time grows more than the number of runs is not linear; a half more is left to chance."""
ROOT = Path(__file__).parents[2]
DAG_RUNS = "dags/~/dagRuns"


class OnlyApiServer(LocalAirflow):
    """An Airflow of which nothing but the API server runs."""

    components = ("api-server",)


def measure() -> list[dict[str, Any]]:
    """A row for each step: milliseconds, or MiB, for each number of past runs.

    :raises DemoError: Airflow did not start, or a run failed.
    """
    figures = [_figures(runs) for runs in RUNS]
    return [_row(step, [found[step] for found in figures]) for step in figures[0]]


def missed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The steps that grow faster than the number of past runs."""
    return [f"past runs: {row['name']} grows {row['growth']} times" for row in rows if not row["met"]]


def _row(step: str, values: Sequence[float]) -> dict[str, Any]:
    growth = values[2] / values[1]
    return {
        "name": step,
        **{f"{runs} runs": round(value, 1) for runs, value in zip(RUNS, values, strict=True)},
        "growth": round(growth, 2),
        "goal": f"at most {MOST_GROWTH:.0f} times",
        "met": growth <= MOST_GROWTH,
    }


def _figures(runs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        home, output = Path(folder) / "airflow", Path(folder) / "figures.json"
        home.mkdir()
        airflow = OnlyApiServer(home, dags=home / "dags")
        command = [sys.executable, "-W", "ignore", "-m", "dev.bench.past_steps", str(runs), str(home), str(output)]
        path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        env = {**airflow.env, "PYTHONPATH": path}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"past runs: {done.stderr[-2000:]}")
        figures: dict[str, float] = json.loads(output.read_text())
        return figures | _page(airflow)


def _page(airflow: LocalAirflow) -> dict[str, float]:
    """What the page's first view asks Airflow for (``overview`` of api.js)."""
    airflow.logs.mkdir(exist_ok=True)
    (airflow.home / "passwords.json").write_text(json.dumps({"admin": airflow.password}))
    airflow.start_component("api-server")
    try:
        wait_for("the API server", airflow.api.answers, seconds=120, watched=list(airflow.processes.values()))
        airflow.api.sign_in()
        _overview(airflow)
        samples = [_overview(airflow) for _ in range(REPEATS)]
        return {step: statistics.median(sample[step] for sample in samples) for step in samples[0]}
    finally:
        airflow.kill()


def _overview(airflow: LocalAirflow) -> dict[str, float]:
    """How long each request takes, one after the other, and how much comes."""
    took: dict[str, float] = {}
    read = 0

    def get(step: str, path: str) -> Any:
        nonlocal read
        began = time.perf_counter()
        answer = airflow.api.call("GET", f"/{path}")
        took[f"page: {step}"] = (time.perf_counter() - began) * 1000
        read += len(json.dumps(answer))
        return answer

    get("Dags", "dags?tags=featurebase&limit=100&offset=0&order_by=dag_id")
    newest = "task_id=audit&state=success&order_by=-end_date&limit=1"
    (task,) = get("newest audit", f"dags/{AUDIT}/dagRuns/~/taskInstances?{newest}")["task_instances"]
    path = f"dags/{AUDIT}/dagRuns/{quote(task['dag_run_id'], safe='')}/taskInstances/audit/xcomEntries/return_value"
    report = get("its report", f"{path}?map_index=-1")["value"]
    report = json.loads(report) if isinstance(report, str) else report
    get("live runs", f"{DAG_RUNS}?state=queued&state=running&limit=100&order_by=-run_after")
    since = quote(report["at"], safe="")
    get("runs since", f"{DAG_RUNS}?start_date_gte={since}&limit=100&order_by=-start_date")
    return {**took, f"page, all {len(took)} requests": sum(took.values()), "page, KiB": read / 1024}
