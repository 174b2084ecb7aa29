"""Parses Dag files as Airflow's Dag processor does: each in a process forked from one that has loaded Airflow.

Usage: python -m dev.bench.parse_nursery < JOBS

It reads one job per line, as JSON, and answers each with a line of JSON. A job has:

* ``file``, a Dag file to parse, or ``module``, a module to import;
* ``config``: the rotation file, or null;
* ``named``: modules to load before the fork; null for those that Airflow's Dag processor finds in the Dag file.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import structlog
from airflow.dag_processing import processor
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time import comms, task_runner  # noqa: F401  the forked process loads them before it parses

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_COUNTED = ("airflow.sdk", "unusual_prefix_")
"""How the names of modules begin that don't count: Airflow's SDK, and the Dag file itself."""


def main() -> int:
    """Answer jobs until there are no more."""
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.freeze()  # as the Dag processor does
    for line in sys.stdin:
        job: dict[str, Any] = json.loads(line)
        # Two forks: what is loaded for one job must not be there for the next one.
        print(json.dumps(in_a_fork(lambda job=job: prepared(job))), flush=True)
    return 0


def in_a_fork(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                pipe.write(json.dumps(work()))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(answer) if answer else {"error": "its process died"}
    return found


def prepared(job: dict[str, Any]) -> dict[str, Any]:
    """Load what is named, fork, and do the job there."""
    if job["config"] is not None:
        os.environ["AIRFLOW__FEATUREBASE__ROTATION_CONFIG"] = job["config"]
    if job["named"] is None:
        processor._pre_import_airflow_modules(job["file"], structlog.get_logger())
    for name in job["named"] or ():
        importlib.import_module(name)
    return in_a_fork(lambda: measured(job))


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds by the clock and of the processor, and the modules that were loaded meanwhile."""
    before = set(sys.modules)
    problem, dags, tasks = "", 0, 0
    began, cpu_began = time.perf_counter(), time.process_time()
    if "module" in job:
        importlib.import_module(job["module"])
    else:
        bag = DagBag(dag_folder=job["file"], load_op_links=False)
        problem = "; ".join(bag.import_errors.values())
        dags, tasks = len(bag.dags), sum(len(dag.tasks) for dag in bag.dags.values())
    took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    loaded = sorted(name for name in set(sys.modules) - before if not name.startswith(NOT_COUNTED))
    return {"ms": took * 1000, "cpu_ms": cpu * 1000, "modules": loaded, "dags": dags, "tasks": tasks, "error": problem}


if __name__ == "__main__":
    sys.exit(main())
