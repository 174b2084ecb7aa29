"""Prove that a rotation can end well, and record what it sets out from."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.operators.base import (
    FeaturebaseOperator,
    plan_asset,
    plan_extras,
    report_extras,
    resolve_stores,
    write_rule,
)
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.errors import PlanRefused, StoresNotReady
from featurebase_provider.rotation.health import one_line
from featurebase_provider.rotation.lineage import Lineage, read_current, secret_of
from featurebase_provider.rotation.plan import RotationPlan, checked_mode, leaked_in, make_plan
from featurebase_provider.rotation.probe import Probe
from featurebase_provider.rotation.schedule import (
    RunTiming,
    known_fingerprints,
    previous_is_over,
    refreshed_at,
    replaced_fingerprints,
    why_late,
    why_no_backfill,
    why_too_young,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.rotation.store import Store

PROBE_SECONDS = 15.0
STALE_SECONDS = 15.0


class PreflightRotationOperator(FeaturebaseOperator):
    """Read the webhook, prove every store writable, probe the receiver, and record the plan.

    Changes nothing. The plan is an event of the asset ``featurebase://webhooks/<webhook>/plan``, which survives
    clears, retries and lost workers: a preflight that finds one of its own Dag run reuses it, so that a run
    refreshes at most once however often it is cleared.

    :param webhook_name: the webhook's exact name in Featurebase, where no ``webhook_id`` is given. (templated)
    :param stores: where the secret goes; stores, or mappings as in the rotation file.
    :param mode: ``rotate``, ``distribute`` or ``dry_run``. (templated)
    :param reason: why, for the report. (templated)
    :param probe: whether the receiver must accept an event signed with the current secret.
    :param probe_options: further arguments of :class:`~featurebase_provider.rotation.probe.Probe`.
    :param late_start: a scheduled run that starts later than this after its ``run_after`` is skipped.
    :param min_age: a scheduled run that finds a younger secret is skipped.
    :param previous_for: how long a store keeps the previous secret.
    :param allow_inactive: whether a webhook that is not active may be rotated.
    :param rotate_task_id: the rotate task of the same Dag, whose result names the plan where the event is gone.
    :returns: the plan; see :class:`~featurebase_provider.rotation.plan.RotationPlan`.
    :raises AirflowSkipException: a scheduled run is too late, the secret too young, or the run a backfill.
    :raises AirflowFailException: there is a reason not to start; the message names every one.
    """

    template_fields: Sequence[str] = (*FeaturebaseOperator.template_fields, "webhook_name", "mode", "reason")
    stat = "preflight"

    def __init__(
        self,
        *,
        webhook_name: str | None = None,
        stores: Sequence[Store | Mapping[str, Any]] = (),
        mode: str = "rotate",
        reason: str = "",
        probe: bool = False,
        probe_options: Mapping[str, Any] | None = None,
        late_start: timedelta | None = timedelta(hours=1),
        min_age: timedelta | None = timedelta(days=1),
        previous_for: timedelta = timedelta(hours=8),
        allow_inactive: bool = False,
        rotate_task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
        self.rotate_task_id = rotate_task_id

    def run(self, context: Context) -> dict[str, Any]:
        """Check, prove, and record the plan."""
        asset = plan_asset(self.display_name)
        plans = plan_extras(context, self.display_name)
        plan = self.recorded_plan(context, plans, self.rotate_task_id)
        if plan is not None:
            self.log.info(
                "This Dag run has a plan already (secret %s); it is kept, so that the run refreshes at most once",
                plan.before,
            )
        else:
            plan = self._new_plan(context, plans)
        context["outlet_events"][asset].extra = plan.as_json()
        return plan.as_json()

    def _new_plan(self, context: Context, plans: Sequence[Mapping[str, Any]]) -> RotationPlan:
        mode = checked_mode(self.mode, self.webhook_id)
        timing = timing_of(context)
        self._skip(why_no_backfill(timing))
        self._skip(why_late(timing, now=datetime.now(tz=timezone.utc), late_start=self.late_start))
        reports = report_extras(context, self.display_name)
        with self.hook.get_conn() as client:
            webhook = find_current(client, self.webhook_id, self.webhook_name, reports)
            current = secret_of(webhook).fingerprint
            now = client.clock.now()
            self._skip(
                why_too_young(timing, refreshed_at=refreshed_at(reports, current), now=now, min_age=self.min_age)
            )
            plan = make_plan(
                webhook,
                run_id=context["run_id"],
                dag_id=context["ti"].dag_id,
                host=client.settings.base_url,
                mode=mode,
                planned_at=now.isoformat(),
                reason=one_line(str(self.reason or ""), 500),
                known=known_fingerprints([*reports, *plans], webhook.id),
                drop_previous=previous_is_over(reports, current, now=now, previous_for=self.previous_for),
                allow_inactive=self.allow_inactive,
                leaked=leaked_in([*plans, *reports], webhook.id),
            )
        self.log.info(
            "Webhook %s (%r), %s, secret %s, mode %s",
            webhook.id,
            one_line(webhook.name),
            webhook.status,
            current,
            mode,
        )
        self._prove_stores(plan)
        if self.probe and mode != "distribute":
            self._probe(webhook, client.clock)
        return plan

    def _skip(self, why: str | None) -> None:
        if why is not None:
            raise AirflowSkipException(f"Skipped: {why}")

    def _prove_stores(self, plan: RotationPlan) -> None:
        checks = check_stores(resolve_stores(self.stores), write_rule(plan), current=plan.before)
        for check in checks:
            if check.writability is not None:
                verdict = "writable" if check.writability.proven else "reachable, not provable"
                self.log.info("Store %s: %s (%s)", check.name, verdict, check.writability.detail)
        problems = [check.problem for check in checks if check.problem is not None]
        if not problems:
            return
        why = "; ".join(str(problem) for problem in problems)
        summary = f"{len(problems)} of {len(checks)} stores are not ready: {why}"
        if plan.mode == "distribute":
            self.log.warning("%s. The other stores are brought up to date all the same", summary)
            return
        refusal = StoresNotReady if all(problem.retry_helps for problem in problems) else PlanRefused
        raise refusal(plan.webhook_id, f"{summary}. Nothing was changed; mend what is named, then clear this task")

    def _probe(self, webhook: Webhook, clock: ServerClock) -> None:
        options = {**(self.probe_options or {}), "successes": 1, "steady": 0.0}
        probe = Probe(
            webhook,
            say=lambda text: self.log.info("%s", text),
            wall=lambda: clock.now().timestamp(),
            **options,
        )
        probe = replace(probe, timeout=min(probe.timeout, PROBE_SECONDS))
        outcome = probe.run(secret_of(webhook))
        if not outcome.passed:
            raise outcome.failure(
                webhook.id,
                f"the probe with the current secret did not pass: {outcome.detail}. Nothing was changed",
            )
        self.log.info("Probe with the current secret: %s", outcome.detail)


def timing_of(context: Context) -> RunTiming:
    """When this Dag run was due, and whether by schedule."""
    run: Any = context["dag_run"]
    run_type = str(getattr(run.run_type, "value", run.run_type))
    return RunTiming(run_type == "scheduled", run.run_after, backfill=run_type == "backfill")


def find_current(client: Client, webhook_id: str, name: str | None, reports: Sequence[Mapping[str, Any]]) -> Webhook:
    """Like :func:`find_webhook`, by a read that reports don't show to be stale.

    From a stale baseline rotate would refresh nothing: it would find the secret replaced already.

    :raises StaleRead: Featurebase goes on showing a secret that was replaced.
    """
    webhook = find_webhook(client, webhook_id, name)
    lineage = Lineage(replaced=set(replaced_fingerprints(reports, webhook.id)))
    return read_current(client, webhook.id, lineage, patience=STALE_SECONDS) if lineage.is_stale(webhook) else webhook


def find_webhook(client: Client, webhook_id: str, name: str | None) -> Webhook:
    """Read the webhook by id, or find the one with exactly this name.

    :raises PlanRefused: no webhook has the name, or several have.
    :raises ApiError: Featurebase could not be read.
    """
    if webhook_id or name is None:
        return client.get_webhook(webhook_id)
    found = [webhook for webhook in client.list_webhooks() if webhook.name == name]
    if len(found) != 1:
        ids = ", ".join(webhook.id for webhook in found)
        problem = f"{len(found)} webhooks ({ids}) have the name" if found else "no webhook has the name"
        raise PlanRefused(
            "(by name)",
            f"{problem} {one_line(name)!r}; nothing was changed. Name it by webhook_id in the rotation file",
        )
    return client.get_webhook(found[0].id)
