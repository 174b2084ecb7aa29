"""Sets the refreshed half of a pair active, once both secrets are in every store and the receiver has accepted both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.pair_task import PairTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.store import Store

PROBE_SECONDS = 15.0


class ActivateStandbyOperator(PairTask):
    """Set the half of a pair active to which the deliveries move. From then on each event is delivered twice.

    Directly before that it reads every store, sends one probe for each half, and records the moment. It does nothing in
    a run that moves no deliveries. It is safe to run again.

    :param stores: the stores, which must hold both secrets.
    :param rotate_task_id: the rotate task of the same Dag run.
    :param probe_task_id: its probe task.
    :param probe_options: further arguments of :class:`~featurebase_provider.rotation.probe.Probe`.
    :returns: ``webhook_id``, ``moves`` (whether the run moves deliveries) and ``at`` (server time, ISO 8601).
    :raises HalfNotActivated: the plan is not the newest, the secret has leaked or was changed since the probe.
    :raises StoresDisagree: a store does not hold both secrets.
    :raises ProbeFailed: the receiver refuses one of them.
    :raises ActivationUnknown: it is unknown whether the half is active; a retry looks again.
    """

    stat = "activate"
    loads_first = True

    def __init__(
        self,
        *,
        stores: Sequence[Store | Mapping[str, Any]],
        rotate_task_id: str,
        probe_task_id: str,
        probe_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stores = stores
        self.rotate_task_id = rotate_task_id
        self.probe_task_id = probe_task_id
        self.probe_options = probe_options

    def state_if_it_fails(self, context: Context) -> str:
        """Both secrets are valid and in the stores, whichever half delivers."""
        return "The stores hold both secrets, so no delivery is refused, whether or not the webhook was set active"

    def run(self, context: Context) -> dict[str, Any]:
        """Check everything once more, record the moment, and set the half active."""
        rotated = self.rotated(context, self.rotate_task_id)
        plan, pair_plan = rotated.plan, rotation.pair_records.pair_of(rotated.plan)
        result: dict[str, Any] = {"webhook_id": plan.webhook_id, "moves": True, "at": None}
        if plan.mode not in ("rotate", "revert") or pair_plan.was_live == plan.webhook_id.lower():
            self.log.info("This run moves no deliveries; there is nothing to do")
            return {**result, "moves": False}
        with self.hook.get_conn() as client:
            records = self.pair_records(context, plan.host, strict=True)
            proven = (operators.context.pulled(context, self.probe_task_id) or {}).get("halves") or {}
            at = rotation.activate.Activation(
                client,
                rotated,
                records,
                records.source(client, plan, self.previous_for, now=client.clock.now, rotated=rotated),
                operators.stores.resolve_stores(self.stores),
                plan_key=self.plan_key(context),
                proven=(proven.get(plan.webhook_id) or {}).get("fingerprint"),
                probe=lambda webhook: self._probe(webhook, client),
                now=client.clock.now,
                say=self.log.info,
            ).run()
            return {**result, "at": at}

    def _probe(self, webhook: Webhook, client: Client) -> None:
        options = {**(self.probe_options or {}), "successes": 1, "steady": 0.0, "reject_check": False}
        options["timeout"] = min(float(options.get("timeout", PROBE_SECONDS)), PROBE_SECONDS)
        clock = rotation.clock.Clock(wall=lambda: client.clock.now().timestamp())
        outcome = rotation.probe.Probe(webhook, say=self.log.info, clock=clock, **options).run(
            rotation.current.secret_of(webhook)
        )
        if not outcome.passed:
            raise outcome.failure(
                webhook.id,
                f"{outcome.detail}. It was accepted in the probe task before. The webhook was not set active; "
                "deliveries go on as before. Fix the receiver, then clear probe and all tasks after it",
            )
