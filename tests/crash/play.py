"""Plays one case of the crash matrix, from the trigger to the proof that all is well."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from dev.airflow.processes import DemoError, wait_for
from featurebase_provider.config.models import EMERGENCY_DAG_ID
from tests.crash.case import TASK_WAYS, Case, Result
from tests.crash.judge import judge_of
from tests.crash.points import Condition, Stage
from tests.crash.processes import TaskProcesses, processes_of, wait_until_ended

if TYPE_CHECKING:
    from tests.crash.airflow import CrashAirflow
    from tests.crash.points import Mode
    from tests.crash.world import CrashWorld

STEP_SECONDS = 600.0
CLEARED_AGAIN = 3
"""Times that a person clears the sensor alone. A scheduler that is slow to hear of a deferral takes a trigger that
has fired meanwhile for a failure (Airflow 3.3.2: "finished with state success, but the task instance's state
attribute is queued"); where tasks have retries, one of them covers it."""
REST_SECONDS = 0.4
"""Between two questions to Airflow's API server, which has the tasks to serve."""


class CaseRun:
    """Plays one case in one lane."""

    def __init__(self, airflow: CrashAirflow, world: CrashWorld, case: Case) -> None:
        self.airflow, self.world, self.case = airflow, world, case
        self.result = Result(case.point.name, case.way, case.home, case.point.strategy)
        self.run_id = ""
        self._judge = judge_of(airflow, world, refreshes=case.refreshes)
        self._stage = Stage(world, case.way, self._state, self._emergency, airflow.execution_api.gate)
        self._processes: TaskProcesses | None = None

    def play(self) -> Result:
        """Play it; what fails is in the result's ``problem``."""
        try:
            self._play()
        except (DemoError, AssertionError, httpx.HTTPError, psutil.Error) as problem:
            self.result.problem = f"{type(problem).__name__}: {problem}"
            self._recover()
        finally:
            self._stage.let_go()
            self.world.stop_emitting()
        return self.result

    def _recover(self) -> None:
        """End what is left of the case and put the stores right, so that the lane can play the next one."""
        self._stage.let_go()
        if self._processes is not None:
            with suppress(psutil.NoSuchProcess):
                self._processes.task.kill()
        if self.run_id:
            self.airflow.give_up(self.world, self.run_id)
        self._judge.put_right()

    def _play(self) -> None:
        if self.case.point.mode == "revert":
            self._another_run("rotate")
        self._judge.begin(self.case.point.mode)
        if not self.case.point.quiet:
            self.world.emit()
        self._reach()
        if self.case.purged:
            self.airflow.purge_asset_events()
        self._kill()
        self._home()
        self._check()
        for what in self.case.clears:
            self._clear(what)
            self._check()
            self.result.cleared.append(what)
        self.result.events, self.result.accepted = self._judge.events_accepted()
        assert self.result.accepted == self.result.events, "events were lost"
        if self.case.goes_back:
            self._another_run("revert")
            self.result.went_back = True
        self.result.converged = True

    def _another_run(self, mode: Mode) -> None:
        """Play a whole run of another mode, in which nothing dies."""
        self._judge.begin(mode)
        self.world.emit()
        self.run_id = self.airflow.api.trigger(self.world.dag_id, {"mode": mode, "reason": self.case.id})
        state = self.airflow.wait_for_end(self.world, self.run_id)
        assert state == "success", f"the run with mode={mode} ended as {state}: {self._states()}"
        self._judge.check(self._report())
        self.world.stop_emitting()

    def _check(self) -> None:
        self._judge.count(self.result)
        self._judge.check(self._report())

    def _report(self) -> dict[str, Any]:
        return dict(self.airflow.api.xcom(self.world.dag_id, self.run_id, "report"))

    def _reach(self) -> None:
        """Trigger, and wait for the point."""
        script = self.case.point.script(self._stage)
        condition: Condition | None = next(script)
        self.run_id = self.airflow.api.trigger(
            self.world.dag_id, {"mode": self.case.point.mode, "reason": self.case.id}
        )
        reached: Condition = lambda: False  # noqa: E731
        while condition is not None:
            reached = condition
            wait_for(f"the point of {self.case.id!r}", reached, seconds=STEP_SECONDS, every=0.1)
            condition = next(script, None)
        task_id = self.case.point.task_id
        if self.case.way in TASK_WAYS:
            wait_for(f"the pid of {task_id}", lambda: self._row(task_id)["pid"] is not None, seconds=30)
        row = self._row(task_id)
        if self.case.way in TASK_WAYS:
            assert row["state"] == "running", f"{task_id} is {row['state']}"
            self._processes = processes_of(self.airflow.airflow, row, run_id=self.run_id)
        assert reached(), "the point was left before anything was killed"
        self.result.reached = True
        self.result.tries = int(row["try_number"])

    def _kill(self) -> None:
        way = self.case.way
        if way in ("triggerer", "scheduler", "machine"):
            self.airflow.replace("triggerer" if way == "triggerer" else "scheduler")
        if self._processes is not None:
            self._processes.kill("both" if way == "machine" else way)
        if self.case.point.quiet:
            self.world.emit()
        if way == "supervisor" and self._processes is not None:
            self._orphan(self._processes.task)
        elif self.case.point.is_late:
            reads = len(self.world.calls("GET"))
            wait_for("a read by the next try", lambda: len(self.world.calls("GET")) > reads, seconds=STEP_SECONDS)
        self._stage.let_go()

    def _orphan(self, orphan: psutil.Process) -> None:
        """Let it go on when the next try is at work, so that it really interferes."""
        if self.case.orphan != "beside the next try":
            late = self.case.orphan == "after the pushes"
            hold = self._stage.hold_probe() if late else self._stage.hold_put("alpha")
            wait_for("the next try's work", hold.is_reached, seconds=STEP_SECONDS)
            before = self.world.refreshes()
            self.world.control("DELETE", "/faults")
            seconds = wait_until_ended(orphan, seconds=60)
            assert self.world.refreshes() == before + 1, "the orphan did not refresh"
        else:
            wait_for("the next try", self._next_try_began, seconds=STEP_SECONDS, every=0.4)
            self._stage.let_go()
            seconds = wait_until_ended(orphan, seconds=60)
        self.result.orphan = f"went on {self.case.orphan}"
        self.result.notes.append(f"the orphan ended {seconds:.0f} s after it was let go")

    def _next_try_began(self) -> bool:
        row = self._row(self.case.point.task_id)
        started = row["try_number"] > self.result.tries and row["state"] in ("running", "success", "deferred")
        return bool(started) or (self.case.home != "retry" and row["state"] == "failed")

    def _home(self) -> None:
        state = self.airflow.wait_for_end(self.world, self.run_id)
        notes = self._report()["notes"]
        assert not self.case.says or any(self.case.says in note for note in notes), f"the report is silent: {notes}"
        if self.case.home != "retry":
            assert state == "failed", f"the run ended as {state} without a retry"
            state = self._clear(self.case.home, expect=None)
        self.result.tries = max(self.result.tries, int(self._row(self.case.point.task_id)["try_number"]))
        assert state == "success", f"the run ended as {state}: {self._states()}"
        assert self.result.tries > 1 or self.case.way not in TASK_WAYS, "the task was not tried again"

    def _clear(self, what: str, *, expect: str | None = "success") -> str:
        """What a person does in the UI."""
        tasks = [self.case.point.task_id] if what == "clear task" else None
        if self.case.purged:
            self.airflow.purge_asset_events()
        self.airflow.api.clear(self.world.dag_id, self.run_id, tasks)
        state = self.airflow.wait_for_end(self.world, self.run_id)
        for _ in range(CLEARED_AGAIN):
            if self.case.by_hand and set(self._failed_tasks()) == {"verify_delivery", "outcome"}:
                self.airflow.api.clear(self.world.dag_id, self.run_id, ["verify_delivery"])
                state = self.airflow.wait_for_end(self.world, self.run_id)
                self.result.notes.append(f"verify_delivery was cleared once more after {what}")
        assert expect is None or state == expect, f"after {what} the run ended as {state}: {self._states()}"
        return state

    def _failed_tasks(self) -> list[str]:
        return [name for name, state in self._states().items() if state in ("failed", "upstream_failed")]

    def _emergency(self) -> Condition:
        conf = {"webhooks": [self.world.name], "reason": self.case.id}
        run_id = self.airflow.api.trigger(EMERGENCY_DAG_ID, conf)

        def ended() -> bool:
            time.sleep(REST_SECONDS)
            state = self.airflow.api.run_state(EMERGENCY_DAG_ID, run_id)
            assert state != "failed", "the emergency rotation failed"
            return state == "success"

        return ended

    def _row(self, task_id: str) -> dict[str, Any]:
        return self.airflow.row(self.world, self.run_id, task_id)

    def _state(self, task_id: str) -> str | None:
        time.sleep(REST_SECONDS)
        state: str | None = self._row(task_id)["state"]
        return state

    def _states(self) -> dict[str, str]:
        return {name: row["state"] for name, row in self.airflow.api.tasks(self.world.dag_id, self.run_id).items()}
