"""The tasks of a pair's Dag without Airflow: the core, called as the operators call it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import ApiError, FeaturebaseError, WebhookNotFound
from featurebase_provider.rotation.activate import Activation
from featurebase_provider.rotation.all_stores import StoreOutcome, rule_for
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.current import read_current, secret_of
from featurebase_provider.rotation.cut_over import CutOverWatch, watch_of
from featurebase_provider.rotation.cut_over_steps import CutOverSteps
from featurebase_provider.rotation.errors import (
    CutOverUnread,
    MemoryUnknown,
    PlanUnreadable,
    ProbeFailed,
    RefreshRefused,
    StoresNotReady,
)
from featurebase_provider.rotation.found import Found
from featurebase_provider.rotation.health import MAX_POLL_FAILURES
from featurebase_provider.rotation.history import History, order_of
from featurebase_provider.rotation.memory import WebhookMemory, own_plan, plan_key, recall
from featurebase_provider.rotation.moves import Moves, keep_move, pair_id
from featurebase_provider.rotation.pair import Pair
from featurebase_provider.rotation.pair_plan import MOVING, check_live_first, is_untouched, plan_pair
from featurebase_provider.rotation.pair_records import PairRecords, pair_of
from featurebase_provider.rotation.pair_rotate import drained_by, rotate_pair
from featurebase_provider.rotation.push import push_until_agreed
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.refresh_log import read_refreshes_since
from featurebase_provider.rotation.report import make_report
from featurebase_provider.rotation.rotate import RotationOutcome
from featurebase_provider.rotation.run_facts import RunFacts
from featurebase_provider.rotation.take_back import take_back
from tests.properties.judged_pair import IDS, JudgedPair
from tests.properties.judged_world import GRACE, SteppedClock
from tests.properties.stepping import stop_here
from tests.properties.tasks import HOST, MODES, SteppedMemory
from tests.world.fakes import START, DictMemory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store
    from tests.properties.airflow_model import DagRun

PREVIOUS_FOR = timedelta(hours=8)
FIRST_DELIVERY = timedelta(minutes=5)
PENDING = timedelta(hours=1)
POLL = 15.0
RECEIVER_READS = 3
"""How often the probe task looks whether a receiver accepts both secrets."""


class Skipped(FeaturebaseError):
    """The task, and so the run, was skipped."""


class PairTasks:
    """Does what a task of a Dag run does, and keeps the pair's memory."""

    def __init__(self, api: JudgedPair, clock: SteppedClock) -> None:
        self.api, self.clock = api, clock
        self.stores: Sequence[Store] = list(api.stores.values())
        self.variables = SteppedMemory()
        self.key = plan_key("rotation", "preflight")
        aside = DictMemory()
        aside.records = self.variables.records
        self.aside = aside
        """The same, for the judge, who takes no time."""
        for webhook_id, half in api.halves.items():
            history = History(webhook_id).seeing(half.secret.fingerprint, START.isoformat())
            WebhookMemory(aside, HOST, webhook_id).write("history", history.as_json())

    def run(self, run: DagRun, task: str, number: int) -> dict[str, Any]:
        if task == "preflight":
            return self.preflight(run, number)
        if task == "report":
            return self.report(run)
        assert run.plan is not None
        if task == "rotate":
            return self.rotate(run, run.plan, number)
        rotated = run.outcome
        if rotated is None:
            raise PlanUnreadable(run.plan.webhook_id, "rotate left no result")
        if task == "probe":
            return self.probe(rotated)
        if task == "activate":
            return self.activate(run, rotated)
        if task == "cut_over":
            return self.cut_over(run, rotated.plan)
        return self.push(rotated, task.removeprefix("push."))

    # The records.

    def memory_of(self, webhook_id: str) -> WebhookMemory:
        return WebhookMemory(self.variables, HOST, webhook_id)

    def records(self, *, strict: bool = False) -> PairRecords:
        def tolerate(problem: MemoryUnknown) -> None:
            assert problem.retry_helps

        return PairRecords.read(
            IDS,
            memory_of=self.memory_of,
            recall=lambda memory: recall(memory, tolerate=None if strict else tolerate),
            managed_from="https://airflow.example",
            tolerate=None if strict else tolerate,
            clock=self.clock.in_a_try,
        )

    def moves(self) -> Moves:
        """What runs have recorded, for the judge."""
        return Moves.read(WebhookMemory(self.aside, HOST, pair_id(IDS)))

    def known(self) -> set[str]:
        """Fingerprints that a run which begins now would take for the pair's, for the judge."""
        halves = (WebhookMemory(self.aside, HOST, webhook_id) for webhook_id in IDS)
        return {known for memory in halves for known in recall(memory).known} | self.api.secrets

    # The tasks.

    def preflight(self, run: DagRun, number: int) -> dict[str, Any]:
        mode, this_run = MODES[run.kind], replace(run.this_run, later_try=number > 1)
        records = self.records(strict=True)
        left = run.outcome
        kept = None
        if mode in MOVING:
            kept = own_plan(
                records.memory,
                self.key,
                this_run,
                of_result=lambda: left.plan if left is not None else None,
                rotate_was_started=lambda: bool(run.tries["rotate"]),
            )
        now = self.clock.server_now()
        pair = records.reader(self.api, now, patience=15.0).read()
        plan = kept or plan_pair(
            pair,
            this_run,
            records,
            plan_key=self.key,
            host=HOST,
            mode=mode,
            now=self.clock.server_now(),
            previous_for=PREVIOUS_FOR,
        )
        if is_untouched(plan, pair):
            live = pair.live or pair.webhooks[0]
            checks = check_stores(self.stores, records.rule(plan), current=live.fingerprint, secret=secret_of(live))
            problems = [str(check.problem) for check in checks if check.problem is not None]
            if problems and mode != "distribute":
                raise StoresNotReady(plan.webhook_id, "; ".join(problems))
            if mode in ("rotate", "dry_run"):
                stores = Found.of(live, HOST).with_stores(checks).stores or ()
                check_live_first(plan.webhook_id, live.fingerprint, stores)
            if mode != "distribute":
                self.ask_receivers(live)
            ours = [check.fingerprint for check in checks if check.ours and check.fingerprint]
            plan = replace(plan, known=tuple(dict.fromkeys((*plan.known, *ours))))
        if plan.mode in MOVING:
            plan = records.memory.keep_plan(self.key, plan)
        return plan.as_json()

    def rotate(self, run: DagRun, plan: RotationPlan, number: int) -> dict[str, Any]:
        if plan.mode == "dry_run":
            raise Skipped
        memory = self.memory_of(plan.webhook_id)
        history, records = recall(memory), self.records()

        def may_post() -> None:
            if not plan.is_same_as(records.memory.plan(self.key)):
                raise RefreshRefused(plan.webhook_id, "the plan is another run's by now")

        swap = CompareAndSwap(
            api=self.api,
            plan=plan,
            order=records.orders(self.clock.server_now())[plan.webhook_id],
            grace=GRACE,
            later_attempt=number > 1,
            newer=history.refreshed_after(plan.planned_at),
            doubtful=plan.doubtful(self.clock.server_now()),
            log=lambda: read_refreshes_since(self.api, plan),
            clock=self.clock.in_a_try,
        )
        outcome = rotate_pair(
            swap,
            self.stores,
            records.rule(plan).knowing(known=history.known),
            records.source(self.api, plan, PREVIOUS_FOR, now=self.clock.server_now, own_order=swap.order),
            server_now=self.clock.server_now,
            leaked=records.leaked_by_now,
            may_post=may_post,
        )
        self.keep_history(memory, recall(memory).after_rotation(outcome, run=run.this_run.mark))
        drained = drained_by(outcome, self.records().moves)
        if drained is not None:
            keep_move(self.memory_of(pair_id(IDS)), "drained", drained)
        return outcome.as_json()

    def keep_history(self, memory: WebhookMemory, history: History) -> None:
        memory.write("history", history.as_json())

    def push(self, rotated: RotationOutcome, label: str) -> dict[str, Any]:
        records = self.records()
        store = self.api.stores[label]
        source = records.source(self.api, rotated.plan, PREVIOUS_FOR, now=self.clock.server_now, rotated=rotated)
        pushed = push_until_agreed(source, store.arm(), rule_for(store, records.rule(rotated.plan, rotated)))
        result = StoreOutcome(
            label, store.target, "written" if pushed.changed else "unchanged", pushed.webhook.fingerprint
        )
        return asdict(result)

    def probe(self, rotated: RotationOutcome) -> dict[str, Any]:
        plan, records = rotated.plan, self.records()
        source = records.source(self.api, plan, PREVIOUS_FOR, now=self.clock.server_now, rotated=rotated)
        pair = source.reader.read()
        _, wanted = source.wanted(pair)
        halves = [webhook for half in wanted.needed if (webhook := pair.get(half.webhook_id)) is not None]
        try:
            for _ in range(RECEIVER_READS):
                for store in self.api.stores.values():
                    for _ in range(2):
                        stop_here()
                        store.receiver.step()
            for webhook in halves:
                self.ask_receivers(webhook)
        except ProbeFailed:
            self.take_back(plan, records)
            raise
        return {"halves": {webhook.id: {"fingerprint": webhook.fingerprint} for webhook in halves}}

    def take_back(self, plan: RotationPlan, records: PairRecords) -> str:
        now = self.clock.server_now
        return take_back(self.api, plan, records, self.stores, PREVIOUS_FOR, now=now, say=lambda text: None)

    def ask_receivers(self, webhook: Webhook) -> None:
        """One event, signed with the webhook's secret, for every receiver."""
        stop_here()
        for store in self.api.stores.values():
            if webhook.fingerprint not in store.receiver.accepts:
                raise ProbeFailed(webhook.id, f"the receiver of {store.label} refuses {webhook.fingerprint}")

    def activate(self, run: DagRun, rotated: RotationOutcome) -> dict[str, Any]:
        plan = rotated.plan
        if plan.mode not in MOVING or pair_of(plan).was_live == plan.webhook_id:
            return {"at": None}
        records = self.records(strict=True)
        at = Activation(
            self.api,
            rotated,
            records,
            records.source(self.api, plan, PREVIOUS_FOR, now=self.clock.server_now, rotated=rotated),
            self.stores,
            plan_key=self.key,
            proven=self.proven(run).get(plan.webhook_id),
            probe=self.ask_receivers,
            now=self.clock.server_now,
            say=lambda text: None,
        ).run()
        return {"at": at}

    def proven(self, run: DagRun) -> Mapping[str, str]:
        probed = run.xcom.get("probe", {}).get("halves", {})
        return {webhook_id: str(outcome["fingerprint"]) for webhook_id, outcome in probed.items()}

    def cut_over(self, run: DagRun, plan: RotationPlan) -> dict[str, Any]:
        if pair_of(plan).was_live == plan.webhook_id:
            return {"moved": False}
        watched: Mapping[str, Any] = {}
        seen: str | None = None
        while True:  # each round is a worker that takes the steps that are due, and then the triggerer that watches
            records = self.records()
            watch = watch_of(
                plan,
                records.moves,
                self.proven(run),
                now=self.clock.server_now(),
                first_delivery=FIRST_DELIVERY,
                pending=PENDING,
                watched=watched,
            )
            steps = CutOverSteps(
                self.api,
                plan,
                records.memory,
                records.source(self.api, plan, PREVIOUS_FOR, now=self.clock.server_now),
                records.rule(plan),
                watch,
                records.leaked_by_now,
                self.clock.server_now,
                lambda text: None,
                self.clock.in_a_try,
            )
            while (step := steps.look(seen)).kind != "wait":
                seen = None
                result = steps.take(step, self.stores)
                if result is not None:
                    return result
            watch = CutOverWatch(watch.cut_over, watch.replaced, **watch.state)
            seen = self.triggerer(plan, watch)
            watched = json.loads(json.dumps(watch.state))

    def triggerer(self, plan: RotationPlan, watch: CutOverWatch) -> str:
        failures = 0
        while True:
            self.clock.in_a_try.sleep(POLL)
            found = []
            try:
                for webhook_id in (watch.cut_over.old, watch.cut_over.new):
                    try:
                        found.append(self.api.get_webhook(webhook_id))
                    except WebhookNotFound:
                        continue
            except ApiError:
                failures += 1
                if failures >= MAX_POLL_FAILURES:
                    raise CutOverUnread(plan.webhook_id, "too many reads failed") from None
                continue
            failures = 0
            step = watch.observe(Pair.of((watch.cut_over.old, watch.cut_over.new), found), now=self.clock.server_now())
            if step.kind != "wait":
                return step.kind

    def report(self, run: DagRun) -> dict[str, Any]:
        taken_back: dict[str, Any] = {"taken_back": None}
        if run.plan is None:
            return taken_back
        plan = run.plan
        if run.failed and plan.pair is not None and plan.pair.refreshes is not None:
            records = self.records()
            if records.moves.activated is None or not records.moves.activated.is_of(plan):
                taken_back["taken_back"] = self.take_back(plan, records)
        rotated = run.outcome
        if rotated is not None and rotated.plan.webhook_id != plan.webhook_id:
            return taken_back  # as the operator, which refuses results of another half
        memory = self.memory_of(plan.webhook_id)
        report = make_report(
            RunFacts(plan=plan, rotation=rotated, pushed=run.pushed(), current=self.current(plan, rotated)),
            webhook="production",
            dag_id=run.kind,
            run_id=run.run_id,
            at=self.clock.server_now().isoformat(),
            mode=run.kind,
        )
        mark = run.this_run.mark if run.tries["rotate"] else None
        self.keep_history(memory, recall(memory).after_report(report, run=mark))
        return taken_back

    def current(self, plan: RotationPlan, rotated: RotationOutcome | None) -> str | None:
        """Fingerprint of the half's secret at the end; None if it can't be read, which does not fail the report."""
        order = order_of(plan, rotated, recall(self.memory_of(plan.webhook_id)), self.clock.server_now())
        try:
            return read_current(self.api, plan.webhook_id, order, patience=15.0, clock=self.clock.in_a_try).fingerprint
        except FeaturebaseError:
            return None
