"""Leave an audit trail for every outcome, failed and dry runs included."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import task_rows
from featurebase_provider.featurebase.errors import ApiError, FeaturebaseError, WebhookNotFound
from featurebase_provider.operators.assets import EVENTS, report_asset
from featurebase_provider.operators.base import STARTED, FeaturebaseOperator, pulled, this_run
from featurebase_provider.operators.memory import memory_of
from featurebase_provider.rotation.distribution import StoreOutcome
from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.health import one_line
from featurebase_provider.rotation.history import lineage_of
from featurebase_provider.rotation.lineage import read_current, secret_of
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.report import Findings, TaskRow, make_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.report import RotationReport
    from featurebase_provider.rotation.rotate import RotationOutcome

STALE_SECONDS = 10.0
"""How long the report waits for a read that is not stale."""


class RotationReportOperator(FeaturebaseOperator):
    """Write the report as log table, XCom and event of ``featurebase://webhooks/<webhook>/rotation-report``.

    Made to be an all-done teardown, so that it runs for every outcome and leaves a failed run failed.

    :param preflight_task_id: the preflight task of the same Dag run.
    :param rotate_task_id: its rotate task.
    :param push_task_ids: its push tasks, by store label.
    :param probe_task_id: its probe task, or None.
    :param verify_task_id: its delivery health sensor, or None.
    :param task_ids: the tasks that belong to the rotation, in a Dag that has others too; None for all.
    :param mode: what the run was asked to do. (templated)
    :param reason: why. (templated)
    :returns: the report; see :class:`~featurebase_provider.rotation.report.RotationReport`.
    """

    template_fields: Sequence[str] = (*FeaturebaseOperator.template_fields, "mode", "reason")
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.add_outlets([EVENTS])
        self.preflight_task_id = preflight_task_id
        self.rotate_task_id = rotate_task_id
        self.push_task_ids = push_task_ids
        self.probe_task_id = probe_task_id
        self.verify_task_id = verify_task_id
        self.task_ids = task_ids
        self.mode = mode
        self.reason = reason

    def run(self, context: Context) -> dict[str, Any]:
        """Gather, sum up, log, remember, emit."""
        raw_plan = pulled(context, self.preflight_task_id)
        plan = RotationPlan.from_json(raw_plan, webhook_id=self.webhook_id) if raw_plan is not None else None
        rotated = self.left_by_rotate(context, self.rotate_task_id)
        history = self._history(context, plan)
        current, gone, now = self._current(plan, rotated, history)
        report = self._report(context, plan, rotated, current=current, gone=gone, at=now.isoformat())
        self.log.info("Rotation report\n%s", report.as_text())
        if plan is not None and history is not None:
            self._keep_history(context, plan, history, report)
        context["outlet_events"][EVENTS].add(report_asset(self.display_name), extra=report.as_json())
        return report.as_json()

    def _report(
        self,
        context: Context,
        plan: RotationPlan | None,
        rotated: RotationOutcome | None,
        *,
        current: str | None,
        gone: bool,
        at: str,
    ) -> RotationReport:
        order = list(context["dag"].task_dict)
        rows = sorted(task_rows(context), key=lambda row: order.index(row[0]) if row[0] in order else len(order))
        tasks = tuple(TaskRow(*row) for row in rows if self._covers(row[0]) and row[0] != context["ti"].task_id)
        states = {row.task_id: row.state for row in tasks}
        probe = pulled(context, self.probe_task_id)
        findings = Findings(
            plan=plan,
            rotation=rotated,
            pushed=self._pushed(context),
            probe=probe,
            delivery=pulled(context, self.verify_task_id),
            current=current,
            gone=gone,
            receiver_exposure_ms=probe.get("receiver_exposure_ms") if probe else None,
        )
        return make_report(
            findings,
            webhook=self.display_name,
            dag_id=context["ti"].dag_id,
            run_id=context["run_id"],
            at=at,
            mode=one_line(str(self.mode or ""), 60) or None,
            tasks=tasks,
            skipped=states.get(self.preflight_task_id) == "skipped",
            reason=one_line(str(self.reason or ""), 500),
        )

    def _covers(self, task_id: str) -> bool:
        """Whether a task of the Dag run is one of this rotation's."""
        return self.task_ids is None or task_id in self.task_ids

    def _history(self, context: Context, plan: RotationPlan | None) -> History | None:
        """What earlier runs tell; None where that can't be told, and so must not be written anew."""
        if plan is None:
            return None
        try:
            return self.recall(context, memory_of(context, plan.host, plan.webhook_id), strict=True)
        except MemoryUnknown as exc:
            self.not_told(exc)
            return None

    def _keep_history(self, context: Context, plan: RotationPlan, history: History, report: RotationReport) -> None:
        states = {row.task_id: row.state for row in report.tasks}
        started = report.how is not None or states.get(self.rotate_task_id) in STARTED
        after = history.after_report(report, run=this_run(context).mark if started else None)
        try:
            memory_of(context, plan.host, plan.webhook_id).write("history", after.as_json())
        except MemoryUnknown as exc:
            self.not_told(exc)

    def _pushed(self, context: Context) -> dict[str, StoreOutcome]:
        outcomes = {}
        for label, task_id in self.push_task_ids.items():
            outcome = StoreOutcome.from_json(pulled(context, task_id))
            if outcome is not None:
                outcomes[label] = outcome
        return outcomes

    def _current(
        self, plan: RotationPlan | None, rotated: RotationOutcome | None, history: History | None
    ) -> tuple[str | None, bool, datetime]:
        """Featurebase's fingerprint now, whether the webhook is gone, and the time there, or here if that is unknown.

        A report is written in any case.
        """
        here = datetime.now(tz=timezone.utc)
        if plan is None:
            return None, False, here
        client: Client | None = None
        try:
            with self.hook.get_conn() as client:
                return current_fingerprint(client, plan, rotated, history), False, client.clock.now()
        except FeaturebaseError as exc:
            why = exc.summary if isinstance(exc, ApiError) else exc
            self.log.warning("Featurebase could not be read for the report: %s", why)
            return None, isinstance(exc, WebhookNotFound), client.clock.now() if client is not None else here


def current_fingerprint(
    client: Client, plan: RotationPlan, rotated: RotationOutcome | None, history: History | None = None
) -> str:
    """What Featurebase's secret is now, as far as a read can be told from a stale one.

    :raises StaleRead: it goes on showing a secret that this Dag run, or another one, has seen replaced.
    :raises SecretMissing: the answer carries no secret.
    :raises ApiError: Featurebase could not be read.
    """
    lineage = lineage_of(plan, rotated, history, client.clock.now())
    return secret_of(read_current(client, plan.webhook_id, lineage, patience=STALE_SECONDS)).fingerprint
