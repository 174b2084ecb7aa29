"""The rotation's tasks without Airflow: the core, called as the operators call it."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.all_stores import StoreOutcome, rule_for
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.current import read_current
from featurebase_provider.rotation.errors import MemoryUnknown, PlanUnreadable, RefreshRefused, StoresNotReady
from featurebase_provider.rotation.history import History, order_of
from featurebase_provider.rotation.memory import WebhookMemory, own_plan, plan_key, recall
from featurebase_provider.rotation.modes import Mode
from featurebase_provider.rotation.plan import RotationPlan, make_plan
from featurebase_provider.rotation.push import OneWebhook, push_until_agreed
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.refresh_log import read_refreshes_since
from featurebase_provider.rotation.report import make_report
from featurebase_provider.rotation.rotate import rotate
from featurebase_provider.rotation.run_facts import RunFacts
from tests.properties.airflow_model import DagRun, Kind, TaskTry
from tests.properties.judged_world import GRACE, JudgedFeaturebase, JudgedStore, SteppedClock
from tests.properties.stepping import current_try, stop_here
from tests.world.fakes import START, WEBHOOK_ID, DictMemory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featurebase_provider.rotation.one_store import WriteRule

MODES: dict[Kind, Mode] = {
    "normal": "rotate",
    "distribute": "distribute",
    "emergency": "emergency",
    "revert": "revert",
    "dry_run": "dry_run",
}
HOST = "https://do.featurebase.app"


class SteppedMemory(DictMemory):
    """Airflow's Variables: others may go on before each read and after each write; a write follows its own read.

    :param script: what becomes of the next calls: an outage, or (False) nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.script: deque[bool] = deque()

    def read(self, name: str) -> str | None:
        stop_here()
        self._may_fail(name)
        return super().read(name)

    def write(self, name: str, text: str) -> None:
        self._may_fail(name)
        super().write(name, text)
        stop_here()

    def _may_fail(self, name: str) -> None:
        if current_try() is not None and self.script and self.script.popleft():
            raise MemoryUnknown(WEBHOOK_ID, name, "could not be read or written: no answer")


