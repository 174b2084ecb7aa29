"""One case of the crash matrix, from the trigger to the proof that all is well."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx
import psutil

from dev.airflow.processes import DemoError, wait_for
from featurebase_provider.config.models import EMERGENCY_DAG_ID
from featurebase_provider.featurebase.signing_secret import fingerprint_of
from tests.crash.points import Condition, Point, Stage, Way
from tests.crash.processes import TaskProcesses, processes_of, wait_until_ended
from tests.crash.world import STORES

if TYPE_CHECKING:
    from tests.crash.airflow import CrashAirflow
    from tests.crash.world import CrashWorld

STEP_SECONDS = 600.0
CLEARED_AGAIN = 3
"""Times that a person clears the sensor alone. A scheduler that is slow to hear of a deferral takes a trigger that
has fired meanwhile for a failure (Airflow 3.3.2: "finished with state success, but the task instance's state
attribute is queued"); where tasks have retries, one of them covers it."""
REST_SECONDS = 0.4
"""Between two questions to Airflow's API server, which has the tasks to serve."""
TASK_WAYS = ("task", "supervisor", "both", "machine")
Orphan = Literal["beside the next try", "after the next refresh", "after the pushes"]
Home = Literal["retry", "clear task", "clear run"]


@dataclass(frozen=True)
class Case:
    """A point, what dies there, and who brings the run home.

    :param orphan: when an orphan's held call goes on.
    :param home: Airflow's own retry, or a person, where the lane allows no retries.
    :param purged: whether all asset events are deleted before the kill, and again before each clear.
    :param says: what a note of the report must say.
    """

    point: Point
    way: Way
    home: Home = "retry"
    orphan: Orphan = "beside the next try"
    purged: bool = False
    says: str = ""

    @property
    def id(self) -> str:
        """Names the case."""
        parts = [self.point.name, self.way]
        parts += [self.home] if self.home != "retry" else []
        parts += [f"orphan {self.orphan}"] if self.orphan != "beside the next try" else []
        parts += ["asset events purged"] if self.purged else []
        return ", ".join(parts)

    @property
    def plain(self) -> bool:
        """Whether a lane without Variable and probe will do; an orphan shall meet the Variable where it can."""
        return self.point.plain and (self.way != "supervisor" or self.point.name.startswith("answered"))

    @property
    def by_hand(self) -> bool:
        """Whether it is played where tasks have no retries."""
        return self.home != "retry" and self.orphan != "after the pushes"

    @property
    def clears(self) -> tuple[Home, ...]:
        """What a person does after the case."""
        return ("clear task", "clear run") if self.way == "task" else ("clear run",)

    @property
    def disturbs(self) -> bool:
        """Whether it touches other runs, too."""
        return self.purged or self.way in ("triggerer", "scheduler", "machine")

    @property
    def refreshes(self) -> int:
        """How many refreshes the run may make: an orphan that was past its check makes a second one."""
        return 2 if self.orphan != "beside the next try" else self.point.refreshes


@dataclass
class Result:
    """What came of a case; a row of the table."""

    point: str
    killed: str
    home: str
    reached: bool = False
    tries: int = 0
    refreshes: int = 0
    converged: bool = False
    events: int = 0
    accepted: int = 0
    cleared: list[str] = field(default_factory=list)
    orphan: str = ""
    notes: list[str] = field(default_factory=list)
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


class CaseRun:
    """Plays one case in one lane."""

    def __init__(self, airflow: CrashAirflow, world: CrashWorld, case: Case) -> None:
        self.airflow, self.world, self.case = airflow, world, case
        self.result = Result(case.point.name, case.way, case.home)
        self.run_id = ""
        self._processes: TaskProcesses | None = None
        self._before = world.fingerprint
        self._refreshes = world.refreshes()
        self._events = len(world.sandbox.state.journal.events)
        self._written = {store: len(world.service.history[store]) for store in STORES}

    def play(self) -> Result:
        """Play it; what fails is in the result's ``problem``."""
        try:
            self._play()
        except (DemoError, AssertionError, httpx.HTTPError, psutil.Error) as problem:
            self.result.problem = f"{type(problem).__name__}: {problem}"
            self._recover()
        finally:
            self.world.let_go()
            self.world.stop_emitting()
        return self.result

    def _recover(self) -> None:
        """End what is left of the case and put the stores right, so that the lane can play the next one."""
        self.world.let_go()
        if self._processes is not None:
            with suppress(psutil.NoSuchProcess):
                self._processes.task.kill()
        if self.run_id:
            self.airflow.give_up(self.world, self.run_id)
        for store in STORES:
            self.world.service.put(store, self.world.secret)
        self.airflow.set_variable(self.world)

    def _play(self) -> None:
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
        self.result.events, self.result.accepted = self._events_accepted()
        assert self.result.accepted == self.result.events, "events were lost"
        self.result.converged = True

    def _reach(self) -> None:
        """Trigger, and wait for the point."""
        stage = Stage(self.world, self.case.way, self._state, self._emergency)
        script = self.case.point.script(stage)
        condition: Condition | None = next(script)
        self.run_id = self.airflow.api.trigger(self.world.dag_id, {"reason": self.case.id})
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
        elif self.case.point.name.startswith("sent, commits"):
            reads = len(self.world.calls("GET"))
            wait_for("a read by the next try", lambda: len(self.world.calls("GET")) > reads, seconds=STEP_SECONDS)
        self.world.let_go()

    def _orphan(self, orphan: psutil.Process) -> None:
        """Let it go on when the next try is at work, so that it really interferes."""
        if self.case.orphan != "beside the next try":
            stage = Stage(self.world, self.case.way, self._state, self._emergency)
            late = self.case.orphan == "after the pushes"
            hold = stage.hold_probe() if late else stage.hold_put("alpha")
            wait_for("the next try's work", hold.is_reached, seconds=STEP_SECONDS)
            assert self.world.refreshes() == self._refreshes + 1
            self.world.control("DELETE", "/faults")
            seconds = wait_until_ended(orphan, seconds=60)
            assert self.world.refreshes() == self._refreshes + 2, "the orphan did not refresh"
        else:
            wait_for("the next try", self._next_try_began, seconds=STEP_SECONDS, every=0.4)
            self.world.let_go()
            seconds = wait_until_ended(orphan, seconds=60)
        self.result.orphan = f"went on {self.case.orphan}"
        self.result.notes.append(f"the orphan ended {seconds:.0f} s after it was let go")

    def _next_try_began(self) -> bool:
        row = self._row(self.case.point.task_id)
        started = row["try_number"] > self.result.tries and row["state"] in ("running", "success", "deferred")
        return bool(started) or (self.case.home != "retry" and row["state"] == "failed")

    def _home(self) -> None:
        state = self.airflow.wait_for_end(self.world, self.run_id)
        notes = self.airflow.api.xcom(self.world.dag_id, self.run_id, "report")["notes"]
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

    def _check(self) -> None:
        world = self.world
        self.result.refreshes = world.refreshes() - self._refreshes
        assert self.result.refreshes == self.case.refreshes, f"{self.result.refreshes} refreshes"
        current = world.fingerprint
        for store in STORES:
            assert world.service.values[store]["value"] == world.secret, f"{store} holds another secret"
            assert world.service.values[store]["previous"] != world.secret, f"{store}: previous equals current"
            written = world.service.history[store][self._written[store] :]
            assert self._before not in written, f"{store}: the old secret was written again"
            assert set(written[written.index(current) :]) == {current}, f"{store}: an old secret over the new one"
        held = self.airflow.variable(world)
        assert held is None or fingerprint_of(held) == current, "the Variable holds another secret"
        report = self.airflow.api.xcom(world.dag_id, self.run_id, "report")
        assert (report["outcome"], report["after"]) == ("rotated", current), report["outcome"]

    def _events_accepted(self) -> tuple[int, int]:
        self.world.events_accepted()
        events = self.world.sandbox.state.journal.events[self._events :]
        mine = [event for event in events if event.webhook_id is not None]
        return len(mine), sum(event.delivered for event in mine)

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
