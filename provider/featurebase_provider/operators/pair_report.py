"""Writes the report of a pair's run, after the stores were brought back if the deliveries did not move."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.pair_task import PairTask
from featurebase_provider.operators.report import RotationReportOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.rotation.pair_report import PairFacts
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.report_tables import TaskRow
    from featurebase_provider.rotation.store import Store


class PairReportOperator(PairTask, RotationReportOperator):
    """Write the report of a pair's run; see :class:`~featurebase_provider.operators.report.RotationReportOperator`.

    If a task failed before the refreshed half was set active, its secret is first removed from the stores again, or the
    report says where it was left.

    :param stores: the stores.
    :param cut_over_task_id: the run's cut_over task.
    """

    def __init__(
        self,
        *,
        stores: Sequence[Store | Mapping[str, Any]],
        cut_over_task_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stores = stores
        self.cut_over_task_id = cut_over_task_id

    def pair_facts(self, context: Context, plan: RotationPlan | None, tasks: Sequence[TaskRow]) -> PairFacts | None:
        """Both halves at the end; what can't be read is left out, since the report is written in any case."""
        if plan is None or plan.pair is None:
            return None
        moved = operators.context.pulled(context, self.cut_over_task_id) or {}
        failed = any(row.state in ("failed", "upstream_failed") for row in tasks)
        statuses: dict[str, str] = {}
        gone: tuple[str, ...] = ()
        back = None
        now = datetime.now(tz=timezone.utc)
        try:
            with self.hook.get_conn() as client:
                records = self.pair_records(context, plan.host)
                begun = records.moves.activated_by(plan)
                if failed and plan.pair.refreshes is not None and (begun is None or not begun.done):
                    back = rotation.take_back.take_back(
                        client,
                        plan,
                        records,
                        operators.stores.resolve_stores(self.stores),
                        self.previous_for,
                        now=client.clock.now,
                        say=self.log.warning,
                    )
                source = records.source(client, plan, self.previous_for, now=client.clock.now, may_miss=True)
                pair = source.reader.read()
                now = client.clock.now()
                statuses = {webhook.id.lower(): one_line(webhook.status, 20) for webhook in pair.webhooks}
                gone = pair.gone
        except FeaturebaseError as exc:
            self.log.warning("The pair could not be read for the report: %s", exc)
            records = self.pair_records(context, plan.host)
        from featurebase_provider.featurebase.models import ACTIVE  # loaded with the client

        activated, paused = records.moves.activated_by(plan), records.moves.paused
        was_active = activated is not None and (activated.done or statuses.get(plan.webhook_id.lower()) == ACTIVE)
        has_paused = paused is not None and paused.is_of(plan) and statuses.get(paused.webhook_id.lower()) != ACTIVE
        paused_at = paused.at if paused is not None and has_paused else None
        keeps_until = datetime.fromisoformat(paused_at) + self.previous_for if paused_at else None
        return rotation.pair_report.PairFacts(
            was_live=plan.pair.was_live,
            moves_to=plan.webhook_id.lower(),
            mode=plan.mode,
            statuses=statuses,
            gone=gone,
            activated_at=activated.at if activated is not None and was_active else None,
            paused_at=paused_at,
            keeps_until=keeps_until.isoformat() if keeps_until is not None and keeps_until > now else None,
            polls=moved.get("polls"),
            refused=moved.get("refused"),
            taken_back=back,
        )
