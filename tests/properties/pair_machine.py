"""Dag runs of a pair, their tries interleaved call by call, with people, receivers and vendors in between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import booleans, integers, just, none, one_of, permutations, sampled_from

from featurebase_provider.featurebase.errors import PermissionDenied, RateLimited
from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import CutOverStopped, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import StoreMark
from tests.properties.airflow_model import DagRun, Kind, TaskTry
from tests.properties.judged_half import other_status
from tests.properties.judged_pair import IDS, JudgedPair, pair_stores
from tests.properties.judged_world import LONGEST_LAG, THEIR_TEXT, Judge, SteppedClock
from tests.properties.pair_tasks import PREVIOUS_FOR, PairTasks
from tests.world.fakes import api_unreachable, failing

LABELS = ("marked", "plain", "text")
TASKS = ("preflight", "rotate", *(f"push.{label}" for label in LABELS), "probe", "activate", "cut_over", "report")
MOST_RUNS = 4
TRIES = 2
STEPS = one_of(integers(0, 25), just(5000))
LATE = [1.0, 39.0, 70.0, 200.0]
POSTS = ["lost_before", "lost_after", "old_answer", "old_answer_after", "no_secret_after", *LATE]
STORE_FAULTS = ["arm", "read", "refused", "lost", "beside"]
PATCHES = ["lost_before", "lost_after"]


class PairRuns(RuleBasedStateMachine):
    """Any number of tries of any task of several Dag runs; see the judged world and ``teardown`` for the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[DagRun] = []
        self.tries: list[TaskTry] = []

    @initialize(
        bumps_updated_at=booleans(),
        refuses_paused=sampled_from([*[False] * 9, True]),
        keeps_retries=booleans(),
        cached_for=sampled_from([0.0, 60.0]),
        log=booleans(),
        order=permutations(LABELS),
        on_threads=sampled_from([False, False, True]),
        reads_backwards=booleans(),
        traffic=booleans(),
        upto=integers(0, len(TASKS)),
        steps=STEPS,
    )
    def the_world(
        self,
        order: list[str],
        log: bool,
        on_threads: bool,
        reads_backwards: bool,
        traffic: bool,
        upto: int,
        steps: int,
        **switches: Any,
    ) -> None:
        """A rotation has come to some task. The switches are what Featurebase does not document; see ``Behaviour``."""
        self.judge, self.clock = Judge(), SteppedClock()
        problem = None if log else PermissionDenied("GET", "/v2/audit-logs", 403)
        self.world = JudgedPair(self.clock, self.judge, log=problem, **switches)
        self.refuses_paused = switches["refuses_paused"]
        kinds: dict[str, dict[str, Any]] = {"marked": {"marked": True}, "plain": {}, "text": {"text": THEIR_TEXT}}
        self.stores = pair_stores(self.world, {label: kinds[label] for label in order})
        for store in self.stores.values():
            store.on_a_thread = on_threads and store.label != "plain"
            store.write_text()
            if reads_backwards:
                store.receiver.order = ("previous", "current")
            if store.marked and store.value is not None:
                store.mark = StoreMark(IDS[0], store.value.fingerprint, "https://airflow.example")
        self.world.traffic = traffic
        self.tasks = PairTasks(self.world, self.clock)
        self.a_run_begins("normal", upto, steps, quietly=True)

    # What Airflow and its users do.

    @precondition(lambda self: len(self.runs) < MOST_RUNS)
    @rule(
        kind=sampled_from(["normal", "normal", "normal", "revert", "distribute", "dry_run"]),
        upto=integers(0, len(TASKS)),
        steps=STEPS,
        quietly=booleans(),
    )
    def a_run_begins(self, kind: Kind, upto: int, steps: int, quietly: bool) -> None:
        """One at a time: the one before it is over. Its first tasks run through, and the next one begins.

        :param quietly: whether nothing goes wrong by itself meanwhile.
        """
        if quietly:
            self.faults_end()
        for run in self.runs:
            if not run.reported:
                self.is_over(run)
        run = DagRun(kind, f"{kind}__{len(self.runs)}", self.due())
        self.runs.append(run)
        self.comes_to(run, upto, steps)

    @precondition(lambda self: self.runs)
    @rule(upto=integers(0, len(TASKS)), steps=STEPS)
    def the_run_goes_on(self, upto: int, steps: int) -> None:
        """Its tasks that are not done are tried again, one after the other, as Airflow's retries do."""
        self.comes_to(self.runs[-1], upto, steps)

    def comes_to(self, run: DagRun, upto: int, steps: int) -> None:
        """The first tasks run through, with one retry, and the next one begins."""
        for task in TASKS[:upto]:
            for _ in range(TRIES):
                if task not in run.xcom:
                    self.begin(run, task).finish()
                    self.record()
            if task not in run.xcom:
                return
        if upto < len(TASKS):
            self.begin(run, TASKS[upto]).advance(steps)
            self.record()

    @precondition(lambda self: self.runs)
    @rule(which=integers(0, MOST_RUNS - 1), task=sampled_from(TASKS), steps=STEPS)
    def a_task_begins(self, which: int, task: str, steps: int) -> None:
        """The first try, a retry, or one after a clear; one that is still alive becomes an orphan."""
        run = self.runs[-1 - which % len(self.runs)]
        self.begin(run, self.ready(run, task)).advance(steps)
        self.record()

    @precondition(lambda self: self.runs)
    @rule(task=sampled_from(TASKS), steps=integers(1, 40), ends=sampled_from(["goes on", "dies", "waits"]))
    def a_worker_is_lost_and_its_task_retried(self, task: str, steps: int, ends: str) -> None:
        """The retry runs through while the first try has died, or stands still and goes on later."""
        run = self.runs[-1]
        task = self.ready(run, task)
        first = self.begin(run, task)
        first.advance(steps)
        if ends == "dies":
            first.kill()
        self.begin(run, task).finish()
        if ends == "goes on":
            first.finish()
        self.record()

    def ready(self, run: DagRun, task: str) -> str:
        """That task, or the first one before it that is not done yet."""
        if task == "report":
            return task
        return next((other for other in TASKS[: TASKS.index(task)] if other not in run.xcom), task)

    @precondition(lambda self: self.alive)
    @rule(which=integers(0, 7), steps=STEPS)
    def a_try_goes_on(self, which: int, steps: int) -> None:
        self.alive[which % len(self.alive)].advance(steps)
        self.record()

    @precondition(lambda self: self.alive)
    @rule(which=integers(0, 7))
    def a_process_dies(self, which: int) -> None:
        self.alive[which % len(self.alive)].kill()
        self.record()

    @property
    def alive(self) -> list[TaskTry]:
        return [one for one in self.tries if one.alive]

    def begin(self, run: DagRun, task: str) -> TaskTry:
        for other in self.alive:
            if (other.dag_run, other.task) == (run, task):
                other.orphan = True
                run.twins |= task == "rotate"
        for store in self.stores.values():
            store.receiver.settle()
        one = TaskTry(run, task, lambda: self.tasks.run(run, task, one.number))
        one.by_hand = {label: store.by_hand for label, store in self.stores.items()}
        self.tries.append(one)
        return one

    def due(self) -> str:
        return (self.clock.server_now() + timedelta(microseconds=len(self.runs))).isoformat()

    def is_over(self, run: DagRun) -> None:
        """Its last try has ended, or Airflow gives it up; the report is written."""
        for one in self.alive:
            one.orphan |= one.dag_run is run
        report = self.begin(run, "report")
        report.finish()
        self.record()
        run.reported = True
        if report.succeeded and self.is_fresh(report) and "alone" in str(report.result["taken_back"]):
            (live,) = self.world.active
            assert all(store.held == {live.secret.fingerprint} for store in self.stores.values())

    def record(self) -> None:
        for one in self.tries:
            if not one.recorded and not one.alive:
                one.record()
                self.judge_result(one)

    def judge_result(self, one: TaskTry) -> None:
        fresh = self.is_fresh(one)
        by, acts = self.world.none_by or (None, 0)
        if by is one and acts == self.world.persons_acts and fresh and not one.died:
            assert one.error is not None, "none is active, and the task says that all is well"
            assert not isinstance(one.error, CutOverStopped), one.error
        if not one.succeeded or not fresh:
            return
        if one.task.startswith("push."):
            store = self.stores[one.task.removeprefix("push.")]
            if one.by_hand[store.label] != store.by_hand:
                return
            assert {half.secret.fingerprint for half in self.world.active} <= store.held
            assert store.held <= self.world.secrets

    def is_fresh(self, one: TaskTry) -> bool:
        """Whether both halves are as the try has read them last."""
        halves = self.world.halves
        return all(webhook == halves[half].current and not halves[half].gone for half, webhook in one.reads.items())

    # What else happens in the world.

    @rule(half=sampled_from(IDS), good=integers(0, 20), bad=integers(1, 3))
    def reads_fail_for_a_while(self, half: str, good: int, bad: int) -> None:
        self.world.halves[half].read_script.extend([*[None] * good, *[api_unreachable()] * bad])

    @rule(half=sampled_from(IDS), answer=sampled_from([*POSTS, RateLimited("POST", "/secret", 429)]))
    def the_next_refresh_goes_wrong(self, half: str, answer: Any) -> None:
        self.world.halves[half].post_script.append(answer)

    @rule(half=sampled_from(IDS), answer=sampled_from([*PATCHES, *LATE, RateLimited("PATCH", "/webhooks", 429)]))
    def the_next_change_of_status_goes_wrong(self, half: str, answer: Any) -> None:
        self.world.halves[half].patch_script.append(answer)

    @rule(half=sampled_from(IDS), seconds=sampled_from([0.0, 1.0, LONGEST_LAG]))
    def reads_lag(self, half: str, seconds: float) -> None:
        self.world.halves[half].lag = seconds

    @rule(half=sampled_from(IDS), when=one_of(none(), none(), integers(1, 100), sampled_from(LABELS)))
    def somebody_refreshes(self, half: str, when: Any) -> None:
        """Now, so many seconds later, or while a store is written."""
        one = self.world.halves[half]
        if isinstance(when, str):
            self.stores[when].after_write.append(lambda: self.world.a_person_refreshes(one))
        elif when:
            self.clock.at(when, lambda: self.world.a_person_refreshes(one))
        else:
            self.world.a_person_refreshes(one)

    @rule(half=sampled_from(IDS), status=sampled_from(["other", "other", "suspended"]))
    def somebody_changes_a_status(self, half: str, status: str) -> None:
        one = self.world.halves[half]
        if not one.gone:
            self.world.a_person_sets(one, other_status(one) if status == "other" else status)

    @rule(half=sampled_from(IDS), really=integers(0, 9))
    def somebody_deletes_a_half(self, half: str, really: int) -> None:
        if really == 7 and not any(one.gone for one in self.world.halves.values()):
            self.world.a_person_deletes(self.world.halves[half])

    @rule(
        label=sampled_from(LABELS), good=integers(0, 2), kind=sampled_from(["arm", "read", "refused", "lost", "beside"])
    )
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
        }[kind]
        script.extend([*[None] * good, step])

    @rule(label=sampled_from(LABELS), kind=sampled_from(["foreign", "swap", "empty", "only one", "an older one"]))
    def somebody_changes_a_store(self, label: str, kind: str) -> None:
        store = self.stores[label]
        older = self.world.halves[IDS[0]].history[0].secret
        current, previous = {
            "foreign": (SigningSecret(f"whsec_foreign_{label}"), store.previous),
            "swap": (store.previous, store.value),
            "empty": (None, None),
            "only one": (store.value, None),
            "an older one": (store.value, older),
        }[kind]
        store.a_person_puts(current, previous)

    @rule(good=integers(0, 80), bad=integers(1, 2))
    def airflow_loses_its_database(self, good: int, bad: int) -> None:
        self.tasks.variables.script.extend([*[False] * good, *[True] * bad])

    @rule(label=sampled_from(LABELS), times=integers(1, 2))
    def a_receiver_reads(self, label: str, times: int) -> None:
        for _ in range(times):
            self.stores[label].receiver.step()

    @rule(label=sampled_from(LABELS), reads=booleans())
    def a_receiver_is_restarted_only_by_hand(self, label: str, reads: bool) -> None:
        self.stores[label].receiver.reads = reads

    @rule(answer=booleans())
    def receivers_break(self, answer: bool) -> None:
        self.world.receivers_answer = answer

    @rule(times=integers(1, 3))
    def events_happen(self, times: int) -> None:
        for _ in range(times):
            self.world.an_event_happens()

    @rule(seconds=one_of(integers(1, 400), sampled_from([3 * 3600, 9 * 3600])))
    def time_passes(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    # What has to hold.

    @invariant()
    def rules_hold(self) -> None:
        if not hasattr(self, "judge"):
            return
        self.world.check()
        assert not self.judge.violations, self.judge.violations
        for store in self.stores.values():
            store.check_text()

    @invariant()
    def a_run_refreshes_once(self) -> None:
        """But for what an API without preconditions cannot exclude: late commits and orphaned twins."""
        for run in self.runs:
            assert run.commits <= 1 or run.commits_late or run.twins

    def teardown(self) -> None:
        """Once the world behaves again, one distribute run brings everything in order, and rotations go through."""
        if not hasattr(self, "judge"):
            return
        try:
            self.rules_hold()
            self.the_world_behaves()
            self.everything_converges()
            self.rotations_go_through()
            self.a_run_refreshes_once()
        finally:
            for one in self.alive:
                one.kill()

    def faults_end(self) -> None:
        self.world.receivers_answer = True
        for half in self.world.halves.values():
            half.lag = 0.0
            half.read_script.clear()
            half.post_script.clear()
            half.patch_script.clear()
        for store in self.stores.values():
            store.receiver.reads = True
            for script in (store.arm_script, store.read_script, store.write_script, store.after_write):
                script.clear()
        self.tasks.variables.script.clear()

    def the_world_behaves(self) -> None:
        self.faults_end()
        self.clock.sleep(1000)
        for one in self.alive:
            one.finish()
        self.record()
        for run in self.runs:
            if not run.reported:
                self.is_over(run)
        self.rules_hold()

    def everything_converges(self) -> None:
        self.a_person_looks_after_the_pair()
        self.goes_through("distribute")
        for store in self.stores.values():
            assert {half.secret.fingerprint for half in self.world.active} <= store.held <= self.world.secrets

    def a_person_looks_after_the_pair(self) -> None:
        """As messages advise: one half is set active if none is, and values of unknown origin are removed."""
        exist = [half for half in self.world.halves.values() if not half.gone]
        for half in exist:
            if half.current.status not in (ACTIVE, PAUSED):
                self.world.a_person_sets(half, PAUSED)
        if exist and not self.world.active:
            self.world.a_person_sets(exist[0], ACTIVE)
        known = self.tasks.known()
        for store in self.stores.values():
            kept = [one if one and one.fingerprint in known else None for one in (store.value, store.previous)]
            if kept != [store.value, store.previous]:
                store.a_person_puts(*kept)

    def rotations_go_through(self) -> None:
        if any(half.gone for half in self.world.halves.values()) or self.refuses_paused:
            return
        first, *more = self.world.active
        for half in more:
            self.world.a_person_sets(half, PAUSED)
        self.the_old_secret_is_drained(first.secret)
        self.goes_through("normal")
        (second,) = self.world.active
        assert second is not first
        both = {first.secret.fingerprint, second.secret.fingerprint}
        assert all(store.held == both for store in self.stores.values())
        self.goes_through("revert")
        assert self.world.active == [first]
        self.goes_through("revert")
        assert self.world.active == [second]
        self.the_old_secret_is_drained(second.secret)

    def the_old_secret_is_drained(self, live: SigningSecret) -> None:
        for _ in range(2):
            self.clock.sleep(PREVIOUS_FOR.total_seconds() + 3600)
            self.goes_through("distribute")
            assert all(store.held == {live.fingerprint} for store in self.stores.values())
        assert all(store.previous is None for store in self.stores.values())

    def goes_through(self, kind: Kind) -> None:
        run = DagRun(kind, f"{kind}__{len(self.runs)}", self.due())
        self.runs.append(run)
        for task in TASKS:
            if task == "cut_over":
                self.world.an_event_happens()  # so that the figures tell of receivers that answer again
            one = self.begin(run, task)
            one.finish()
            self.record()
            assert one.succeeded, one
        run.reported = True
        self.rules_hold()
