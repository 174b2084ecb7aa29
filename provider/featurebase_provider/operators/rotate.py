"""Refreshes the signing secret and writes it to every store, in one process."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider import featurebase, operators, rotation
from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.refresh import CompareAndSwap
    from featurebase_provider.rotation.refresh_log import RefreshesSincePlan
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.store import Store


class RotateWebhookSecretOperator(FeaturebaseOperator):
    """Refresh one webhook's signing secret, once, and write it to all stores in parallel.

    A retry is safe: the secret is refreshed only while it still has the fingerprint recorded in the plan. Whatever
    happened to an earlier try, a successful one ends with the stores holding Featurebase's current secret. The old
    secret can't be restored: Featurebase invalidates it at once.

    If the refresh call fails ambiguously (timeout, reset, 5xx, unreadable body), the task reads the webhook to learn
    what happened and never sends a second refresh in that try.

    Without ``plan_task_id`` the operator records its own baseline in an Airflow Variable before it refreshes, so a
    retry after a crash finds it and continues with the stores. It does not make preflight's checks.

    :param stores: where the secret is written; stores, or mappings as in the rotation file.
    :param without_stores: why there are no stores, if the secret should be refreshed but not written anywhere.
    :param refresh_grace: how long to look for the effect of a refresh that failed ambiguously.
    :param late_start: a scheduled run later than this after its ``run_after`` does not refresh.
    :param allow_inactive: whether a webhook that is not active may be refreshed.
    :param require_all_stores: whether a store that is not ready prevents the refresh. Set False only for a secret that
        has leaked.
    :param fail_on_store_error: whether the task fails if a store was not written, for Dags without push tasks.
        Default: only without a plan.
    :param approve_task_id: the approve task of the same Dag run, without whose approval nothing is refreshed; None if
        no approval is needed. ``late_start`` counts from the approval.
    :returns: the outcome; see :class:`~featurebase_provider.rotation.rotate.RotationOutcome`. Never the secret.
    :raises ValueError: the operator has no stores and no ``without_stores``, or no webhook.
    :raises AirflowSkipException: the run is a dry run.
    :raises AirflowFailException: the refresh was refused; the secret is unchanged.
    :raises RefreshOutcomeUnknown: the refresh failed ambiguously, and no new secret was seen within
        ``refresh_grace``; a retry compares again.
    """

    stat = "rotate"
    loads_first = True
    word: dict[str, Any] | None = None
    """What a try that fails leaves for the report: ``refreshes``, as in :class:`RotationOutcome`."""

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
        approve_task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not stores and not without_stores.strip():
            raise ValueError(
                f"{type(self).__name__} {self.task_id} has no stores: it would refresh the secret without writing it "
                "anywhere, and every delivery would fail. Set stores, or explain in without_stores why there are none"
            )
        self.stores = stores
        self.without_stores = without_stores
        self.refresh_grace = refresh_grace
        self.late_start = late_start
        self.allow_inactive = allow_inactive
        self.require_all_stores = require_all_stores
        self.fail_on_store_error = fail_on_store_error
        self.approve_task_id = approve_task_id

    def run(self, context: Context) -> dict[str, Any]:
        """Prepare the stores, compare, refresh, and write the stores."""
        return self.refresh_and_distribute(context, operators.stores.resolve_stores(self.stores), self.refresh_grace)

    def refresh_and_distribute(
        self, context: Context, stores: Sequence[Store], refresh_grace: timedelta
    ) -> dict[str, Any]:
        """Prepare these stores, compare, refresh, and write the stores."""
        with self.hook.get_conn() as client:
            plan, memory = self._plan(context, client)
            if plan.mode == "dry_run":
                raise AirflowSkipException("Skipped: a dry run changes nothing")
            targets = tuple(store.target for store in stores)
            # The stores may hold a secret that an earlier try or another run wrote after the plan was made.
            history = self.recall(context, self.records(context, plan, memory))
            later = operators.context.is_later_try(context)
            recorded = len(history.refreshed_after(plan.planned_at, by=operators.context.this_run(context).name))
            self.word = unsent = {
                "refreshes": rotation.refresh_count.refreshes_by("already_done", recorded=recorded, later_try=later)
            }

            def may_post() -> None:
                self.check_may_post(context, plan, memory, targets, client.clock.now())
                self.word = {"refreshes": None}

            swap = rotation.refresh.CompareAndSwap(
                api=client,
                plan=plan,
                grace=refresh_grace.total_seconds(),
                later_attempt=later,
                allow_inactive=self.allow_inactive,
                newer=history.refreshed_after(plan.planned_at),
                doubtful=plan.doubtful(client.clock.now()),
                log=lambda: self._logged(client, plan),
                say=self.log.warning,
            )
            try:
                outcome = self.carry_out(
                    context,
                    swap,
                    stores,
                    operators.stores.write_rule(plan, also_known=history.known),
                    server_now=client.clock.now,
                    leaked=lambda: self.leaked(memory),
                    may_post=may_post,
                )
            except featurebase.ApiError:  # Featurebase refused the refresh, or it was not sent
                self.word = unsent
                raise
        self.word = None
        outcome = replace(
            outcome, refreshes=rotation.refresh_count.refreshes_by(outcome.how, recorded=recorded, later_try=later)
        )
        strict = self.plan_task_id is None if self.fail_on_store_error is None else self.fail_on_store_error
        self._tell(outcome, raises_problems=strict)
        operators.figures.tell_of_stores(
            self.display_name, stores, outcome.stores.values(), of_pair=plan.pair is not None
        )
        left_behind = history.left_behind(operators.stores.previous_targets(stores))
        if left_behind is not None:
            self.log.warning("%s", left_behind)
            outcome = replace(outcome, notes=(*outcome.notes, left_behind))
        self.keep_history(
            context, self.records(context, plan, memory), outcome, operators.stores.previous_targets(stores)
        )
        missing = [f"{store.label}: {store.problem}" for store in outcome.stores.values() if not store.holds_secret]
        if missing and strict:
            raise rotation.errors.StoresNotReady(
                plan.webhook_id,
                f"the secret is {outcome.after} now, but {len(missing)} stores do not hold it: {'; '.join(missing)}. "
                "A retry writes the stores without refreshing again",
            )
        return outcome.as_json()

    def carry_out(
        self,
        context: Context,
        swap: CompareAndSwap,
        stores: Sequence[Store],
        rule: WriteRule,
        *,
        server_now: Callable[[], datetime],
        leaked: Callable[[], frozenset[str]],
        may_post: Callable[[], None],
    ) -> RotationOutcome:
        """Refresh and write; see :func:`~featurebase_provider.rotation.rotate.rotate`."""
        self.check_single(swap.plan)
        return rotation.rotate.rotate(
            swap,
            stores,
            rule,
            server_now=server_now,
            require_all=self.require_all_stores,
            leaked=leaked,
            may_post=may_post,
        )

    def records(self, context: Context, plan: RotationPlan, memory: WebhookMemory) -> WebhookMemory:
        """The records of the webhook whose secret is refreshed.

        :param memory: the records that hold the plan.
        """
        return memory

    def _logged(self, client: Client, plan: RotationPlan) -> RefreshesSincePlan:
        """The refreshes since the plan that Featurebase's audit log shows; where it can't be read, that is logged."""
        log = rotation.refresh_log.read_refreshes_since(client, plan)
        if log.problem is not None:
            self.log.info("Featurebase's audit log can't be read, so only reads of the webhook count: %s", log.problem)
        return log

    def found_json(self) -> dict[str, Any] | None:
        """What a try that fails knows of its refreshes."""
        return self.word

    def state_if_it_fails(self, context: Context) -> str:
        """In the first try nothing has happened yet; in a later one an earlier try may have refreshed."""
        if not operators.context.is_later_try(context):
            return ""
        return "This try refreshed nothing; the next one finds out whether an earlier try did"

    def _plan(self, context: Context, client: Client) -> tuple[RotationPlan, WebhookMemory]:
        """The plan, and the records that hold it."""
        host = client.settings.base_url
        if self.plan_task_id is None:
            operators.context.check_conf(context, self.display_name, {"mode": "rotate"}, strict=False)
            memory = operators.memory.memory_of(context, host, self.webhook_id)
            return self._own_plan(context, client, memory), memory
        plan = self.plan(context)
        if plan.host != host:
            raise rotation.errors.PlanUnreadable(
                plan.webhook_id,
                f"preflight used {plan.host}, but the connection now points to {host}; this try changed nothing. "
                "Change the connection back, or trigger a new run",
            )
        return plan, self.plan_memory(context, plan)

    def plan_memory(self, context: Context, plan: RotationPlan) -> WebhookMemory:
        """The records that hold preflight's plan."""
        return operators.memory.memory_of(context, plan.host, plan.webhook_id)

    def _own_plan(self, context: Context, client: Client, memory: WebhookMemory) -> RotationPlan:
        """Without a preflight: the plan of an earlier try, or a new one, which is recorded first."""
        key, run = self.plan_key(context), operators.context.this_run(context)
        history = self.recall(context, memory, strict=True)
        kept = rotation.memory.own_plan(memory, key, run, rotate_was_started=lambda: history.tells_of(run))
        if kept is not None:
            return kept
        webhook = client.get_webhook(self.webhook_id)
        rotation.plan.check_status(webhook, "rotate", allow_inactive=self.allow_inactive)
        plan = rotation.plan.make_plan(
            webhook,
            run,
            host=client.settings.base_url,
            mode="rotate",
            planned_at=client.clock.now().isoformat(),
            known=history.known,
            leaked=history.leaked,
            older=history.older_than(str(webhook.fingerprint)),
            stores=[store.target for store in operators.stores.resolve_stores(self.stores)],
        )
        return memory.keep_plan(key, plan)

    def leaked(self, memory: WebhookMemory) -> frozenset[str]:
        """Fingerprints that emergency runs have recorded as leaked by now.

        :raises MemoryUnknown: the record can't be read.
        """
        return memory.leaked()

    def check_may_post(
        self, context: Context, plan: RotationPlan, memory: WebhookMemory, targets: tuple[str, ...], now: datetime
    ) -> None:
        """Check once more, directly before the refresh is sent, that this task may send it.

        :param targets: the targets of the prepared stores.
        :param now: server time.
        :raises RefreshRefused: the run is late or not approved, or the plan is gone or is for other stores; nothing was
            refreshed.
        :raises MemoryUnknown: the plan can't be read; nothing was refreshed.
        """
        approval = rotation.approval.Approval.from_json(operators.context.pulled(context, self.approve_task_id))
        if self.approve_task_id is not None and (approval is None or approval.before != plan.before):
            raise rotation.errors.RefreshRefused(
                plan.webhook_id,
                "nobody has approved the refresh of this secret in this Dag run; this try refreshed nothing. Clear "
                f"{self.approve_task_id}, which asks for the approval",
            )
        late = rotation.schedule.why_late(
            operators.context.timing_of(context, approval), now=now, late_start=self.late_start
        )
        if late is not None:
            raise rotation.errors.RefreshRefused(plan.webhook_id, late)
        if not plan.is_same_as(memory.plan(self.plan_key(context))):
            raise rotation.errors.RefreshRefused(
                plan.webhook_id,
                "the plan of this Dag run is gone from Airflow's Variables, or another run's plan has replaced it, so "
                "a later try could not tell what this one did; this try refreshed nothing. Trigger a new run",
            )
        if plan.stores is not None and sorted(plan.stores) != sorted(targets):
            raise rotation.errors.RefreshRefused(
                plan.webhook_id,
                "its stores in the rotation file have changed since preflight checked them; this try refreshed "
                "nothing. Clear preflight, or trigger a new run",
            )

    def keep_history(
        self, context: Context, memory: WebhookMemory, outcome: RotationOutcome, previous_in: Sequence[str]
    ) -> None:
        """Record the current and the replaced secrets. The rotation is done, so a failure here is only logged."""
        try:
            history = self.recall(context, memory, strict=True)
            history = history.after_rotation(
                outcome, run=operators.context.this_run(context).mark, previous_in=previous_in
            )
            memory.write("history", history.as_json())
        except rotation.errors.MemoryUnknown as exc:
            self.warn_unknown(exc)

    def _tell(self, outcome: RotationOutcome, *, raises_problems: bool) -> None:
        self.log.info("Secret %s -> %s (%s)", outcome.plan.before, outcome.after, outcome.how.replace("_", " "))
        for store in outcome.stores.values():
            if store.holds_secret:
                self.log.info("%s", rotation.report_tables.store_line(store))
            elif not raises_problems:  # else the error says it
                self.log.warning("%s. Its push task keeps trying", rotation.report_tables.store_line(store))
            if store.readable_ms is not None:
                self.time("store_exposure", store.readable_ms)
