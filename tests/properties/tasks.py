"""The rotation's tasks without Airflow: the core, called as the operators call it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.convergence import WriteRule
from featurebase_provider.rotation.distribution import StoreOutcome, rule_for
from featurebase_provider.rotation.errors import StoresNotReady
from featurebase_provider.rotation.lineage import Lineage
from featurebase_provider.rotation.plan import Mode, RotationPlan, leaked_in, make_plan
from featurebase_provider.rotation.push import push_until_agreed
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.report import Findings, make_report
from featurebase_provider.rotation.rotate import rotate
from featurebase_provider.rotation.schedule import known_fingerprints
from tests.properties.airflow_model import DagRun, Kind, TaskTry, moment
from tests.properties.judged_world import GRACE, JudgedFeaturebase, JudgedStore, SteppedClock
from tests.properties.stepping import current_try
from tests.unit.rotation.fakes import WEBHOOK_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES: dict[Kind, Mode] = {"normal": "rotate", "distribute": "distribute", "emergency": "emergency"}


class Tasks:
    """Does what a task of a Dag run does, and keeps the asset events."""

    def __init__(self, api: JudgedFeaturebase, clock: SteppedClock, stores: Sequence[JudgedStore]) -> None:
        self.api, self.clock, self.stores = api, clock, stores
        self.plans: list[dict[str, Any]] = []
        # An earlier run has brought the stores to where they are.
        self.reports: list[dict[str, Any]] = [{"webhook_id": WEBHOOK_ID, "after": api.secret.fingerprint}]

    def run(self, run: DagRun, task: str, number: int) -> dict[str, Any]:
        running = current_try()
        assert isinstance(running, TaskTry)
        running.leaked = self.leaked()
        if task == "preflight":
            return self.preflight(run)
        if task == "rotate":
            return self.rotate(run, number)
        if task == "report":
            return self.report(run)
        return self.push(run, task.removeprefix("push."))

    def preflight(self, run: DagRun) -> dict[str, Any]:
        if run.plan is not None:
            return run.plan.as_json()
        plan = make_plan(
            self.api.get_webhook(WEBHOOK_ID),
            run_id=run.run_id,
            dag_id=run.kind,
            host="https://do.featurebase.app",
            mode=MODES[run.kind],
            planned_at=self.clock.server_now().isoformat(),
            known=known_fingerprints([*self.reports, *self.plans], WEBHOOK_ID),
            leaked=self.leaked(),
        )
        if run.kind == "normal":
            checks = check_stores(self.stores, self.rule(plan), current=plan.before)
            problems = [str(check.problem) for check in checks if check.problem is not None]
            if problems:
                raise StoresNotReady(WEBHOOK_ID, "; ".join(problems))
        return plan.as_json()

    def leaked(self) -> frozenset[str]:
        return leaked_in([*self.plans, *self.reports], WEBHOOK_ID)

    def rotate(self, run: DagRun, number: int) -> dict[str, Any]:
        assert run.plan is not None
        # The run's own report may have told more since, before somebody cleared the run.
        told = known_fingerprints(self.reports, WEBHOOK_ID) if number > 1 else ()
        plan = replace(run.plan, known=tuple(dict.fromkeys((*run.plan.known, *told))))
        swap = CompareAndSwap(
            api=self.api,
            plan=plan,
            grace=GRACE,
            later_attempt=number > 1,
            sleep=self.clock.sleep_in_a_try,
            monotonic=self.clock.monotonic,
        )
        return rotate(
            swap,
            self.stores,
            self.rule(plan),
            server_now=self.clock.server_now,
            wall=self.clock.wall,
            require_all=run.kind != "emergency",
            leaked=self.leaked,
        ).as_json()

    def push(self, run: DagRun, label: str) -> dict[str, Any]:
        outcome = run.outcome
        assert outcome is not None
        plan = outcome.plan
        store = next(one for one in self.stores if one.label == label)
        moved = outcome.after != plan.before
        lineage = (
            Lineage(replaced={plan.before, *plan.leaked}, newest=outcome.after, updated_at=moment(outcome.updated_at))
            if moved
            else Lineage()
        )
        pushed = push_until_agreed(
            self.api,
            WEBHOOK_ID,
            store.arm(),
            lineage,
            rule_for(store, self.rule(plan, outcome.after, *known_fingerprints(self.reports, WEBHOOK_ID))),
            sleep=self.clock.sleep_in_a_try,
            monotonic=self.clock.monotonic,
        )
        result = StoreOutcome(
            label, store.target, "written" if pushed.changed else "unchanged", pushed.webhook.fingerprint
        )
        return asdict(result)

    def report(self, run: DagRun) -> dict[str, Any]:
        report = make_report(
            Findings(
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
        self.reports.append(json.loads(json.dumps(report.as_json())))
        return self.reports[-1]

    def rule(self, plan: RotationPlan, *also_known: str) -> WriteRule:
        return WriteRule(
            webhook_id=WEBHOOK_ID,
            managed_from="https://airflow.example",
            known=frozenset({plan.before, *plan.known, *also_known}),
            previous=plan.previous,
            leaked=frozenset(plan.leaked) | self.leaked(),
        )

    def is_known(self, store: JudgedStore) -> bool:
        """Whether a run that begins now would take the store's value for this webhook's."""
        known = {*known_fingerprints(self.reports, WEBHOOK_ID), self.api.secret.fingerprint}
        return store.value is None or store.value.fingerprint in known
