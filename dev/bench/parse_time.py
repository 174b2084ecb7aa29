"""How long Airflow's Dag processor takes for the shipped Dag files, beside an empty one and one with the HttpOperator.

Every measurement is a process of its own, forked like the Dag processor's: see :mod:`dev.bench.parse_nursery`. The
files alternate, so that a busy moment of the machine meets all of them. Ratios are of processor time: by the clock, a
busy machine measures its own queue. Python's bytecode is cached, as it is where packages are installed, or else
every parse compiles what it loads, as where ``PYTHONDONTWRITEBYTECODE`` is set.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurebase_provider.cli.example_dags import DAG_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_MODULES = 55
MOST_OF_USUAL = 0.2
MOST_OF_PLAIN = 1.5
MORE = 10
"""How many further webhooks, or plain Dags, the second file of a kind has."""
TASKS = 8
"""Tasks of the Dag of a webhook as :func:`_rotation_file` has it."""
DECORATORS, TRIGGER = "airflow.sdk.definitions.decorators", "airflow.providers.standard.operators.trigger_dagrun"
EMPTY = 'from airflow.sdk import DAG\n\ndag = DAG("empty", schedule=None)\n'
USUAL = """from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG

with DAG("usual", schedule=None):
    HttpOperator(task_id="refresh", endpoint="/v2/webhooks/507f1f77bcf86cd799439011/secret/refresh")
"""
PLAIN = """from airflow.sdk import DAG, BaseOperator

for number in range({dags}):
    with DAG(f"plain_{{number}}", schedule=None):
        tasks = [BaseOperator(task_id=f"task_{{task}}") for task in range({tasks})]
        for earlier, later in zip(tasks, tasks[1:]):
            earlier >> later
"""


class ParseFailed(Exception):
    """A Dag file did not load; its parse time would mean nothing."""

    def __init__(self, case: str, problem: str) -> None:
        super().__init__(case, problem)
        self.case, self.problem = case, problem

    def __str__(self) -> str:
        return f"{self.case}: the Dag file did not load: {self.problem}"


@dataclass(frozen=True)
class Case:
    """A Dag file, or a module, to measure.

    :param named: modules that are loaded before; None for those that the Dag processor finds in the file.
    :param usual: the case of the Dag with the HttpOperator that it is compared with.
    """

    name: str
    file: Path | None
    config: Path | None = None
    named: tuple[str, ...] | None = ()
    usual: str | None = None
    module: str | None = None

    @property
    def job(self) -> str:
        """The same for the process that measures it."""
        config = None if self.config is None else str(self.config)
        what = {"module": self.module} if self.module else {"file": str(self.file)}
        return json.dumps({**what, "config": config, "named": self.named})


def measure(runs: int, *, compiled: bool = True) -> list[dict[str, Any]]:
    """Time every Dag file ``runs`` times.

    :param compiled: whether Python's bytecode is cached.
    :returns: a row per case, with times in milliseconds; ``goal`` says what was to be reached, and ``met`` whether.
    :raises ParseFailed: a Dag file has import errors.
    """
    with tempfile.TemporaryDirectory(prefix="featurebase-bench-") as name:
        cases = _cases(Path(name))
        samples = _sampled(cases, runs, Path(name), compiled=compiled)
    times = {case: statistics.median(sample["cpu_ms"] for sample in taken) for case, taken in samples.items()}
    rows = [_row(case, samples[case.name], times) for case in cases]
    return [*rows, _further(times)]


def measure_operators(runs: int) -> list[dict[str, Any]]:
    """Import each operator's and sensor's module ``runs`` times, in a process that has loaded no other of ours."""
    package = DAG_FILES.parent
    paths = [path for folder in ("operators", "sensors") for path in sorted((package / folder).glob("*.py"))]
    public = [path for path in paths if re.search(r"^class \w+(Operator|Sensor)\(", path.read_text(), re.MULTILINE)]
    modules = [f"{package.name}.{path.parent.name}.{path.stem}" for path in public]
    with tempfile.TemporaryDirectory(prefix="featurebase-bench-") as folder:
        samples = _sampled([Case(module, None, module=module) for module in modules], runs, Path(folder))
    return [{"name": module, **_figures(taken)} for module, taken in samples.items()]


def missed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The goals that were not reached."""
    return [f"{row['name']}: {row['goal']}" for row in rows if row["met"] is False]


