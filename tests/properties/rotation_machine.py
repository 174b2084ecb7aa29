"""Overlapping Dag runs of one webhook, their tries interleaved call by call, in a world that misbehaves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import booleans, integers, just, none, one_of, permutations, sampled_from, tuples

from featurebase_provider.featurebase.errors import PermissionDenied, RateLimited
from featurebase_provider.rotation.errors import PlanUnreadable, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.memory import recall
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.store import StoreMark
from tests.properties.airflow_model import DagRun, Kind, TaskTry
from tests.properties.judged_world import (
    LAG_OF_WITNESSED,
    LONGEST_LAG,
    THEIR_TEXT,
    Judge,
    JudgedFeaturebase,
    JudgedStore,
    SteppedClock,
)
from tests.properties.tasks import Tasks
from tests.world.fakes import WEBHOOK_ID, api_unreachable, failing

STORES = ("marked", "plain", "text", "unconditional")
LABELS = sampled_from(STORES)
MOST_RUNS = 4
RATE_LIMITED = RateLimited("POST", "/secret", 429)
ANSWERS = sampled_from(
    [
        "lost_before",
        "lost_after",
        "old_answer",
        "old_answer_after",
        "no_secret_after",
        RATE_LIMITED,
        1.0,
        39.0,
        70.0,
        200.0,
    ]
)
TASKS = sampled_from(["preflight", "rotate", "rotate", *map("push.{}".format, STORES)])
STEPS = one_of(integers(0, 12), just(1000))


class OverlappingRuns(RuleBasedStateMachine):
    """Any number of tries of any task of several Dag runs; see the invariants and ``teardown`` for the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[DagRun] = []
        self.tries: list[TaskTry] = []

    @initialize(
        bumps_updated_at=booleans(),
        order=permutations(STORES),
        on_threads=sampled_from([False, False, True]),
        log=sampled_from(["prompt", "prompt", "late", "closed"]),
    )
    def the_world(self, bumps_updated_at: bool, order: list[str], on_threads: bool, log: str) -> None:
        """Stores stop at each call, or all but one of them are read and written by threads, as in a real task."""
        self.judge = Judge()
        self.clock = SteppedClock()
        self.api = JudgedFeaturebase(self.clock, self.judge, bumps_updated_at=bumps_updated_at)
        self.api.log_lag = {"prompt": 0.0, "late": 100.0}.get(log)
        if log == "closed":
            self.api.log = PermissionDenied("GET", "/v2/audit-logs", 403)
        kinds: dict[str, dict[str, Any]] = {
            "marked": {"marked": True, "keeps_previous": True},
            "plain": {},
            "text": {"keeps_previous": True, "text": THEIR_TEXT},
            "unconditional": {"marked": True, "keeps_previous": True, "conditional": False},
        }
        self.stores = {
            label: JudgedStore(
                label,
                judge=self.judge,
                featurebase=self.api,
                on_a_thread=on_threads and label != "plain",
                **kinds[label],
            )
            for label in order
        }
        for store in self.stores.values():
            store.put("whsec_0")
            if store.marked:
                store.mark = StoreMark(WEBHOOK_ID, self.api.secret.fingerprint, "https://airflow.example")
        self.tasks = Tasks(self.api, self.clock, list(self.stores.values()))

    # What Airflow and its users do.

    @precondition(lambda self: len(self.runs) < MOST_RUNS)
    @rule(kind=sampled_from(["normal", "normal", "distribute", "emergency"]), steps=STEPS)
    def a_run_begins(self, kind: Kind, steps: int) -> None:
        """One normal run at a time; an emergency waits for nobody."""
        if kind != "emergency":
            for run in self.runs:
                if run.kind != "emergency" and not run.reported:
                    self.lose(run)
                    self.report(run)
                    run.reported = True
        self.runs.append(DagRun(kind, f"{kind}__{len(self.runs)}", self.due()))
        self.begin(self.runs[-1], "preflight").advance(steps)
        self.record()

    @precondition(lambda self: self.runs)
    @rule(
        which=integers(0, MOST_RUNS - 1),
        task=sampled_from(["rotate", "push", *map("push.{}".format, STORES)]),
        steps=STEPS,
    )
    def a_task_begins(self, which: int, task: str, steps: int) -> None:
        """The first try, a retry, or one after a clear; one that is still alive becomes an orphan."""
        run = self.runs[-1 - which % len(self.runs)]
        if run.plan is None:
            task = "preflight"
        elif task.startswith("push") and run.outcome is None:
            task = "rotate"
        for one in [f"push.{label}" for label in self.stores] if task == "push" else [task]:
            self.begin(run, one).advance(steps)
        self.record()

    @precondition(lambda self: self.runs)
    @rule(
        first=integers(0, MOST_RUNS - 1),
        second=integers(0, MOST_RUNS - 1),
        tasks=tuples(TASKS, TASKS),
        steps=integers(1, 30),
        rotated=booleans(),
        answer=one_of(none(), none(), ANSWERS),
        ends=sampled_from(["goes on", "goes on", "has died", "dies", "waits"]),
    )
    def two_tries_race(
        self, first: int, second: int, tasks: tuple[str, str], steps: int, rotated: bool, answer: Any, ends: str
    ) -> None:
        """One stops somewhere, perhaps while somebody rotates; another runs through; then the first goes on."""
        one = self.begin(*self.ready(first, tasks[0]))
        self.api.post_script.extend([answer] if answer is not None else [])
        one.advance(steps)
        if ends == "has died":
            one.kill()
        if rotated:
            self.api.rotated()
        self.begin(*self.ready(second, tasks[1])).finish()
        if ends == "dies":
            one.kill()
        elif ends == "goes on":
            one.finish()
        self.record()

    @precondition(lambda self: self.runs)
    @rule(which=integers(0, MOST_RUNS - 1), answer=ANSWERS, lag=sampled_from([LONGEST_LAG, LAG_OF_WITNESSED]))
    def rotate_fails_and_is_retried(self, which: int, answer: Any, lag: float) -> None:
        """Its refresh gets no usable answer, perhaps, and reads don't show what became of it."""
        self.reads_lag(lag)
        self.api.post_script.append(answer)
        for _ in range(2):
            self.begin(*self.ready(which, "rotate")).finish()
            self.record()

    def ready(self, which: int, task: str) -> tuple[DagRun, str]:
        """That task of that run, once those before it are done; the first of them that does not get done else."""
        run = self.runs[-1 - which % len(self.runs)]
        if run.plan is None and task != "preflight":
            self.begin(run, "preflight").finish()
            self.record()
        if run.plan is None:
            return run, "preflight"
        if run.outcome is None and task.startswith("push."):
            self.begin(run, "rotate").finish()
            self.record()
        return run, "rotate" if run.outcome is None and task.startswith("push.") else task

    @precondition(lambda self: self.alive)
    @rule(which=integers(0, 7), steps=STEPS)
    def a_try_goes_on(self, which: int, steps: int) -> None:
        self.alive[which % len(self.alive)].advance(steps)
        self.record()

    @precondition(lambda self: self.alive)
    @rule(which=integers(0, 7))
    def a_process_dies(self, which: int) -> None:
        self.alive[which % len(self.alive)].kill()

    @precondition(lambda self: self.alive)
    @rule(which=integers(0, 7))
    def a_worker_is_lost_after_its_result(self, which: int) -> None:
        """The task has done all its work; Airflow never hears of it."""
        one = self.alive[which % len(self.alive)]
        one.finish()
        one.orphan = True
        self.record()

    @property
    def alive(self) -> list[TaskTry]:
        return [one for one in self.tries if one.alive]

    def begin(self, run: DagRun, task: str) -> TaskTry:
        for other in self.alive:
            if (other.dag_run, other.task) == (run, task):
                other.orphan = True
                run.twins |= task == "rotate"
        one = TaskTry(run, task, lambda: self.tasks.run(run, task, one.number))
        self.tries.append(one)
        return one

    def due(self) -> str:
        """When the next run is due: no two of a Dag are at the same moment."""
        return (self.clock.server_now() + timedelta(microseconds=len(self.runs))).isoformat()

    def lose(self, run: DagRun) -> None:
        for one in self.alive:
            one.orphan |= one.dag_run is run

    def record(self) -> None:
        for one in self.tries:
            if not one.recorded and not one.alive:
                one.record()
                self.judge_result(one)

    def judge_result(self, one: TaskTry) -> None:
        """A push says that it is done only of what Featurebase showed it last; rotate tells all that it wrote."""
        if one.succeeded and one.task.startswith("push."):
            assert one.result["fingerprint"] == one.read
            if one.dag_run.kind == "emergency":
                assert one.dag_run.plan is not None
                self.stores[one.task.removeprefix("push.")].clean_of |= set(one.dag_run.plan.leaked)
        if one.succeeded and one.task == "rotate":
            assert one.wrote <= set(RotationOutcome.from_json(one.result).known)

    # What else happens in the world.

    @rule(good=integers(0, 4), bad=integers(1, 3))
    def reads_fail_for_a_while(self, good: int, bad: int) -> None:
        self.api.read_script.extend([*[None] * good, *[api_unreachable()] * bad])

    @rule(answer=ANSWERS)
    def the_next_refresh_goes_wrong(self, answer: Any) -> None:
        self.api.post_script.append(answer)

    @rule(seconds=sampled_from([0.0, 1.0, LONGEST_LAG, LAG_OF_WITNESSED]))
    def reads_lag(self, seconds: float) -> None:
        """Beyond the grace only where the audit log shows at once what reads don't."""
        self.api.lag = seconds if self.api.log_lag == 0.0 else min(seconds, LONGEST_LAG)

    @rule(when=one_of(just(0), integers(1, 100), LABELS))
    def somebody_rotates(self, when: int | str) -> None:
        """Now, so many seconds later, or while that store is written."""
        if isinstance(when, str):
            self.stores[when].after_write.append(self.api.rotated)
        elif when:
            self.clock.at(when, self.api.rotated)
        else:
            self.api.rotated()

    @rule(label=LABELS, good=integers(0, 2), kind=sampled_from(["arm", "read", "refused", "lost", "beside", "other"]))
    def a_store_misbehaves(self, label: str, good: int, kind: str) -> None:
        store = self.stores[label]
        if kind == "arm":
            store.arm_script.append(StoreUnreachable(label, "no answer"))
            return
        script, step = {
            "read": (store.read_script, failing(StoreUnreachable(label, "no answer"))),
            "refused": (store.write_script, failing(StoreRefused(label, "read-only"))),
            "lost": (store.after_write, failing(StoreUnreachable(label, "no answer"))),
            "beside": (store.write_script, store.put_beside),
            "other": (store.after_write, lambda: self.somebody_puts_a_foreign_value(label)),
        }[kind]
        script.extend([*[None] * good, step])

    @rule(label=LABELS)
    def somebody_puts_a_foreign_value(self, label: str) -> None:
        value = f"whsec_foreign_{label}"
        self.stores[label].put(value)
        self.stores[label].mark = None
        self.judge.foreign[label] = value

    @precondition(lambda self: self.runs and self.judge.foreign)
    @rule()
    def somebody_clears_the_foreign_values(self) -> None:
        for label in self.judge.foreign:
            self.stores[label].put(None)
        self.judge.foreign.clear()

    @rule(seconds=integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    # What has to hold.

    @invariant()
    def rules_hold(self) -> None:
        if not hasattr(self, "judge"):
            return
        assert not self.judge.violations, self.judge.violations
        for label, store in self.stores.items():
            assert store.value is None or store.previous != store.value
            store.check_text()
            if label in self.judge.foreign:
                assert store.holds == self.judge.foreign[label]

    @invariant()
    def a_run_refreshes_once(self) -> None:
        """But for what an API without preconditions cannot exclude: late commits and orphaned twins."""
        for run in self.runs:
            assert run.commits <= 1 or run.commits_late or run.twins

    def teardown(self) -> None:
        """Once the world behaves again, clearing every run ends with every store at Featurebase's secret."""
        if not hasattr(self, "judge"):
            return
        try:
            self.the_world_behaves()
            for one in self.alive:
                one.finish()
            self.record()
            self.clock.sleep(1000)
            self.somebody_clears_the_foreign_values()
            for run in self.runs:
                self.report(run)
            for run in list(self.runs):  # until they have refreshed, what has leaked is written by nobody
                if run.kind == "emergency" and not (self.has_a_plan(run) and self.goes_through(run, "rotate")):
                    self.an_emergency_is_triggered_anew()
            for run in self.runs:
                self.clear(run)
                self.rules_hold()
            self.a_run_refreshes_once()
            self.nothing_leaked_is_left()
        finally:
            for one in self.alive:
                one.kill()

    def an_emergency_is_triggered_anew(self) -> None:
        """As a run that refuses to go on advises: a later run's plan has taken the place of its own."""
        run = DagRun("emergency", f"emergency__{len(self.runs)}", self.due())
        self.runs.append(run)
        assert self.has_a_plan(run)
        self.goes_through(run, "rotate")

    def nothing_leaked_is_left(self) -> None:
        for store in self.stores.values():
            held = {one.fingerprint for one in (store.value, store.previous) if one is not None}
            assert not held & self.tasks.leaked()

    def the_world_behaves(self) -> None:
        self.clock.sleep(1000)
        self.api.lag = self.api.stale_until = 0.0
        self.api.read_script.clear()
        self.api.post_script.clear()
        for store in self.stores.values():
            for script in (store.arm_script, store.read_script, store.write_script, store.after_write):
                script.clear()

    def clear(self, run: DagRun) -> None:
        """Clear all tasks of a run; it goes through."""
        self.a_person_clears_orphaned_values()
        if not self.has_a_plan(run):
            return
        self.goes_through(run, "rotate")
        for label, store in self.stores.items():
            self.goes_through(run, f"push.{label}")
            assert store.value == self.api.secret
            previous = store.previous
            again = self.goes_through(run, f"push.{label}")
            assert again.result["result"] == "unchanged"
            assert store.previous == previous
        self.goes_through(run, "report")
        assert run.outcome is not None
        report = self.tasks.reports[-1]
        assert report["after"] == self.api.secret.fingerprint
        assert report["outcome"] in ("rotated", "distributed")

    def has_a_plan(self, run: DagRun) -> bool:
        """Preflight goes through, or refuses to go on where a later run's plan has taken the place of this run's."""
        one = self.begin(run, "preflight")
        one.finish()
        self.record()
        if one.succeeded:
            return True
        later = [other for other in self.runs if other.this_run.dag_id == run.this_run.dag_id and other is not run]
        assert isinstance(one.error, PlanUnreadable), one
        assert later, "nobody but a later run takes a plan away"
        return False

    def goes_through(self, run: DagRun, task: str) -> TaskTry:
        for _ in range(2):  # rotate learns in its second try only what reports have told since the plan
            one = self.begin(run, task)
            one.finish()
            self.record()
            if one.succeeded:
                break
        assert one.succeeded, one
        return one

    def report(self, run: DagRun) -> None:
        """What a result told is in the report, so that later runs know it."""
        self.begin(run, "report").finish()
        outcome, report = run.outcome, self.tasks.reports[-1]
        if outcome is not None:
            assert run.plan is not None
            assert set(outcome.known) <= {*report["known"], *run.plan.known}
            assert set(outcome.known) <= set(recall(self.tasks.aside).known)

    def a_person_clears_orphaned_values(self) -> None:
        """Without a mark, a value whose writer's result was lost is ours, and yet unknown to everybody."""
        for store in self.stores.values():
            if not store.marked and not self.tasks.is_known(store):
                store.put(None)
