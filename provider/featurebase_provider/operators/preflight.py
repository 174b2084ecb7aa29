"""Checks that a rotation can succeed, and records its plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.rotation.current import SecretOrder
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.modes import Mode
    from featurebase_provider.rotation.plan import RotationPlan, ThisRun
    from featurebase_provider.rotation.store import Store

STALE_SECONDS = 15.0


class PreflightRotationOperator(FeaturebaseOperator):
    """Read the webhook, check that every store can be written, probe the receiver, and record the plan.

    It changes neither the webhook nor a store. If the run is to refresh, the plan is kept in an Airflow Variable, which
    survives clears, retries and lost workers. If preflight finds a plan of its own Dag run, it keeps that baseline, so
    that a run refreshes at most once, however often it is cleared. It repeats its checks each time, as long as nothing
    was refreshed.

    :param webhook_name: the webhook's exact name in Featurebase, if no ``webhook_id`` is given. (templated)
    :param stores: where the secret is written; stores, or mappings as in the rotation file.
    :param mode: ``rotate``, ``distribute`` or ``dry_run``. (templated)
    :param reason: the reason, for the report. (templated)
    :param probe: whether the receiver must accept an event signed with the current secret.
    :param probe_options: further arguments of :class:`~featurebase_provider.rotation.probe.Probe`.
    :param late_start: a scheduled run that starts later than this after its ``run_after`` is skipped.
    :param min_age: a scheduled run is skipped if the secret is younger than this.
    :param previous_for: how long a store keeps the previous secret.
    :param allow_inactive: whether a webhook that is not active may be rotated.
    :param others: the other entries of the rotation file; one that means the same webhook stops the run.
    :param rotate_task_id: the rotate task of the same Dag; its result names the plan if the Variable is gone.
    :param strict_conf: True allows only ``mode``, ``reason`` and the Dag's params in the run's conf; False refuses only
        keys that look like a typo of ``mode`` or ``reason``.
    :returns: the plan; see :class:`~featurebase_provider.rotation.plan.RotationPlan`.
    :raises AirflowSkipException: a scheduled run is too late, the secret is too young, or the run is a backfill.
    :raises AirflowFailException: there is a reason not to start; the message names every reason.
    :raises MemoryUnknown: records of earlier runs can't be read; a retry reads them again.
    """

    template_fields: Sequence[str] = (*FeaturebaseOperator.template_fields, "webhook_name", "mode", "reason")
    finds_webhook = True
    stat = "preflight"

    def __init__(
        self,
        *,
        webhook_name: str | None = None,
        stores: Sequence[Store | Mapping[str, Any]],
        mode: str = "rotate",
        reason: str = "",
        probe: bool = False,
        probe_options: Mapping[str, Any] | None = None,
        late_start: timedelta | None = timedelta(hours=1),
        min_age: timedelta | None = timedelta(days=1),
        previous_for: timedelta = timedelta(hours=8),
        allow_inactive: bool = False,
        others: Sequence[WebhookConfig] = (),
        rotate_task_id: str | None = None,
        strict_conf: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not self.webhook_id and not webhook_name:
            raise ValueError(f"{type(self).__name__} {self.task_id} has neither webhook_id nor webhook_name")
        self.webhook_name = webhook_name
        self.stores = stores
        self.mode = mode
        self.reason = reason
        self.probe = probe
        self.probe_options = probe_options
        self.late_start = late_start
        self.min_age = min_age
        self.previous_for = previous_for
        self.allow_inactive = allow_inactive
        self.others = others
        self.rotate_task_id = rotate_task_id
        self.strict_conf = strict_conf

    def run(self, context: Context) -> dict[str, Any]:
        """Check, prove, and record the plan."""
        goes_by = {"mode": self.mode, "reason": context["params"].get("reason")}
        operators.context.check_conf(context, self.display_name, goes_by, strict=self.strict_conf)
        mode = rotation.plan.checked_mode(self.mode, self.webhook_id)
        self.skip(rotation.schedule.why_no_backfill(operators.context.timing_of(context)))
        run, key = operators.context.this_run(context), self.plan_key(context)
        with self.hook.get_conn() as client:
            webhook = rotation.find.find_webhook(client, self.webhook_id, self.webhook_name)
            self.webhook_id = webhook.id
            self.found = rotation.found.Found.of(webhook, client.settings.base_url)
            operators.one_entry.check_only_entry(webhook, self.featurebase_conn_id, self.others, say=self.log.warning)
            memory = operators.memory.memory_of(context, client.settings.base_url, webhook.id)
            history = self.recall(context, memory, strict=True)
            # Plans of runs that refresh nothing are not kept: they must not replace a plan that is still needed.
            kept = self._own_plan(context, memory, key, run, history) if mode == "rotate" else None
            now = client.clock.now()
            if client.clock.skew is not None:
                self.log.warning("%s", client.clock.skew)
            left_behind = history.left_behind(operators.stores.previous_targets(self.stores))
            if left_behind is not None:
                self.log.warning("%s", left_behind)
            webhook = self._not_stale(client, webhook, history.order(now))
            if kept is None:
                now = client.clock.now()  # of the read that counts
                self.skip_early(context, client, webhook, history, now)
                plan = self._new_plan(context, webhook, history, client.settings.base_url, now, mode)
            else:
                plan = kept
        current = rotation.current.secret_of(webhook).fingerprint
        self.found = rotation.found.Found.of(webhook, plan.host)
        self.log.info(
            "Webhook %s (%r), %s, secret %s, mode %s",
            webhook.id,
            one_line(webhook.name),
            webhook.status,
            current,
            mode,
        )
        if kept is not None:
            self.log.info(
                "This Dag run already has a plan (secret %s); its baseline is kept, so that the run refreshes at most "
                "once",
                plan.before,
            )
        if current == plan.before:
            plan = self._prove(plan, webhook, client.clock)
        else:
            self.log.info("The secret is no longer the plan's: it was refreshed already, so there is nothing to check")
        if plan.refreshes:
            plan = memory.keep_plan(key, plan)
        return plan.as_json()

    def _own_plan(
        self, context: Context, memory: WebhookMemory, key: str, run: ThisRun, history: History
    ) -> RotationPlan | None:
        def of_result() -> RotationPlan | None:
            return self.plan_left_by_rotate(context, self.rotate_task_id)

        def started() -> bool:
            return self.rotate_was_started(context, self.rotate_task_id, history)

        return rotation.memory.own_plan(memory, key, run, of_result=of_result, rotate_was_started=started)

    def skip_early(self, context: Context, client: Client, webhook: Webhook, history: History, now: datetime) -> None:
        """Skip a scheduled run that starts too late, or whose secret a run or a person refreshed a short time ago.

        :raises AirflowSkipException: it is skipped, and why.
        """
        current, timing = rotation.current.secret_of(webhook).fingerprint, operators.context.timing_of(context)
        self.skip(rotation.schedule.why_late(timing, now=now, late_start=self.late_start))
        log = rotation.refresh_log.RefreshLog()
        if timing.scheduled and self.min_age is not None:
            log = rotation.refresh_log.read_refresh_log(client, since=now - self.min_age)
        if log.problem is not None:
            self.log.info("Featurebase's audit log can't be read, so ages come from earlier runs only: %s", log.problem)
        age = history.age(current, now=now, logged_at=log.refreshed_at(webhook.id)).at_most
        self.skip(rotation.schedule.why_too_young(timing, age=age, min_age=self.min_age, late_start=self.late_start))

    def _new_plan(
        self, context: Context, webhook: Webhook, history: History, host: str, now: datetime, mode: Mode
    ) -> RotationPlan:
        current = rotation.current.secret_of(webhook).fingerprint
        return rotation.plan.make_plan(
            webhook,
            operators.context.this_run(context),
            host=host,
            mode=mode,
            planned_at=now.isoformat(),
            reason=one_line(str(self.reason or ""), 500),
            known=history.known,
            drop_previous=history.previous_is_over(current, now=now, previous_for=self.previous_for),
            leaked=history.leaked,
            older=history.older_than(current),
        )

    def _not_stale(self, client: Client, webhook: Webhook, order: SecretOrder) -> Webhook:
        """Make sure that the baseline is not stale: with a stale one rotate would refresh nothing.

        :raises StaleRead: Featurebase keeps showing a secret that was replaced.
        """
        shown = webhook.fingerprint
        stale = order.is_stale(webhook)
        webhook = rotation.current.read_current(client, webhook.id, order, patience=STALE_SECONDS, first=webhook)
        if stale and webhook.fingerprint == shown:
            self.log.warning(
                "An earlier run saw %s replaced, but Featurebase has shown nothing else for %.0f s, so it counts as "
                "the current secret",
                shown,
                STALE_SECONDS,
            )
        return webhook

    def _prove(self, plan: RotationPlan, webhook: Webhook, clock: ServerClock) -> RotationPlan:
        """Run the checks, which count for this try only, and keep what the stores held."""
        from featurebase_provider.operators.proofs import probe_receiver, prove_stores  # not loaded at a parse

        rotation.plan.check_status(webhook, plan.mode, allow_inactive=self.allow_inactive)
        rule, secret = operators.stores.write_rule(plan), rotation.current.secret_of(webhook)
        ours = prove_stores(self, self.stores, plan, rule, secret)
        if self.probe and plan.mode != "distribute":
            probe_receiver(self, webhook, clock, self.probe_options)
        return replace(
            plan,
            known=tuple(dict.fromkeys((*plan.known, *ours))),
            stores=tuple(store.target for store in operators.stores.resolve_stores(self.stores)),
        )

    def skip(self, why: str | None) -> None:
        """Skip the run, if there is a reason."""
        if why is not None:
            raise AirflowSkipException(f"Skipped: {why}")
