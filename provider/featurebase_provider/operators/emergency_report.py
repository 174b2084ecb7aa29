"""Reports an emergency: one report per webhook, and one table for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from featurebase_provider import operators, rotation
from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.operators.base import task_errors, without_frames
from featurebase_provider.operators.emergency import EmergencyTask
from featurebase_provider.operators.report import RotationReportOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.pair_report import PairFacts
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.report_tables import TaskRow
    from featurebase_provider.rotation.rotate import RotationOutcome


class EmergencyReportOperator(EmergencyTask, RotationReportOperator):
    """Write the report of the branch's webhook, for every outcome; skipped for a name that is not configured.

    :param push_ids: the branch's tasks that write stores, in running order.
    """

    template_fields: Sequence[str] = (*EmergencyTask.template_fields, "mode", "reason")

    def __init__(self, *, push_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(push_task_ids={}, **kwargs)
        self.push_ids = push_ids

    def run(self, context: Context) -> dict[str, Any]:
        """Report, unless the webhook is not configured."""
        if self.display_name not in self.webhooks:
            raise AirflowSkipException("Skipped: the rotation file has no valid entry of this name")
        self.notify = self.chosen().notify
        return super().run(context)

    def pair_facts(self, context: Context, plan: RotationPlan | None, tasks: Sequence[TaskRow]) -> PairFacts | None:
        """Both halves of a pair at the end, and which leaked secrets are still valid."""
        from featurebase_provider.operators.pair_emergency import facts_after

        config = self.webhooks[self.display_name]
        if plan is None or config.webhook_ids is None:
            return None
        return facts_after(self, context, config, plan, self.rotate_task_id)

    def _pushed(
        self, context: Context, rotated: RotationOutcome | None, states: Mapping[str, TaskRow]
    ) -> dict[str, StoreOutcome]:
        outcomes: dict[str, StoreOutcome] = {}
        for task_id in self.push_ids:
            row = states.get(task_id, rotation.report_tables.TaskRow(task_id, None))
            result = operators.end_state.ended_with(context, task_id, states)
            if result is not None:
                stores = {
                    label: rotation.all_stores.StoreOutcome.from_json(outcome)
                    for label, outcome in result.get("stores", {}).items()
                }
                outcomes.update({label: outcome for label, outcome in stores.items() if outcome is not None})
            elif rotated is not None and not (outcomes and row.state == "upstream_failed"):
                # This task should have updated all stores, so what earlier tasks saw no longer counts for any of them.
                seen = {**rotated.stores, **outcomes}
                outcomes = {label: operators.end_state.unsettled(outcome, row) for label, outcome in seen.items()}
        return outcomes


class EmergencySummaryOperator(BaseOperator):
    """Show all webhooks in one table, and fail the Dag run unless every one is done.

    :param choose_task_id: the task that read the choice.
    :param report_task_id: the branches' report task.
    :param wrong: invalid entries of the rotation file, each with its error.
    :param file_error: everything that is wrong with the rotation file, or None.
    :returns: a row per webhook; see :class:`~featurebase_provider.rotation.emergency_summary.BranchRow`.
    :raises AirflowFailException: a webhook is not done; the message names each.
    """

    def __init__(
        self,
        *,
        choose_task_id: str,
        report_task_id: str,
        wrong: Mapping[str, str] | None = None,
        file_error: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.choose_task_id = choose_task_id
        self.report_task_id = report_task_id
        self.wrong = wrong or {}
        self.file_error = file_error

    @without_frames
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Gather, show, judge."""
        names = operators.context.result_of(context, self.choose_task_id) or []
        ti: Any = context["ti"]
        rows = []
        for index, name in enumerate(names):
            report = ti.xcom_pull(task_ids=self.report_task_id, map_indexes=index)
            rows.append(rotation.emergency_summary.BranchRow.of(name, report, wrong=self.wrong.get(name)))
        result = [row.as_json() for row in rows]
        ti.xcom_push(key="return_value", value=result)
        self.log.info("Summary\n%s", rotation.emergency_summary.summary_text(rows))
        if self.file_error:
            self.log.error("The rotation file has errors. %s", self.file_error)
        with task_errors():
            rotation.emergency_summary.check_done(rows)
        return result
