"""Parses Dag files as Airflow's Dag processor does: each in a process forked from one that has loaded Airflow.

Usage: python -m dev.bench.parse_nursery < JOBS

It reads one job per line, as JSON, and answers each with a line of JSON:

* ``file``: a Dag file to parse, or ``module``: a module to import.
* ``config``: the rotation file, or null.
* ``named``: modules to load before the fork; null loads those that Airflow's Dag processor finds in the Dag file.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
from typing import Any

import structlog
from airflow.dag_processing import processor
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time import comms, task_runner  # noqa: F401  which the forked process loads before it parses

SDK = ("airflow.sdk", "unusual_prefix_")
"""Modules that don't count begin like this: Airflow's SDK, and the Dag file itself."""


def in_a_fork(work: Any) -> dict[str, Any]:
    """What ``work`` returns in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            with os.fdopen(writing, "w") as pipe:
                pipe.write(json.dumps(work()))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(answer) if answer else {"error": "the process that parsed it has died"}
    return found


def parsed(job: dict[str, Any]) -> dict[str, Any]:
    """Load what is named, fork, and parse or import there."""
    if job["named"] is None:
        processor._pre_import_airflow_modules(job["file"], structlog.get_logger())
    for name in job["named"] or ():
        importlib.import_module(name)
    return in_a_fork(lambda: measured(job))


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """The time in milliseconds, by the clock and of the processor, and the modules that were loaded meanwhile."""
    before = set(sys.modules)
    began, cpu_began = time.perf_counter(), time.process_time()
    problem, dags, tasks = "", 0, 0
    if job.get("module"):
        importlib.import_module(job["module"])
    else:
        bag = DagBag(dag_folder=job["file"], load_op_links=False)
        problem = "; ".join(bag.import_errors.values())
        dags, tasks = len(bag.dags), sum(len(dag.tasks) for dag in bag.dags.values())
    took, cpu = (time.perf_counter() - began) * 1000, (time.process_time() - cpu_began) * 1000
    loaded = sorted(name for name in set(sys.modules) - before if not name.startswith(SDK))
    return {"ms": took, "cpu_ms": cpu, "modules": loaded, "dags": dags, "tasks": tasks, "error": problem}


def main() -> int:
    """Answer jobs until there are no more."""
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for line in sys.stdin:
        job: dict[str, Any] = json.loads(line)
        if job["config"] is not None:
            os.environ["AIRFLOW__FEATUREBASE__ROTATION_CONFIG"] = job["config"]
        # One more fork: what one job loads, the next one must not find.
        print(json.dumps(in_a_fork(lambda job=job: parsed(job))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
