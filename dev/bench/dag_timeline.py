"""Where the time of a Dag run goes: from what Airflow's metadata and the task processes recorded, to a row per step."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MILLISECONDS = 1000.0
FIGURES = ("waits_ms", "starts_ms", "works_ms", "cpu_ms", "loads")


@dataclass(frozen=True)
class Step:
    """A task's process: one task has two of them if it was deferred.

    :param name: the task's id; for the process after a deferral with ``, after its deferral``.
    :param waits_ms: from the end of what it waited for until the process was forked: Airflow's scheduler and executor,
        and for a process after a deferral the triggerer.
    :param starts_ms: from then until the task's own code begins: Airflow, and the parse of the Dag file.
    :param works_ms: from then until the task's end, or its deferral.
    :param cpu_ms: processor time of the whole process.
    :param loads: how many modules of this provider the task's own code loads, beyond those of the parse.
    :param begins: when the wait began (Unix seconds).
    :param ends: the task's end (Unix seconds).
    """

    name: str
    waits_ms: float
    starts_ms: float
    works_ms: float
    cpu_ms: float
    loads: int
    begins: float
    ends: float


def steps_of(
    clock: Iterable[Mapping[str, Any]],
    ended: Mapping[str, float],
    upstream: Mapping[str, Iterable[str]],
    *,
    triggered: float,
) -> list[Step]:
    """A run's steps, in the order in which they ended.

    :param clock: what the processes of one run wrote; see :mod:`dev.bench.task_clock`.
    :param ended: each task's end (Unix seconds), by Airflow's metadata.
    :param upstream: the tasks that each task waits for.
    :param triggered: when the run was triggered (Unix seconds).
    """
    processes: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in sorted(clock, key=lambda record: record["forked"]):
        processes[record["task"]].append(record)
    steps = []
    for task, records in processes.items():
        ready = max((ended[before] for before in upstream.get(task, ()) if before in ended), default=triggered)
        for number, record in enumerate(records, 1):
            ends = ended[task] if number == len(records) else record["over"]
            steps.append(_step(task if number == 1 else f"{task}, after its deferral", record, ready, ends))
            ready = record["over"]
    return sorted(steps, key=lambda step: step.ends)


def _step(name: str, record: Mapping[str, Any], ready: float, ends: float) -> Step:
    return Step(
        name,
        waits_ms=(record["forked"] - ready) * MILLISECONDS,
        starts_ms=(record["running"] - record["forked"]) * MILLISECONDS,
        works_ms=(ends - record["running"]) * MILLISECONDS,
        cpu_ms=record["cpu"] * MILLISECONDS,
        loads=record["modules"] - record["modules_at_running"],
        begins=ready,
        ends=ends,
    )


def critical(steps: Sequence[Step]) -> list[Step]:
    """The steps that make up the run's time: of those that ran side by side, the one that ended last."""
    path: list[Step] = []
    for step in reversed(steps):
        if not path or step.ends <= path[0].begins:
            path.insert(0, step)
    return path


def rows_of(runs: Sequence[Sequence[Step]]) -> list[dict[str, Any]]:
    """A row for each step, with medians over the runs in which there is one."""
    by_name: dict[str, list[Step]] = defaultdict(list)
    ended_after: dict[str, list[float]] = defaultdict(list)
    on_path: dict[str, int] = defaultdict(int)
    for steps in runs:
        for step in steps:
            by_name[step.name].append(step)
            ended_after[step.name].append(step.ends - steps[0].begins)
        for step in critical(steps):
            on_path[step.name] += 1
    return [
        {
            "step": name,
            "runs": len(by_name[name]),
            "critical_in": on_path[name],
            **{figure: _median(by_name[name], figure) for figure in FIGURES},
        }
        for name in sorted(by_name, key=lambda name: statistics.median(ended_after[name]))
    ]


def _median(steps: Sequence[Step], figure: str) -> int:
    return round(statistics.median(float(getattr(step, figure)) for step in steps))


def seconds(moment: str) -> float:
    """Unix seconds of an ISO 8601 time."""
    return datetime.fromisoformat(moment).timestamp()