class Tasks:
    """Does what a task of a Dag run does, and keeps the rotation's memory."""

    def __init__(self, api: JudgedFeaturebase, clock: SteppedClock, stores: Sequence[JudgedStore]) -> None:
        self.api, self.clock, self.stores = api, clock, stores
        self.reports: list[dict[str, Any]] = []
        variables = SteppedMemory()
        self.memory = WebhookMemory(variables, HOST, WEBHOOK_ID)
        aside = DictMemory()
        aside.records = variables.records
        self.aside = WebhookMemory(aside, HOST, WEBHOOK_ID)
        """The same, for the judge, who takes no time."""
        # An earlier run has brought the stores to where they are.
        self.aside.write("history", History(WEBHOOK_ID).seeing(api.secret.fingerprint, START.isoformat()).as_json())

    def run(self, run: DagRun, task: str, number: int) -> dict[str, Any]:
        running = current_try()
        assert isinstance(running, TaskTry)
        running.leaked = self.leaked()
        if task == "preflight":
            return self.preflight(run, number)
        if task == "rotate":
            return self.rotate(run, number)
        if task == "report":
            return self.report(run)
        return self.push(run, task.removeprefix("push."))

    def preflight(self, run: DagRun, number: int) -> dict[str, Any]:
        key, emergency = self.key(run), run.kind == "emergency"
        this_run = replace(run.this_run, later_try=number > 1)
        kept = None
        if run.kind != "distribute":
            left = run.outcome
            kept = own_plan(
                self.memory,
                key,
                this_run,
                of_result=lambda: left.plan if left is not None else None,
                rotate_was_started=lambda: bool(run.tries["rotate"]),
            )
        history = recall(self.memory, plan_keys=[key, plan_key("rotation", "preflight")])
        webhook = self.api.get_webhook(WEBHOOK_ID)
        now = self.clock.server_now()
        if not emergency:
            webhook = read_current(self.api, WEBHOOK_ID, history.order(now), first=webhook, clock=self.clock.in_a_try)
            now = self.clock.server_now()
        plan = kept or make_plan(
            webhook,
            this_run,
            host=HOST,
            mode=MODES[run.kind],
            planned_at=now.isoformat(),
            known=history.known,
            leaked=history.leaked,
            older=() if emergency else history.older_than(str(webhook.fingerprint)),
        )
        if run.kind == "normal" and webhook.fingerprint == plan.before:
            checks = check_stores(self.stores, self.rule(plan, history), current=plan.before)
            problems = [str(check.problem) for check in checks if check.problem is not None]
            if problems:
                raise StoresNotReady(WEBHOOK_ID, "; ".join(problems))
        if plan.refreshes:
            plan = self.memory.keep_plan(key, plan)
        if emergency and plan.is_same_as(self.memory.plan(key)):
            self.memory.add_leaked(plan.leaked)
        return plan.as_json()

    def key(self, run: DagRun) -> str:
        return plan_key(run.this_run.dag_id, "preflight")

    def leaked(self) -> frozenset[str]:
        return self.aside.leaked()

    def rotate(self, run: DagRun, number: int) -> dict[str, Any]:
        assert run.plan is not None
        plan, history = run.plan, recall(self.memory)

        def may_post() -> None:
            if run.kind == "normal" and not plan.is_same_as(self.memory.plan(self.key(run))):
                raise RefreshRefused(WEBHOOK_ID, "the plan is another run's by now")
            if run.kind == "emergency":
                self.memory.add_leaked(plan.leaked)

        swap = CompareAndSwap(
            api=self.api,
            plan=plan,
            grace=GRACE,
            later_attempt=number > 1,
            newer=history.refreshed_after(plan.planned_at),
            doubtful=plan.doubtful(self.clock.server_now()),
            log=lambda: read_refreshes_since(self.api, plan),
            clock=self.clock.in_a_try,
        )
        outcome = rotate(
            swap,
            self.stores,
            self.rule(plan, history),
            server_now=self.clock.server_now,
            require_all=run.kind != "emergency",
            leaked=self.memory.leaked,
            may_post=may_post,
        )
        self.memory.write("history", recall(self.memory).after_rotation(outcome, run=run.this_run.mark).as_json())
        return outcome.as_json()

    def push(self, run: DagRun, label: str) -> dict[str, Any]:
        outcome = run.outcome
        if outcome is None:
            raise PlanUnreadable(WEBHOOK_ID, "rotate left no result")
        history = recall(self.memory)
        store = next(one for one in self.stores if one.label == label)
        order = order_of(outcome.plan, outcome, history, self.clock.server_now())
        pushed = push_until_agreed(
            OneWebhook(self.api, WEBHOOK_ID, order, self.clock.in_a_try),
            store.arm(),
            rule_for(store, self.rule(outcome.plan, history, *outcome.known)),
        )
        result = StoreOutcome(
            label, store.target, "written" if pushed.changed else "unchanged", pushed.webhook.fingerprint
        )
        return asdict(result)

    def report(self, run: DagRun) -> dict[str, Any]:
        report = make_report(
            RunFacts(
                plan=run.plan,
                rotation=run.outcome,
                pushed=run.pushed(),
                current=self.api.current.fingerprint,
            ),
            webhook="production",
            dag_id=run.kind,
            run_id=run.run_id,
            at=self.clock.server_now().isoformat(),
            mode=run.kind,
        )
        mark = run.this_run.mark if run.tries["rotate"] else None
        self.memory.write("history", recall(self.memory).after_report(report, run=mark).as_json())
        self.reports.append(json.loads(json.dumps(report.as_json())))
        return self.reports[-1]

    def rule(self, plan: RotationPlan, history: History, *also_known: str) -> WriteRule:
        rule = plan.rule("https://airflow.example", also_known=(*history.known, *also_known))
        return rule.knowing(leaked=history.leaked)

    def is_known(self, store: JudgedStore) -> bool:
        """Whether a run that begins now would take the store's value for this webhook's."""
        known = {*recall(self.aside).known, *self.leaked(), self.api.secret.fingerprint}
        return store.value is None or store.value.fingerprint in known
