"""Writes a report for every outcome, including failed and dry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider import airflow_compat, operators, rotation
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.assets import EVENTS, report_asset
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.links import FeaturebaseWebhookLink, RotationReportLink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.config import NotifyConfig
    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.pair_report import PairFacts
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.refresh_count import RefreshCount
    from featurebase_provider.rotation.report import RotationReport
    from featurebase_provider.rotation.report_tables import TaskRow
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.run_facts import EndState


class RotationReportOperator(FeaturebaseOperator):
    """Write the report to the log, to XCom, and as an event of ``featurebase://webhooks/<webhook>/rotation-report``.

    Use it as a teardown with the trigger rule ``all_done``, so that it runs for every outcome and a failed run stays
    failed.

    :param preflight_task_id: the preflight task of the same Dag run.
    :param rotate_task_id: its rotate task.
    :param push_task_ids: its push tasks, by store label.
    :param probe_task_id: its probe task, or None.
    :param verify_task_id: its delivery health sensor, or None.
    :param task_ids: the tasks of the rotation, if the Dag has other tasks too; None for all tasks.
    :param mode: the run's mode. (templated)
    :param reason: the reason for the run. (templated)
    :param approve_task_id: its approve task, or None.
    :param notify: who is told of failure and success; see :class:`~featurebase_provider.config.NotifyConfig`.
    :returns: the report; see :class:`~featurebase_provider.rotation.report.RotationReport`.
    """

    template_fields: Sequence[str] = (*FeaturebaseOperator.template_fields, "mode", "reason")
    operator_extra_links = (FeaturebaseWebhookLink(), RotationReportLink())
    stat = "report"

    def __init__(
        self,
        *,
        preflight_task_id: str,
        rotate_task_id: str,
        push_task_ids: dict[str, str],
        probe_task_id: str | None = None,
        verify_task_id: str | None = None,
        task_ids: Sequence[str] | None = None,
        mode: str = "",
        reason: str = "",
        notify: Sequence[NotifyConfig] = (),
        approve_task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.add_outlets([EVENTS])
        self.notify = notify
        self.approve_task_id = approve_task_id
        self.preflight_task_id = preflight_task_id
        self.rotate_task_id = rotate_task_id
        self.push_task_ids = push_task_ids
        self.probe_task_id = probe_task_id
        self.verify_task_id = verify_task_id
        self.task_ids = task_ids
        self.mode = mode
        self.reason = reason

    def run(self, context: Context) -> dict[str, Any]:
        """Make the report, log it, record it in the history, and emit the event."""
        raw_plan = operators.context.pulled(context, self.preflight_task_id)
        planned = rotation.plan.RotationPlan.from_json
        plan = planned(raw_plan, webhook_id=self.webhook_id) if raw_plan is not None else None
        rotated = self.left_by_rotate(context, self.rotate_task_id)
        history = self._history(context, plan)
        by_run = self._refreshes(context, plan, rotated, history)
        now = operators.end_state.webhook_at_end(
            self.hook,
            plan,
            rotated,
            history,
            ask_log=by_run != 0 or rotated is not None,
            say=self.log.warning,
        )
        refreshes = rotation.refresh_count.RefreshCount(by_run)
        if now.log is not None:
            refreshes = refreshes.with_log(now.log)
        report = self._report(context, plan, rotated, now, refreshes)
        self._show(report)
        if plan is None or history is not None:
            self._keep_records(context, plan, history, report)
        operators.figures.tell_of_run(report)
        result = report.as_json()
        context["outlet_events"][EVENTS].add(report_asset(self.display_name), extra=result)
        if self.notify:
            from featurebase_provider.operators.notify import notify_of_run  # not loaded when a Dag file is parsed

            notify_of_run(context, self.notify, result)
        return result

    def _show(self, report: RotationReport) -> None:
        """What a person needs first in the log, then the details, which Airflow's UI shows folded."""
        say = self.log.info if report.outcome in rotation.advice.DONE else self.log.warning
        say("%s: %s. %s", report.webhook, report.outcome.replace("_", " "), report.advice)
        if report.cause:
            self.log.info("Cause: %s", report.cause)
        for store in report.stores:
            (self.log.info if store.holds_secret else self.log.warning)("%s", rotation.report_tables.store_line(store))
        self.log.info("::group::Details")
        self.log.info("Rotation report\n%s", report.as_text())
        self.log.info("::endgroup::")

    def _report(
        self,
        context: Context,
        plan: RotationPlan | None,
        rotated: RotationOutcome | None,
        now: EndState,
        refreshes: RefreshCount,
    ) -> RotationReport:
        tasks = operators.end_state.tasks_of(context, self._covers)
        states = {row.task_id: row for row in tasks}
        preflight, rotate = states.get(self.preflight_task_id), states.get(self.rotate_task_id)
        probe = operators.context.pulled(context, self.probe_task_id)
        findings = rotation.run_facts.RunFacts(
            plan=plan,
            rotation=rotated,
            pushed=self._pushed(context, rotated, states),
            probe=probe,
            delivery=operators.context.pulled(context, self.verify_task_id),
            current=now.fingerprint,
            gone=now.gone,
            receiver_exposure_ms=probe.get("receiver_exposure_ms") if probe else None,
            status=now.status,
            found=rotation.found.Found.from_json(
                operators.finding.finding_of(context, self.preflight_task_id).get("found")
            ),
            refreshes=refreshes,
            pair=self.pair_facts(context, plan, tasks),
            failing=now.failing,
            approval=rotation.approval.Approval.from_json(operators.context.pulled(context, self.approve_task_id)),
        )
        return rotation.report.make_report(
            findings,
            webhook=self.display_name,
            dag_id=context["ti"].dag_id,
            run_id=context["run_id"],
            at=now.at.isoformat(),
            mode=one_line(str(self.mode or ""), 60) or None,
            tasks=tasks,
            skipped=(preflight is not None and preflight.state == "skipped") or self._rejected(states, plan, now),
            reason=one_line(str(self.reason or ""), 500),
            rotate_began=rotate is not None and rotate.state in operators.context.STARTED,
            by=operators.context.triggered_by(context),
            task_id=context["ti"].task_id,
            map_index=airflow_compat.branch_of(context),
        )

    def _rejected(self, states: Mapping[str, TaskRow], plan: RotationPlan | None, now: EndState) -> bool:
        """Whether somebody rejected the run, and the secret is the one from before."""
        approve = states.get(self.approve_task_id or "")
        rejected = approve is not None and approve.state == "skipped"
        return rejected and plan is not None and now.fingerprint == plan.before

    def pair_facts(self, context: Context, plan: RotationPlan | None, tasks: Sequence[TaskRow]) -> PairFacts | None:
        """Both halves of a pair at the end of the run; None for a single webhook."""
        return None

    def _covers(self, task_id: str) -> bool:
        """Whether a task of the Dag run is one of this rotation's."""
        return self.task_ids is None or task_id in self.task_ids

    def _history(self, context: Context, plan: RotationPlan | None) -> History | None:
        """What earlier runs recorded; None if the record can't be read, and therefore must not be overwritten."""
        if plan is None:
            return None
        try:
            return self.recall(context, operators.memory.memory_of(context, plan.host, plan.webhook_id), strict=True)
        except rotation.errors.MemoryUnknown as exc:
            self.warn_unknown(exc)
            return None

    def _keep_records(
        self, context: Context, plan: RotationPlan | None, history: History | None, report: RotationReport
    ) -> None:
        """Record what later runs must know, and the run itself for the audit's report, which shows a year of them."""
        try:
            if plan is not None and history is not None:
                after = history.after_report(report, run=self._mark(context, report))
                operators.memory.memory_of(context, plan.host, plan.webhook_id).write("history", after.as_json())
            run = rotation.past.PastRun.of_report(report.as_json())
            if run is not None and run.outcome not in rotation.past.NOT_KEPT and report.host and report.webhook_id:
                memory = operators.memory.memory_of(context, report.host, report.webhook_id)
                rotation.past.keep_run(memory, run, rotation.past.past_runs(memory) or ())
        except rotation.errors.MemoryUnknown as exc:
            self.warn_unknown(exc)

    def _mark(self, context: Context, report: RotationReport) -> str | None:
        """The run's mark, if its rotate task was started."""
        states = {row.task_id: row.state for row in report.tasks}
        started = report.how is not None or states.get(self.rotate_task_id) in operators.context.STARTED
        return operators.context.this_run(context).mark if started else None

    def _pushed(
        self, context: Context, rotated: RotationOutcome | None, states: Mapping[str, TaskRow]
    ) -> dict[str, StoreOutcome]:
        """The push tasks' results. A store whose push task left none is unknown, whatever rotate saw before."""
        outcomes = {}
        for label, task_id in self.push_task_ids.items():
            outcome = rotation.all_stores.StoreOutcome.from_json(
                operators.end_state.ended_with(context, task_id, states)
            )
            if outcome is not None:
                outcomes[label] = outcome
            elif rotated is not None and label in rotated.stores:
                outcomes[label] = operators.end_state.unsettled(
                    rotated.stores[label], states.get(task_id, rotation.report_tables.TaskRow(task_id, None))
                )
        return outcomes

    def _refreshes(
        self, context: Context, plan: RotationPlan | None, rotated: RotationOutcome | None, history: History | None
    ) -> int | None:
        """How many refreshes this Dag run knows it caused; None if it can't tell."""
        run = operators.context.this_run(context)
        if plan is None or not plan.refreshes:
            may_refresh = plan is None and self.mode not in ("distribute", "dry_run", "revert")
            return None if may_refresh and run.cleared else 0  # an earlier try had a plan, perhaps
        recorded = len(history.refreshed_after(plan.planned_at, by=run.name)) if history is not None else 0
        known = rotated.refreshes if rotated is not None else self._known_without_result(context, history)
        return max(recorded, known) if known is not None else recorded or None

    def _known_without_result(self, context: Context, history: History | None) -> int | None:
        """What a rotate task without a result says of its refreshes: 0 if it was not started."""
        word = operators.finding.finding_of(context, self.rotate_task_id).get("found")
        if isinstance(word, dict):
            said = word.get("refreshes")
            return said if isinstance(said, int) else None
        unheard_of = rotation.history.History(self.webhook_id) if history is None else history
        started = self.rotate_was_started(context, self.rotate_task_id, unheard_of)
        return None if started or operators.context.this_run(context).cleared else 0
