"""Asks a person to approve a rotation, and waits for the answer without a worker."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

from featurebase_provider import rotation
from featurebase_provider.airflow_compat import AirflowSkipException, approval_limits
from featurebase_provider.featurebase.text import in_words, markdown_safe
from featurebase_provider.operators.base import FeaturebaseOperator, without_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.config import NotifyConfig
    from featurebase_provider.rotation.approval import Approval
    from featurebase_provider.rotation.plan import RotationPlan


class ApproveRotationOperator(FeaturebaseOperator, ApprovalOperator):
    """Show the plan in Airflow's UI, and wait until somebody approves or rejects the refresh.

    A run that refreshes nothing needs no approval, and neither does one whose secret was refreshed already: what is
    left to do then only helps. If the task is cleared, it asks again.

    :param timeout: how long to wait.
    :param approvers: ids of the users who may answer; empty for everybody who may edit the Dag's tasks.
    :param notify: who is told that an approval is needed.
    :returns: the approval; see :class:`~featurebase_provider.rotation.approval.Approval`. None if none was needed.
    :raises AirflowSkipException: it was rejected; nothing was changed.
    :raises AirflowFailException: nobody answered in time; nothing was changed.
    """

    template_fields: Sequence[str] = FeaturebaseOperator.template_fields
    stat = "approve"

    def __init__(
        self,
        *,
        timeout: timedelta = timedelta(days=3),
        approvers: Sequence[str] = (),
        notify: Sequence[NotifyConfig] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="Rotate a webhook signing secret?",
            fail_on_reject=True,
            assigned_users=[{"id": one, "name": one} for one in approvers] or None,
            **{**kwargs, **approval_limits(timeout, own=kwargs.get("execution_timeout"))},
        )
        self.timeout = timeout
        self.notify = notify

    @property
    def serialized_params(self) -> dict[str, dict[str, Any]]:
        """The form has no fields; Airflow 3.1 would show the Dag's."""
        return {}

    def run(self, context: Context) -> None:
        """Ask, unless nothing is to be refreshed."""
        plan = self.plan(context)
        if not plan.refreshes:
            self.log.info("Mode %s refreshes nothing, so it needs no approval", plan.mode)
            return
        with self.hook.get_conn() as client:
            current = client.get_webhook(plan.webhook_id).fingerprint
        if current != plan.before:
            self.log.info("The secret is no longer the plan's: it was refreshed already. No approval is needed")
            return
        lines = rotation.approval.plan_in_lines(plan, self.display_name)
        self.subject = f"Rotate the signing secret of webhook {self.display_name}?"
        self.body = "\n".join(f"* {markdown_safe(line)}" for line in lines)
        if self.notify:
            self.notifiers = [lambda seen: self._tell(seen, plan)]  # type: ignore[list-item]  # Airflow only calls it
        self.log.info("Waiting %s for an approval\n%s", in_words(self.timeout), "\n".join(lines))
        ApprovalOperator.execute(self, context)

    @without_frames
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take the answer."""
        with self.ending(context):
            return self._answered(context, dict(event or {})).as_json()

    def _answered(self, context: Context, event: dict[str, Any]) -> Approval:
        plan = self.plan(context)
        try:
            answer = ApprovalOperator.execute_complete(self, context, event)
        except HITLTimeoutError:
            why = f"nobody approved the rotation within {in_words(self.timeout)}; nothing was changed"
            raise rotation.errors.PlanRefused(plan.webhook_id, f"{why}. Trigger the Dag again to ask again") from None
        except HITLRejectException:
            by = rotation.approval.name_of(event.get("responded_by_user"))
            raise AirflowSkipException(f"Skipped: {by} rejected the rotation; nothing was changed") from None
        approval = rotation.approval.Approval(
            rotation.approval.name_of(answer["responded_by_user"]), answer["responded_at"].isoformat(), plan.before
        )
        self.log.info("Approved by %s", approval)
        return approval

    def _tell(self, context: Context, plan: RotationPlan) -> None:
        from featurebase_provider.operators.notify import send

        try:
            link: str | None = self.generate_link_to_ui_from_context(context=context)
        except Exception as exc:  # noqa: BLE001  Airflow may not know its own address; the question stands all the same
            self.log.info("There is no link to the question: %s", type(exc).__name__)
            link = None
        until = (datetime.now(tz=timezone.utc) + self.timeout).isoformat(timespec="minutes")
        notice = rotation.approval.approval_notice(plan, self.display_name, until=until, link=link)
        report = {
            "webhook": self.display_name,
            "dag_id": context["ti"].dag_id,
            "run_id": context["ti"].run_id,
            "outcome": notice.event,
            "advice": "Approve or reject the rotation in Airflow's UI.",
            "plan": plan.as_json(),
            "stores": [],
        }
        for entry in self.notify:
            send(context, entry, notice, report)
