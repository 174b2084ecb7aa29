"""Makes the plan of an emergency for one webhook, at most once in a Dag run, and records what has leaked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.context import is_later_try, this_run
from featurebase_provider.operators.memory import PREFLIGHT, memory_of
from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.memory import own_plan, plan_key
from featurebase_provider.rotation.plan import RotationPlan, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.operators.base import FeaturebaseOperator
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.plan import PairBaseline


@dataclass(frozen=True)
class EmergencyPlanner:
    """Makes the plans of one branch. Variables that can't be read or written do not delay an emergency.

    :param rotate_task_id: the branch's rotate task.
    :param reason: the reason, for the report.
    """

    task: FeaturebaseOperator
    context: Context
    config: WebhookConfig
    host: str
    rotate_task_id: str
    reason: str

    def plan(
        self,
        webhook: Webhook,
        now: datetime,
        *,
        of_result: Callable[[], RotationPlan | None],
        known: Iterable[str] = (),
        pair: PairBaseline | None = None,
    ) -> RotationPlan:
        """The webhook's plan: the one that this Dag run already has, or else a new one, which is kept.

        Its current and all earlier secrets are recorded as leaked.

        :param of_result: returns the plan in the result of the run's rotate task, if it left one.
        :param known: further fingerprints of the webhook's secrets.
        :param pair: both webhooks of a pair.
        :raises PlanUnreadable: the run's plan is gone, and it may already have refreshed.
        :raises SecretMissing: the webhook was read without its secret.
        """
        memory = memory_of(self.context, self.host, webhook.id)
        plan = self._own_plan(memory, of_result)
        if plan is not None and webhook.fingerprint != plan.before:
            self.task.log.warning(
                "The secret is %s, no longer the plan's %s. A Dag run refreshes a webhook at most once, even if it is "
                "cleared or reset: to refresh again, trigger a new run",
                webhook.fingerprint,
                plan.before,
            )
        if plan is None:
            plan = self._new_plan(webhook, now, memory, known, pair)
        key = self.task.plan_key(self.context)
        try:
            plan = memory.keep_plan(key, plan)
            # Not if a later run's plan was kept: then this may be a try that Airflow lost track of, and the secret that
            # it records as leaked may be the one that the later run has just created.
            if plan.is_same_as(memory.plan(key)):
                memory.add_leaked(plan.leaked)
        except MemoryUnknown as exc:
            self.task.log.error(
                "%s. The emergency continues; a later try may refresh once more, and other runs may not know yet what "
                "has leaked",
                exc.summary,
            )
        return plan

    def _own_plan(self, memory: WebhookMemory, of_result: Callable[[], RotationPlan | None]) -> RotationPlan | None:
        def started() -> bool:
            history = self.task.recall(self.context, memory)
            return self.task.rotate_was_started(self.context, self.rotate_task_id, history)

        run, key = this_run(self.context), self.task.plan_key(self.context)
        try:
            plan = own_plan(memory, key, run, of_result=of_result, rotate_was_started=started)
        except MemoryUnknown as exc:
            self.task.warn_unknown(exc)
            plan = of_result() if is_later_try(self.context) else None
        if plan is not None:
            self.task.log.info(
                "This Dag run already has a plan (secret %s); it is kept, so that the run refreshes at most once",
                plan.before,
            )
        return plan

    def _new_plan(
        self,
        webhook: Webhook,
        now: datetime,
        memory: WebhookMemory,
        known: Iterable[str],
        pair: PairBaseline | None,
    ) -> RotationPlan:
        own = plan_key(self.config.dag_id, PREFLIGHT)
        history = self.task.recall(self.context, memory, plan_keys=[own])
        plan = make_plan(
            webhook,
            this_run(self.context),
            host=self.host,
            mode="emergency",
            planned_at=now.isoformat(),
            reason=one_line(self.reason, 500),
            known=[*history.known, *known],
            leaked=history.leaked,
            stores=[store.target for store in self.config.stores],
            pair=pair,
        )
        self.task.log.warning(
            "Webhook %s (%r), %s: secret %s will be replaced at once and removed from all stores",
            webhook.id,
            one_line(webhook.name),
            webhook.status,
            plan.before,
        )
        return plan
