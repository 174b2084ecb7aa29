"""Refresh the signing secret and have it in every store, in one process."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.context import check_conf, is_later_try, this_run, timing_of
from featurebase_provider.operators.memory import memory_of
from featurebase_provider.operators.stores import previous_targets, resolve_stores, write_rule
from featurebase_provider.rotation.errors import MemoryUnknown, PlanUnreadable, RefreshRefused, StoresNotReady
from featurebase_provider.rotation.memory import own_plan
from featurebase_provider.rotation.plan import RotationPlan, check_status, make_plan
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.rotate import RotationOutcome, rotate
from featurebase_provider.rotation.schedule import why_late

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.store import Store


class RotateWebhookSecretOperator(FeaturebaseOperator):
    """Refresh one webhook's signing secret, once, and write it to all stores at once.

    A retry is safe: with a plan, the secret is refreshed only while it still has the fingerprint that the plan
    saw; whatever happened to an earlier try, this one ends with the stores holding Featurebase's current secret.
    There is no way back to the old secret: Featurebase invalidates it at once.

    Without ``plan_task_id`` the operator takes its own baseline and keeps it in an Airflow Variable before it
    refreshes, so a retry after a crash finds it and goes on to the stores. What it leaves out is preflight's proofs.

    :param stores: where the secret goes; stores, or mappings as in the rotation file.
    :param without_stores: why there are none, where the secret is to be refreshed and written nowhere.
    :param refresh_grace: how long to look for the effect of a refresh that got no answer.
    :param late_start: a scheduled run later than this after its ``run_after`` does not refresh.
    :param allow_inactive: whether a webhook that is not active may be refreshed.
    :param require_all_stores: whether a store that can't be armed holds the refresh back. False only for a secret
        that has leaked.
    :param fail_on_store_error: whether a store that was not written fails the task, for Dags without push tasks.
        Default: only without a plan.
    :returns: the outcome; see :class:`~featurebase_provider.rotation.rotate.RotationOutcome`. Never the secret.
    :raises ValueError: when it is made without stores, and without a word why; or without a webhook.
    :raises AirflowSkipException: the run is a dry run.
    :raises AirflowFailException: the refresh was refused; the secret is unchanged.
    :raises RefreshOutcomeUnknown: no usable answer and no change within the grace; a retry compares again.
    """

    stat = "rotate"

    def __init__(
        self,
        *,
        stores: Sequence[Store | Mapping[str, Any]],
        without_stores: str = "",
        refresh_grace: timedelta = timedelta(seconds=60),
        late_start: timedelta | None = timedelta(hours=1),
        allow_inactive: bool = False,
        require_all_stores: bool = True,
        fail_on_store_error: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not stores and not without_stores.strip():
            raise ValueError(
                f"{type(self).__name__} {self.task_id} has no stores: it would refresh the secret and write it "
                "nowhere, and every delivery would fail. Name the stores, or say in without_stores why there are none"
            )
        self.stores = stores
        self.without_stores = without_stores
        self.refresh_grace = refresh_grace
        self.late_start = late_start
        self.allow_inactive = allow_inactive
        self.require_all_stores = require_all_stores
        self.fail_on_store_error = fail_on_store_error

    def run(self, context: Context) -> dict[str, Any]:
        """Arm, compare, refresh, distribute."""
        return self.refresh_and_distribute(context, resolve_stores(self.stores), self.refresh_grace)

    def refresh_and_distribute(
        self, context: Context, stores: Sequence[Store], refresh_grace: timedelta
    ) -> dict[str, Any]:
        """The same for these stores."""
        with self.hook.get_conn() as client:
            plan, memory = self._plan(context, client)
            if plan.mode == "dry_run":
                raise AirflowSkipException("Skipped: a dry run changes nothing")
            targets = tuple(store.target for store in stores)
            # What an earlier try or another run wrote since the plan was made may be in the stores.
            history = self.recall(context, memory)
            swap = CompareAndSwap(
                api=client,
                plan=plan,
                grace=refresh_grace.total_seconds(),
                later_attempt=is_later_try(context),
                allow_inactive=self.allow_inactive,
                newer=history.refreshed_after(plan.planned_at),
                doubtful=plan.doubtful(client.clock.now()),
                say=self.log.warning,
            )
            outcome = rotate(
                swap,
                stores,
                write_rule(plan, also_known=history.known),
                server_now=client.clock.now,
                require_all=self.require_all_stores,
                leaked=lambda: self.leaked(memory),
                may_post=lambda: self.check_may_post(context, plan, memory, targets, client.clock.now()),
            )
        self._tell(outcome)
        left_behind = history.left_behind(previous_targets(stores))
        if left_behind is not None:
            self.log.warning("%s", left_behind)
            outcome = replace(outcome, notes=(*outcome.notes, left_behind))
        self._keep_history(context, memory, outcome, previous_targets(stores))
        strict = self.plan_task_id is None if self.fail_on_store_error is None else self.fail_on_store_error
        missing = [f"{one.label}: {one.problem}" for one in outcome.stores.values() if not one.holds_secret]
        if missing and strict:
            raise StoresNotReady(
                plan.webhook_id,
                f"the secret is {outcome.after} now, and {len(missing)} stores do not hold it: {'; '.join(missing)}. "
                "A retry distributes without refreshing again",
            )
        return outcome.as_json()

    def state_if_it_fails(self, context: Context) -> str:
        """In its first try nothing has happened; later on an earlier try may have refreshed."""
        if not is_later_try(context):
            return ""
        return "This try has refreshed nothing, and whether an earlier one has is found out by the next"

    def _plan(self, context: Context, client: Client) -> tuple[RotationPlan, WebhookMemory]:
        """The plan, and the memory that has it."""
        host = client.settings.base_url
        if self.plan_task_id is None:
            check_conf(context, self.display_name, {"mode": "rotate"}, strict=False)
            memory = memory_of(context, host, self.webhook_id)
            return self._own_plan(context, client, memory), memory
        plan = self.plan(context)
        if plan.host != host:
            raise PlanUnreadable(
                plan.webhook_id,
                f"preflight planned against {plan.host}, and the connection leads to {host} now; nothing was changed "
                "by this try. Set the connection back, or trigger a new run",
            )
        return plan, memory_of(context, host, plan.webhook_id)

    def _own_plan(self, context: Context, client: Client, memory: WebhookMemory) -> RotationPlan:
        """Without a preflight: the baseline of an earlier try, or a new one, which is remembered first."""
        key, run = self.plan_key(context), this_run(context)
        history = self.recall(context, memory, strict=True)
        kept = own_plan(memory, key, run, rotate_was_started=lambda: history.tells_of(run))
        if kept is not None:
            return kept
        webhook = client.get_webhook(self.webhook_id)
        check_status(webhook, "rotate", allow_inactive=self.allow_inactive)
        plan = make_plan(
            webhook,
            run,
            host=client.settings.base_url,
            mode="rotate",
            planned_at=client.clock.now().isoformat(),
            known=history.known,
            leaked=history.leaked,
            older=history.older_than(str(webhook.fingerprint)),
            stores=[store.target for store in resolve_stores(self.stores)],
        )
        return memory.keep_plan(key, plan)

    def leaked(self, memory: WebhookMemory) -> frozenset[str]:
        """Fingerprints that emergencies say have leaked by now.

        :raises MemoryUnknown: it can't be told.
        """
        return memory.leaked()

    def check_may_post(
        self, context: Context, plan: RotationPlan, memory: WebhookMemory, targets: tuple[str, ...], now: datetime
    ) -> None:
        """Look once more, directly before the refresh is sent, whether it is this task's to send.

        :param targets: of the stores that were armed.
        :param now: server time.
        :raises RefreshRefused: the run is late, the plan is gone, or is for other stores; nothing was refreshed.
        :raises MemoryUnknown: the plan can't be read; nothing was refreshed.
        """
        late = why_late(timing_of(context), now=now, late_start=self.late_start)
        if late is not None:
            raise RefreshRefused(plan.webhook_id, late)
        if not plan.is_same_as(memory.plan(self.plan_key(context))):
            raise RefreshRefused(
                plan.webhook_id,
                "the plan of this Dag run is gone from Airflow's Variables, or another run's has taken its place, so a "
                "later try could not tell what this one did; nothing was refreshed by this try. Trigger a new run",
            )
        if plan.stores is not None and sorted(plan.stores) != sorted(targets):
            raise RefreshRefused(
                plan.webhook_id,
                "its stores in the rotation file are others than those that preflight proved; nothing was refreshed by "
                "this try. Clear preflight, or trigger a new run",
            )

    def _keep_history(
        self, context: Context, memory: WebhookMemory, outcome: RotationOutcome, previous_in: Sequence[str]
    ) -> None:
        """Remember what is current and what was replaced; the rotation is over, so this fails nothing."""
        try:
            history = self.recall(context, memory, strict=True)
            history = history.after_rotation(outcome, run=this_run(context).mark, previous_in=previous_in)
            memory.write("history", history.as_json())
        except MemoryUnknown as exc:
            self.warn_unknown(exc)

    def _tell(self, outcome: RotationOutcome) -> None:
        self.log.info("Secret %s -> %s (%s)", outcome.plan.before, outcome.after, outcome.how.replace("_", " "))
        for one in outcome.stores.values():
            if one.holds_secret:
                exposure = "" if one.exposure_ms is None else f", exposed for at most {one.exposure_ms:.0f} ms"
                self.log.info("Store %s (%s): %s%s", one.label, one.target, one.result, exposure)
            else:
                self.log.warning(
                    "Store %s (%s): %s: %s. Its push task goes on trying",
                    one.label,
                    one.target,
                    one.result,
                    one.problem,
                )
            if one.exposure_ms is not None:
                self.time("store_exposure", one.exposure_ms)
