"""Refreshes the paused half of a pair and writes both secrets to every store, in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider import operators, rotation
from featurebase_provider.operators.pair_task import PairTask
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.refresh import CompareAndSwap
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.store import Store


class RotatePairOperator(PairTask, RotateWebhookSecretOperator):
    """Refresh the paused half of a pair, once, and write its new secret beside the live half's to all stores.

    No delivery is signed with the new secret before the half is set active, so nothing is refused meanwhile. A retry is
    safe, and even a second refresh of a paused half would hurt nobody.

    :raises RefreshRefused: the half is not paused any more, or a store's ``current`` is not the live half's secret.
    """

    def carry_out(
        self,
        context: Context,
        swap: CompareAndSwap,
        stores: Sequence[Store],
        rule: WriteRule,
        *,
        server_now: Callable[[], datetime],
        leaked: Callable[[], frozenset[str]],
        may_post: Callable[[], None],
    ) -> RotationOutcome:
        """Refresh the half and write both secrets."""
        plan = swap.plan
        rotation.pair_records.pair_of(plan)
        records = self.pair_records(context, plan.host)
        records.check_same(plan)
        swap.order = records.orders(server_now())[plan.webhook_id.lower()]
        return rotation.pair_rotate.rotate_pair(
            swap,
            stores,
            rule.knowing(known=records.known, leaked=records.leaked),
            records.source(swap.api, plan, self.previous_for, now=server_now, own_order=swap.order),
            server_now=server_now,
            leaked=records.leaked_by_now,
            may_post=may_post,
        )

    def plan_memory(self, context: Context, plan: RotationPlan) -> WebhookMemory:
        """The pair's records, which hold the plan."""
        return self.pair_memory(context, plan.host)

    def records(self, context: Context, plan: RotationPlan, memory: WebhookMemory) -> WebhookMemory:
        """The records of the half that is refreshed."""
        return operators.memory.memory_of(context, plan.host, plan.webhook_id)

    def keep_history(
        self, context: Context, memory: WebhookMemory, outcome: RotationOutcome, previous_in: Sequence[str]
    ) -> None:
        """Record what became of both halves, and since when the stores hold the live half's secret alone."""
        super().keep_history(context, memory, outcome, previous_in)
        plan = outcome.plan
        records = self.pair_records(context, plan.host)
        try:
            self._keep_other_half(context, plan, outcome)
            drained = rotation.pair_rotate.drained_by(outcome, records.moves)
            if drained is not None:
                rotation.moves.keep_move(records.memory, "drained", drained)
        except rotation.errors.MemoryUnknown as exc:
            self.warn_unknown(exc)

    def _keep_other_half(self, context: Context, plan: RotationPlan, outcome: RotationOutcome) -> None:
        """Record the secret of the half that this run does not refresh: a person may refresh it later.

        :raises MemoryUnknown: it can't be recorded.
        """
        other = next((half for half in self.webhook_ids if half != plan.webhook_id.lower()), None)
        if other is None or outcome.beside is None:
            return
        memory = operators.memory.memory_of(context, plan.host, other)
        history = self.recall(context, memory, strict=True).seeing(outcome.beside, outcome.distributed_at)
        memory.write("history", history.as_json())
