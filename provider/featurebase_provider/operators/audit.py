"""Operators that audit all webhooks of the rotation file."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator

from featurebase_provider import airflow_compat, audit, operators, rotation
from featurebase_provider.airflow_compat import AirflowFailException, AirflowSkipException
from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.operators.assets import EVENTS, featurebase_asset, plan_asset, report_asset
from featurebase_provider.operators.base import task_errors, without_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.audit.findings import Finding
    from featurebase_provider.audit.listing import Subject
    from featurebase_provider.audit.report import AuditReport
    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.past import PastRun


def audit_asset() -> Asset:
    """The asset whose events are the audits' reports."""
    return featurebase_asset("featurebase://audit/report")


class AuditWebhooksOperator(BaseOperator):
    """Compare webhooks and their stores with Featurebase, without writing anywhere.

    It succeeds whatever it finds, so that its report becomes an event of the asset ``featurebase://audit/report``;
    :class:`AuditFindingsOperator` fails the run.

    :param webhooks: webhooks of the rotation file, or mappings with the same fields.
    :param ignore: kinds of findings that do not fail the run.
    :param time_limit: seconds after which no further store is read.
    :returns: the report; see :class:`~featurebase_provider.audit.report.AuditReport`.
    """

    ui_color = "#eef0ff"

    def __init__(
        self,
        *,
        webhooks: Sequence[WebhookConfig | Mapping[str, Any]],
        ignore: Sequence[str] = (),
        time_limit: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.add_outlets([EVENTS])
        self.webhooks = webhooks
        self.ignore = ignore
        self.time_limit = time_limit

    @without_frames
    def execute(self, context: Context) -> dict[str, Any]:
        """Audit, log the table, emit the report."""
        with task_errors():
            configs = [WebhookConfig.model_validate(webhook) for webhook in self.webhooks]
            subjects = [_subject(config) for config in configs]
            ports = audit.run.AuditPorts(
                open_client=_open_client,
                history_of=lambda subject, host, webhook_id: rotation.memory.recall(
                    operators.memory.memory_of(context, host, webhook_id),
                    plan_keys=[rotation.memory.plan_key(subject.dag_id, operators.memory.PREFLIGHT)],
                    plans_in=operators.memory.memory_of(context, host, rotation.moves.pair_id(subject.webhook_ids))
                    if subject.webhook_ids
                    else None,
                    events=lambda: operators.memory.events_of(report_asset(subject.name), plan_asset(subject.name)),
                ),
                moves_of=lambda host, ids: rotation.moves.Moves.read(
                    operators.memory.memory_of(context, host, rotation.moves.pair_id(ids))
                ),
                say=self.log.info,
                runs_of=lambda subject, host, webhook_id: _runs(context, subject, host, webhook_id),
            )
            report = audit.run.run_audit(subjects, ports, ignore=self.ignore, time_limit=self.time_limit)
        _show(self.log, report)
        operators.figures.tell_of_audit(report)
        context["outlet_events"][EVENTS].add(audit_asset(), extra=report.as_event())
        if any(config.notify for config in configs):
            from featurebase_provider.operators.notify import notify_of_audit  # not loaded when a Dag file is parsed

            notify_of_audit(context, configs, report)
        return report.as_json()


class SelectHealsOperator(BaseOperator):
    """Select the Dags whose run with ``mode=distribute`` fixes findings of an audit, for a mapped trigger task.

    A Dag that already has a run waiting is left out: that run, or the next audit, fixes the findings. A paused Dag is
    triggered anyway; its run waits until somebody unpauses the Dag, and the log says so.

    :param audit_task_id: the audit task of the same Dag run.
    :param heal: whether to fix anything; ``"True"`` as rendered text. (templated)
    :returns: arguments of ``TriggerDagRunOperator``, one mapping per Dag.
    :raises AirflowSkipException: there is nothing to fix, or ``heal`` is off.
    """

    template_fields: Sequence[str] = ("heal",)
    ui_color = "#eef0ff"

    def __init__(self, *, audit_task_id: str, heal: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audit_task_id = audit_task_id
        self.heal = heal

    @without_frames
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Choose, and say why."""
        report = _report(context, self.audit_task_id)
        by_dag: dict[str, list[Finding]] = {}
        for finding in report.open:
            if finding.heals and finding.dag_id is not None:
                by_dag.setdefault(finding.dag_id, []).append(finding)
        if not by_dag:
            raise AirflowSkipException("The audit found nothing that a run with mode=distribute would fix")
        if str(self.heal) != "True":
            raise AirflowSkipException(
                f"heal is off. A run with mode=distribute would fix findings of {', '.join(by_dag)}"
            )
        at = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
        chosen = [_trigger(dag_id, found, at) for dag_id, found in by_dag.items() if self._may_run(context, dag_id)]
        if not chosen:
            raise AirflowSkipException("Each Dag that would fix the findings already has a run waiting")
        return chosen

    def _may_run(self, context: Context, dag_id: str) -> bool:
        paused = airflow_compat.is_paused(context, dag_id)
        if airflow_compat.has_queued_run(context, dag_id):
            why = "the Dag is paused: unpause it" if paused else "that run comes first"
            self.log.warning("%s already has a run waiting, so no other one is triggered (%s)", dag_id, why)
            return False
        if paused:
            self.log.warning("%s is paused: its run waits until somebody unpauses the Dag", dag_id)
        return True


class AuditFindingsOperator(BaseOperator):
    """Fail if the audit of the same Dag run found anything that is not ignored.

    It is a separate task because a failed task emits no asset event.

    :param audit_task_id: the audit task of the same Dag run.
    :raises AirflowFailException: there are findings; the message names each kind, where, and what to do.
    """

    ui_color = "#eef0ff"

    def __init__(self, *, audit_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audit_task_id = audit_task_id

    @without_frames
    def execute(self, context: Context) -> None:
        """Fail or pass."""
        report = _report(context, self.audit_task_id)
        if report.open:
            raise AirflowFailException(summary(report.open))
        self.log.info("The audit found nothing that needs attention; the log of %s has its tables", self.audit_task_id)


def _show(log: Any, report: AuditReport) -> None:
    """What a person needs first in the log, then the tables, which Airflow's UI shows folded."""
    stores = sum(len(webhook.stores) for webhook in report.webhooks)
    what = f"{len(report.webhooks)} webhooks and {stores} stores"
    if report.open:
        log.warning("Audit of %s: %s", what, summary(report.open))
    else:
        log.info("Audit of %s: nothing needs attention", what)
    log.info("::group::Details")
    log.info("Audit\n%s", report.as_text())
    log.info("::endgroup::")


def summary(findings: Sequence[Finding]) -> str:
    """All findings in one message, by kind."""
    places: dict[str, list[str]] = {}
    for finding in findings:
        places.setdefault(finding.kind, []).append(finding.where)
    parts = [f"{kind}: {_few(where)}. {audit.findings.ADVICE.get(kind, '')}" for kind, where in places.items()]
    what = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    return f"{what}; the audit itself changed nothing. " + " ".join(parts)


def _few(places: list[str], most: int = 10) -> str:
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return "; ".join(places[:most]) + more


def _report(context: Context, task_id: str) -> AuditReport:
    raw = operators.context.pulled(context, task_id)
    if raw is None:
        raise AirflowFailException(f"The task {task_id} left no report; clear it")
    return audit.report.AuditReport.from_json(raw)


def _subject(config: WebhookConfig) -> Subject:
    ids = config.webhook_ids
    return audit.listing.Subject(
        name=config.name,
        conn_id=config.featurebase_conn_id,
        dag_id=config.dag_id,
        stores=config.stores,
        webhook_id=config.webhook_id,
        webhook_name=config.webhook_name,
        max_age=config.max_age,
        previous_for=config.previous_for,
        allow_inactive=config.allow_inactive,
        webhook_ids=(ids[0].lower(), ids[1].lower()) if ids is not None else None,
        cut_over_for=max(config.overlap.first_delivery, config.overlap.pending),
        dashboard_url=str(config.dashboard_url) if config.dashboard_url is not None else None,
    )


def _runs(context: Context, subject: Subject, host: str, webhook_id: str) -> tuple[PastRun, ...]:
    recorded = rotation.past.past_runs(operators.memory.memory_of(context, host, webhook_id))
    if recorded is not None:
        return recorded
    reports, _ = operators.memory.events_of(report_asset(subject.name), plan_asset(subject.name))
    return rotation.past.runs_of_reports(report for report in reports if report.get("webhook_id") == webhook_id)


def _trigger(dag_id: str, found: Sequence[Finding], at: str) -> dict[str, Any]:
    # Kinds and labels only: conf is rendered as a template, and other people's text has no place in it.
    where = ", ".join(f"{finding.kind} ({finding.store})" if finding.store else finding.kind for finding in found)
    return {
        "trigger_dag_id": dag_id,
        "trigger_run_id": f"featurebase_audit__{at}",
        "conf": {"mode": "distribute", "reason": f"Audit: {where}"[:500]},
    }


def _open_client(conn_id: str) -> Client:
    from featurebase_provider.hooks.featurebase import FeaturebaseHook

    return FeaturebaseHook(conn_id).get_conn()
