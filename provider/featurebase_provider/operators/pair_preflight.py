"""Checks that a pair's rotation can succeed, and records its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.pair_task import PairTask
from featurebase_provider.operators.preflight import STALE_SECONDS, PreflightRotationOperator
from featurebase_provider.rotation.modes import PAIR_MODES

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.pair_records import PairRecords
    from featurebase_provider.rotation.plan import RotationPlan


class PreflightPairOperator(PairTask, PreflightRotationOperator):
    """Read both webhooks of a pair, check that every store can be written, probe the receiver, and record the plan.

    It changes neither a webhook nor a store. See
    :class:`~featurebase_provider.operators.preflight.PreflightRotationOperator` for the plan and its repetition.

    :raises AirflowSkipException: a scheduled run is too late, the secret is too young, the half that was paused last
        may still have retries under way, or the run is a backfill.
    :raises AirflowFailException: there is a reason not to start; the message names every reason.
    """

    def __init__(self, *, webhook_ids: tuple[str, str], **kwargs: Any) -> None:
        super().__init__(webhook_ids=webhook_ids, webhook_id=webhook_ids[0], **kwargs)

    def run(self, context: Context) -> dict[str, Any]:
        """Check, prove, and record the plan."""
        goes_by = {"mode": self.mode, "reason": context["params"].get("reason")}
        operators.context.check_conf(context, self.display_name, goes_by, strict=self.strict_conf)
        mode = rotation.plan.checked_mode(self.mode, rotation.moves.pair_id(self.webhook_ids), PAIR_MODES)
        self.webhook_id = ""  # the half that the run is about is not known yet
        self.skip(rotation.schedule.why_no_backfill(operators.context.timing_of(context)))
        with self.hook.get_conn() as client:
            host = client.settings.base_url
            records = self.pair_records(context, host, strict=True)
            kept = self._kept(context, records) if mode in rotation.pair_plan.MOVING else None
            now = client.clock.now()
            pair = records.reader(client, now, patience=STALE_SECONDS).read()
            now = client.clock.now()
            if client.clock.skew is not None:
                self.log.warning("%s", client.clock.skew)
            for webhook in pair.webhooks:
                self.log.info("Webhook %s, %s, secret %s", webhook.id, webhook.status, webhook.fingerprint)
                operators.one_entry.check_only_entry(
                    webhook, self.featurebase_conn_id, self.others, say=self.log.warning
                )
            if not pair.shown:
                raise rotation.errors.PlanRefused(
                    pair.name, "neither webhook of it exists any more; this try changed nothing"
                )
            self.found = rotation.found.Found.of(pair.live or pair.webhooks[0], host)
            if kept is None:
                self._skip_pair(context, client, pair, records, now)
                plan = rotation.pair_plan.plan_pair(
                    pair,
                    operators.context.this_run(context),
                    records,
                    plan_key=self.plan_key(context),
                    host=host,
                    mode=mode,
                    now=now,
                    previous_for=self.previous_for,
                    reason=one_line(str(self.reason or ""), 500),
                )
            else:
                plan = kept
                self.log.info("This Dag run already has a plan; it is kept, so that the run refreshes at most once")
            self.webhook_id = plan.webhook_id
            different = rotation.pair.differences(pair)
            if plan.mode == "revert" and different:  # no reason to refuse the way back, whose time is short
                self.log.warning(
                    "The webhooks differ in %s, so going back changes what is delivered", ", ".join(different)
                )
            if rotation.pair_plan.is_untouched(plan, pair):
                plan = self._prove_pair(plan, pair, records, client.clock)
            else:
                self.log.info("This run has refreshed the webhook already, so there is nothing to check")
        if plan.mode in rotation.pair_plan.MOVING:
            plan = records.memory.keep_plan(self.plan_key(context), plan)
        return plan.as_json()

    def _kept(self, context: Context, records: PairRecords) -> RotationPlan | None:
        def of_result() -> RotationPlan | None:
            return self.plan_left_by_rotate(context, self.rotate_task_id)

        def started() -> bool:
            histories = records.histories.values()
            return any(self.rotate_was_started(context, self.rotate_task_id, history) for history in histories)

        run, key = operators.context.this_run(context), self.plan_key(context)
        return rotation.memory.own_plan(records.memory, key, run, of_result=of_result, rotate_was_started=started)

    def _skip_pair(self, context: Context, client: Client, pair: Pair, records: PairRecords, now: datetime) -> None:
        """Skip a scheduled run that is late, too young, or too early after the last cut-over.

        :raises AirflowSkipException: it is skipped, and why.
        """
        timing = operators.context.timing_of(context)
        if pair.live is None:
            self.skip(rotation.schedule.why_late(timing, now=now, late_start=self.late_start))
            return
        self.skip_early(context, client, pair.live, records.histories[pair.live.id.lower()], now)
        if timing.scheduled:
            self.skip(rotation.pair.why_not_drained(pair, records.moves, previous_for=self.previous_for, now=now))

    def _prove_pair(self, plan: RotationPlan, pair: Pair, records: PairRecords, clock: ServerClock) -> RotationPlan:
        """Run the checks, which count for this try only, and keep what the stores held."""
        from featurebase_provider.operators.proofs import probe_receiver, prove_stores  # not loaded at a parse

        live = pair.live or pair.webhooks[0]
        ours = prove_stores(self, self.stores, plan, records.rule(plan), rotation.current.secret_of(live))
        if plan.mode in ("rotate", "dry_run"):
            stores = self.found.stores or () if self.found is not None else ()
            rotation.pair_plan.check_live_first(plan.webhook_id, live.fingerprint, stores)
        if self.probe and plan.mode != "distribute":
            probe_receiver(self, live, clock, self.probe_options)
        return replace(
            plan,
            known=tuple(dict.fromkeys((*plan.known, *ours))),
            stores=tuple(store.target for store in operators.stores.resolve_stores(self.stores)),
        )
