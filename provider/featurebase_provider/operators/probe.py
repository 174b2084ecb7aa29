"""Tests that the receiver accepts the new secret and refuses a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from featurebase_provider.featurebase.models import Webhook


class ProbeReceiverOperator(FeaturebaseOperator):
    """Send harmless events, signed with the current secret, until the receiver accepts them steadily.

    Then it sends one signed with a wrong key, which must be refused. It is safe to run again at any time. Events are
    dated by Featurebase's clock, as deliveries are: receivers refuse events that are minutes off.

    :param rotate_task_id: the rotate task of the same Dag run, or None to work alone.
    :param distributed_task_id: the distributed task of the same Dag run, which knows what was written to the stores, or
        None.
    :param probe_options: further arguments of :class:`~featurebase_provider.rotation.probe.Probe`; durations in
        seconds.
    :returns: the outcome; see :class:`~featurebase_provider.rotation.probe.ProbeOutcome`, and
        ``receiver_exposure_ms``: milliseconds from just before the refresh was sent to the first acceptance after
        which no event was refused.
    :raises ProbeUndecided: no response decided (unreachable, or unproven); a retry probes again.
    :raises AirflowFailException: the receiver refuses the signature or the event, or verifies no signature; or
        Featurebase's secret is no longer the one that was written to the stores.
    """

    stat = "probe"

    def __init__(
        self,
        *,
        rotate_task_id: str | None = None,
        distributed_task_id: str | None = None,
        probe_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rotate_task_id = rotate_task_id
        self.distributed_task_id = distributed_task_id
        self.probe_options = probe_options

    def state_if_it_fails(self, context: Context) -> str:
        """After the pushes."""
        return "The stores hold the new secret, but the receiver was not probed"

    def run(self, context: Context) -> dict[str, Any]:
        """Probe, and keep the outcome even if the probe fails."""
        return self.probe_receiver(context, self.probe_options or {})

    def probe_receiver(self, context: Context, options: Mapping[str, Any]) -> dict[str, Any]:
        """Probe with these options, and keep the outcome even if the probe fails."""
        rotated = self.rotation(context, self.rotate_task_id)
        order = rotation.history.order_of(rotated.plan, rotated) if rotated else rotation.current.SecretOrder()
        with self.hook.get_conn() as client:
            webhook = rotation.current.read_current(
                client, rotated.plan.webhook_id if rotated else self.webhook_id, order
            )
        self.check_distributed(context, webhook)
        probe = rotation.probe.Probe(
            webhook,
            say=self.log.info,
            clock=rotation.clock.Clock(wall=lambda: client.clock.now().timestamp()),
            **options,
        )
        outcome = probe.run(rotation.current.secret_of(webhook))
        exposure = None
        if rotated is not None and rotated.posted is not None and outcome.first_accepted is not None:
            exposure = rotation.clock.milliseconds_between(rotated.posted, outcome.first_accepted)
            self.time("receiver_exposure", exposure)
        result = {**outcome.as_json(), "receiver_exposure_ms": exposure}
        if not outcome.passed:
            context["ti"].xcom_push(key="return_value", value=result)
            raise outcome.failure(
                webhook.id,
                f"{outcome.detail}. Featurebase signs with this secret now, and the old one can't be restored: fix the "
                "receiver, then clear this task",
            )
        self.log.info("Probe passed: %s", outcome.detail)
        return result

    def check_distributed(self, context: Context, webhook: Webhook) -> None:
        """Fail if Featurebase's secret is not the one in the stores, so that the receiver is not blamed for it."""
        given = (operators.context.pulled(context, self.distributed_task_id) or {}).get("fingerprint")
        if given is not None and given != webhook.fingerprint:
            fail = ", so deliveries fail" if webhook.status == "active" else ""
            raise rotation.errors.StoresDisagree(
                webhook.id,
                f"{given} was written to the stores, but Featurebase's secret is {webhook.fingerprint} now{fail}. "
                "It was refreshed again (by a person, by a try that Airflow lost track of, or by a "
                "refresh that took effect late). The receiver was not probed. Clear the push tasks and all tasks after "
                "them",
            )
