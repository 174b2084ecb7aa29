"""How long the Dag processor's parse of the rotation Dags takes, beside a Dag file that does nothing.

Each measurement is a process of its own: it imports what Airflow's Dag processor holds before it forks a
child for a file, and then times what that child does: fill a `DagBag`. Runs of the files alternate, so that
a busy moment of the machine meets all of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurebase_provider.cli.example_dags import DAG_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROTATION_DAGS = DAG_FILES / "featurebase_rotation.py"
EMPTY_DAG = 'from airflow.sdk import DAG\n\ndag = DAG("empty", schedule=None)\n'
WEBHOOK_COUNTS = (1, 10)

_CHILD = """
import json, sys, time
started = time.perf_counter()
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag
import airflow.dag_processing.processor, airflow.sdk
before = set(sys.modules)
ready = time.perf_counter()
bag = DagBag(dag_folder=sys.argv[1], load_op_links=False)
done = time.perf_counter()
print(json.dumps({
    "setup_ms": (ready - started) * 1000,
    "parse_ms": (done - ready) * 1000,
    "dags": len(bag.dags),
    "import_errors": bag.import_errors,
    "modules": len(set(sys.modules) - before),
}))
"""


class ParseFailed(Exception):
    """A Dag file did not load; its parse time would mean nothing."""

    def __init__(self, case: str, problem: str) -> None:
        super().__init__(case, problem)
        self.case, self.problem = case, problem

    def __str__(self) -> str:
        return f"{self.case}: the Dag file did not load: {self.problem}"


def measure(runs: int) -> list[dict[str, Any]]:
    """Time every case ``runs`` times.

    :returns: a row per case: times in milliseconds, and its median beside the empty file's.
    :raises ParseFailed: a Dag file has import errors, or not the number of Dags that it should have.
    """
    with _cases() as cases:
        samples: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
        for run in range(runs + 1):
            for name, (path, config, dags) in cases.items():
                sample = _parse(name, path, config, dags)
                if run:  # the first round fills the bytecode and file caches
                    samples[name].append(sample)
    empty = statistics.median(sample["parse_ms"] for sample in samples["empty Dag file"])
    return [_row(name, taken, empty) for name, taken in samples.items()]


@contextmanager
def _cases() -> Iterator[dict[str, tuple[Path, Path | None, int]]]:
    with tempfile.TemporaryDirectory(prefix="featurebase-bench-") as folder:
        empty = Path(folder, "empty.py")
        empty.write_text(EMPTY_DAG)
        cases: dict[str, tuple[Path, Path | None, int]] = {"empty Dag file": (empty, None, 1)}
        for count in WEBHOOK_COUNTS:
            config = Path(folder, f"rotation_{count}.yaml")
            config.write_text(_rotation_file(count))
            cases[f"rotation Dags, {count} webhook{'s'[: count - 1]}"] = (ROTATION_DAGS, config, count)
        yield cases


def _rotation_file(webhooks: int) -> str:
    entries = (
        f"  - name: webhook_{number}\n"
        f"    webhook_id: {number:024x}\n"
        f"    stores:\n"
        f"      - {{type: airflow_variable, name: featurebase_signing_{number}}}\n"
        f"      - {{type: object_storage, path: 'file:///etc/app/webhook_{number}.env'}}\n"
        for number in range(1, webhooks + 1)
    )
    return "webhooks:\n" + "".join(entries)


def _parse(name: str, path: Path, config: Path | None, dags: int) -> dict[str, Any]:
    environment = {**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    if config is not None:
        environment["AIRFLOW__FEATUREBASE__ROTATION_CONFIG"] = str(config)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _CHILD, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ParseFailed(name, done.stderr[-2000:])
    sample: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if sample["import_errors"] or sample["dags"] < dags:
        raise ParseFailed(name, f"{sample['dags']} Dags, import errors {sample['import_errors']}")
    return sample


def _row(name: str, samples: list[dict[str, Any]], empty_ms: float) -> dict[str, Any]:
    times = sorted(sample["parse_ms"] for sample in samples)
    median = statistics.median(times)
    return {
        "name": name,
        "runs": len(times),
        "dags": samples[0]["dags"],
        "modules_imported": samples[0]["modules"],
        "median_ms": round(median, 1),
        "min_ms": round(times[0], 1),
        "max_ms": round(times[-1], 1),
        "above_empty_ms": round(median - empty_ms, 1),
        "ratio_to_empty": round(median / empty_ms, 1),
    }
