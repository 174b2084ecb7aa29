"""Dag runs without Airflow's daemons and database: the real Dag and operators, and a stand-in for what Airflow keeps.

What is stood in for is Airflow's side as the operators see it: XComs (gone when a new try starts), Variables (they
outlive the process that set them), task states, retries, and clearing. Asset events are told to nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.context import OutletEventAccessors

from dev.soak.task_process import CRASHED, KILLED, WatchedStore, run_in_process
from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.featurebase.errors import FeaturebaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from airflow.sdk import DAG

    from dev.soak.faults import Kill
    from dev.soak.task_process import Meanwhile
    from dev.soak.variables import Variables

RESULT = "return_value"
TRY_SECONDS = 60.0
RETRY_DELAY = 0.2


@dataclass
class DagRun:
    """One Dag run and what Airflow keeps of it.

    :param due: when it was due, where the scheduler made it; None for one that a person triggered.
    :param made: when it was made; ``started``: when it began, last.
    :param cleared: how often anything of it was cleared.
    :param max_tries: of tasks that were cleared, the number of the last try that Airflow makes by itself, less one.
    :param told: what its task processes told: refreshes sent, stores written, deaths.
    :param clears: how often somebody had to clear tasks to bring it home.
    """

    run_id: str
    mode: str = "rotate"
    due: datetime | None = None
    made: datetime | None = None
    started: datetime | None = None
    cleared: int = 0
    states: dict[str, str] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    max_tries: dict[str, int] = field(default_factory=dict)
    xcoms: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    clears: int = 0

    @property
    def failed(self) -> list[str]:
        """Tasks that failed themselves."""
        return [task_id for task_id, state in self.states.items() if state == "failed"]

    @property
    def kills(self) -> list[str]:
        """The steps at which processes died."""
        return [str(line["where"]) for line in self.told if line["kind"] == KILLED]

    @property
    def crashes(self) -> list[str]:
        """Errors that are none of this provider's, or Airflow's to end a task; each is a fault of the product."""
        return [str(line["error"]) for line in self.told if line["kind"] == CRASHED]


class SmallAirflow:
    """Runs one Dag.

    :param dag: as ``rotation_dag`` builds it, or another of this provider's; its stores are watched from here on.
    :param log: takes the output of the tasks.
    :param variables: the Variables that there are. Several Dags can share them.
    """

    ahead = 0.0
    """By how many seconds its clock, and that of its tasks, is ahead of the real one."""

    def __init__(self, dag: DAG, log: Path, variables: Variables) -> None:
        self.dag, self._log, self._variables = dag, log, variables
        for task in dag.tasks:
            for name in ("stores", "store"):
                if hasattr(task, name):
                    held: Any = getattr(task, name)
                    watched = WatchedStore(held) if name == "store" else tuple(WatchedStore(one) for one in held)
                    setattr(task, name, watched)
            if hasattr(task, "deferrable"):
                task.deferrable = False  # there is no triggerer

    async def run(
        self, run: DagRun, *, kill: Kill | None = None, meanwhile: Mapping[str, Meanwhile] | None = None
    ) -> None:
        """Run every task that has no state yet, in order, with its retries.

        :param kill: kills the first try of its task that comes to the step.
        :param meanwhile: what somebody else does while the first try of a task is at some step, by task.
        """
        acts = dict(meanwhile or {})
        run.made = run.made or self._now()
        run.started = run.started or self._now()
        for task_id, task in self.dag.task_dict.items():
            if task_id in run.states:
                continue
            blocked = None if task.is_teardown else _blocked(run, task.upstream_task_ids)
            if blocked is not None:
                run.states[task_id] = blocked
                continue
            for left in reversed(range(int(task.retries or 0) + 1)):
                fatal = kill.step if kill is not None and kill.task_id == task_id and not run.kills else None
                if await self._try(run, task_id, fatal, acts.pop(task_id, None), last=left == 0):
                    break
                await asyncio.sleep(RETRY_DELAY)

    def clear(self, run: DagRun, task_ids: Iterable[str] | None = None) -> None:
        """Forget the states of tasks and of all that come after them, default of all, and when the run began."""
        wanted = set(self.dag.task_dict if task_ids is None else task_ids)
        for task_id in list(wanted):
            wanted |= self.dag.task_dict[task_id].get_flat_relative_ids(upstream=False)
        for task_id in wanted:
            run.states.pop(task_id, None)
            run.max_tries[task_id] = run.tries[task_id] + int(self.dag.task_dict[task_id].retries or 0)
        run.started = None
        run.cleared += 1

    def _now(self) -> datetime:
        return datetime.now(tz=timezone.utc) + timedelta(seconds=self.ahead)

    async def _try(
        self, run: DagRun, task_id: str, fatal: int | None, meanwhile: Meanwhile | None, *, last: bool
    ) -> bool:
        """Run one try; whether the task has its final state."""
        run.tries[task_id] += 1
        for key in [key for key in run.xcoms if key.partition(" ")[0] == task_id]:
            run.xcoms.pop(key)
        told = await run_in_process(
            lambda: self._work(run, task_id),
            fatal=fatal,
            log=self._log,
            seconds=TRY_SECONDS,
            ahead=self.ahead,
            meanwhile=meanwhile,
        )
        result = next((line for line in told if line["kind"] == "result"), None)
        run.told += [line for line in told if line is not result]
        if result is None:
            result = {"state": "up_for_retry", "error": "the process ended without a result", "xcoms": {}}
        run.xcoms.update(result["xcoms"])
        state = str(result["state"])
        if result["error"]:
            run.errors.append(f"{task_id}, try {run.tries[task_id]}: {result['error']}")
        if state == "up_for_retry" and not last:
            return False
        run.states[task_id] = "failed" if state == "up_for_retry" else state
        return True

    def _work(self, run: DagRun, task_id: str) -> dict[str, Any]:
        """Run in the task's own process."""
        task_runner.SUPERVISOR_COMMS = self._variables  # type: ignore[assignment]
        task: Any = self.dag.task_dict[task_id]
        if task_id in ("preflight", "report"):
            task.mode, task.reason = run.mode, "soak"
        pushed: dict[str, Any] = {}
        context = self._context(run, task_id, pushed)
        state, error = "success", None
        try:
            pushed[RESULT] = task.execute(context)
        except AirflowSkipException as exc:
            state, error = "skipped", str(exc)
        except AirflowFailException as exc:
            state, error = "failed", str(exc)
        except FeaturebaseError as exc:
            state, error = "up_for_retry", f"{type(exc).__name__}: {exc}"
        xcoms = {_xcom(task_id, key): value for key, value in pushed.items()}
        return {"state": state, "error": error, "xcoms": xcoms}

    def _context(self, run: DagRun, task_id: str, pushed: dict[str, Any]) -> Any:
        ti = SimpleNamespace(
            task_id=task_id,
            dag_id=self.dag.dag_id,
            run_id=run.run_id,
            try_number=run.tries[task_id],
            max_tries=run.max_tries.get(task_id, int(self.dag.task_dict[task_id].retries or 0)),
            xcom_pull=lambda task_ids, key=RESULT: run.xcoms.get(_xcom(task_ids, key)),
            xcom_push=lambda key, value: pushed.__setitem__(key, value),
            get_task_states=lambda **_: {run.run_id: dict(run.states)},
        )
        return {
            "ti": ti,
            "run_id": run.run_id,
            "dag": self.dag,
            "task": self.dag.task_dict[task_id],
            "dag_run": SimpleNamespace(
                run_type="scheduled" if run.due else "manual",
                run_after=run.due or run.made,
                start_date=run.started,
                clear_number=run.cleared,
                conf={},
            ),
            "params": {},
            "outlet_events": OutletEventAccessors(),
        }


def _xcom(task_id: str, key: str) -> str:
    """Under what an XCom is kept: a result by its task alone."""
    return task_id if key == RESULT else f"{task_id} {key}"


def _blocked(run: DagRun, upstream: Iterable[str]) -> str | None:
    states = {run.states.get(task_id, "none") for task_id in upstream}
    if states & {"failed", "upstream_failed"}:
        return "upstream_failed"
    return "skipped" if "skipped" in states else None