def _cases(folder: Path) -> list[Case]:
    files = {name: DAG_FILES / f"featurebase_{name}.py" for name in ("rotation", "audit", "emergency_rotation")}
    one = _written(folder / "one.yaml", _rotation_file(1))
    more = _written(folder / "more.yaml", _rotation_file(1 + MORE))
    usual, empty = _written(folder / "usual.py", USUAL), _written(folder / "empty.py", EMPTY)
    plain, plains = (
        _written(folder / f"plain_{dags}.py", PLAIN.format(dags=dags, tasks=TASKS)) for dags in (1, 1 + MORE)
    )
    both, group = (DECORATORS, TRIGGER), (DECORATORS,)
    return [
        Case("empty Dag file", empty),
        Case("HttpOperator", usual),
        Case("HttpOperator, decorators loaded", usual, named=group),
        Case("HttpOperator, decorators and TriggerDagRunOperator loaded", usual, named=both),
        Case("rotation, 1 webhook", files["rotation"], one, usual="HttpOperator"),
        Case("audit", files["audit"], one, both, "HttpOperator, decorators and TriggerDagRunOperator loaded"),
        Case("emergency", files["emergency_rotation"], one, group, "HttpOperator, decorators loaded"),
        Case(f"rotation, {1 + MORE} webhooks", files["rotation"], more),
        Case("plain Dag, 1", plain),
        Case(f"plain Dags, {1 + MORE}", plains),
        Case("HttpOperator, as the Dag processor", usual, named=None),
        *(Case(f"{name}, as the Dag processor", file, one, None) for name, file in files.items()),
    ]


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


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _sampled(
    cases: Sequence[Case], runs: int, folder: Path, *, compiled: bool = True
) -> dict[str, list[dict[str, Any]]]:
    samples: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    with _nursery(folder, compiled=compiled) as nursery:
        for run in range(runs + 1):
            for case in cases:
                nursery.stdin.write(case.job + "\n")
                nursery.stdin.flush()
                sample = json.loads(nursery.stdout.readline() or '{"error": "Airflow did not start"}')
                if sample["error"]:
                    raise ParseFailed(case.name, sample["error"])
                if run:  # the first round fills the caches of bytecode and files
                    samples[case.name].append(sample)
    return samples


@contextmanager
def _nursery(folder: Path, *, compiled: bool) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    if not compiled:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-W", "ignore", "-m", "dev.bench.parse_nursery"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as nursery:
        yield nursery


def _figures(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    times = sorted(sample["cpu_ms"] for sample in samples)
    return {
        "runs": len(times),
        "modules": len(samples[0]["modules"]),
        "median_cpu_ms": round(statistics.median(times), 1),
        "min_cpu_ms": round(times[0], 1),
        "max_cpu_ms": round(times[-1], 1),
        "median_clock_ms": round(statistics.median(sample["ms"] for sample in samples), 1),
    }


def _row(case: Case, samples: Sequence[dict[str, Any]], times: dict[str, float]) -> dict[str, Any]:
    row = {"name": case.name, **_figures(samples), "ratio": "", "goal": "", "met": ""}
    if case.usual is not None:
        ratio = times[case.name] / times[case.usual]
        goal = f"at most {MOST_OF_USUAL} of the HttpOperator's, {MOST_MODULES} modules"
        met = ratio <= MOST_OF_USUAL and row["modules"] <= MOST_MODULES
        row |= {"ratio": round(ratio, 2), "goal": goal, "met": met}
    return row


def _further(times: dict[str, float]) -> dict[str, Any]:
    """What each further webhook takes, beside a plain Dag of as many tasks."""
    webhook = (times[f"rotation, {1 + MORE} webhooks"] - times["rotation, 1 webhook"]) / MORE
    plain = (times[f"plain Dags, {1 + MORE}"] - times["plain Dag, 1"]) / MORE
    ratio = webhook / plain
    return {
        "name": f"each further webhook, beside a plain Dag of {TASKS} tasks ({plain:.1f} ms)",
        **dict.fromkeys(("runs", "modules"), ""),
        "median_cpu_ms": round(webhook, 1),
        **dict.fromkeys(("min_cpu_ms", "max_cpu_ms", "median_clock_ms"), ""),
        "ratio": round(ratio, 2),
        "goal": f"at most {MOST_OF_PLAIN} of the plain Dag's",
        "met": ratio <= MOST_OF_PLAIN,
    }
