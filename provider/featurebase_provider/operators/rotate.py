"""Refresh the signing secret and have it in every store, in one process."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import AirflowSkipException, remember, remembered
from featurebase_provider.operators.base import FeaturebaseOperator, is_later_try, resolve_stores, write_rule
from featurebase_provider.operators.preflight import timing_of
from featurebase_provider.rotation.errors import RefreshRefused, StoresNotReady
from featurebase_provider.rotation.plan import RotationPlan, make_plan
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.rotate import RotationOutcome, rotate
from featurebase_provider.rotation.schedule import why_late

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.store import Store

BASELINE = "featurebase_baseline"


class RotateWebhookSecretOperator(FeaturebaseOperator):
    """Refresh one webhook's signing secret, once, and write it to all stores at once.

    A retry is safe: with a plan, the secret is refreshed only while it still has the fingerprint that the plan
    saw; whatever happened to an earlier try, this one ends with the stores holding Featurebase's current secret.
    There is no way back to the old secret: Featurebase invalidates it at once.

    Without ``plan_task_id`` the operator takes its own baseline. On Airflow 3.3 that is kept in the task state
    store and a retry goes by it. On 3.1 and 3.2 nothing survives a try, so a retry after a crash between refresh
    and result takes a new baseline and **refreshes a second time**; the receivers fail once more until the
    stores have the newer secret. Use a preflight task to rule that out.

    :param stores: where the secret goes; stores, or mappings as in the rotation file.
    :param refresh_grace: how long to look for the effect of a refresh that got no answer.
    :param late_start: a scheduled run later than this after its ``run_after`` does not refresh.
    :param allow_inactive: whether a webhook that is not active may be refreshed.
    :param require_all_stores: whether a store that can't be armed holds the refresh back. False only for a secret
        that has leaked.
    :param fail_on_store_error: whether a store that was not written fails the task, for Dags without push tasks.
        Default: only without a plan.
    :returns: the outcome; see :class:`~featurebase_provider.rotation.rotate.RotationOutcome`. Never the secret.
    :raises AirflowSkipException: the run is a dry run.
    :raises AirflowFailException: the refresh was refused; the secret is unchanged.
    :raises RefreshOutcomeUnknown: no usable answer and no change within the grace; a retry compares again.
    """

    stat = "rotate"

    def __init__(
        self,
        *,
        stores: Sequence[Store | Mapping[str, Any]] = (),
        refresh_grace: timedelta = timedelta(seconds=60),
        late_start: timedelta | None = timedelta(hours=1),
        allow_inactive: bool = False,
        require_all_stores: bool = True,
        fail_on_store_error: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stores = stores
        self.refresh_grace = refresh_grace
        self.late_start = late_start
        self.allow_inactive = allow_inactive
        self.require_all_stores = require_all_stores
        self.fail_on_store_error = fail_on_store_error

    def run(self, context: Context) -> dict[str, Any]:
        """Arm, compare, refresh, distribute."""
        stores = resolve_stores(self.stores)
        with self.hook.get_conn() as client:
            plan = self._plan(context, client)
            if plan.mode == "dry_run":
                raise AirflowSkipException("Skipped: a dry run changes nothing")
            swap = CompareAndSwap(
                api=client,
                plan=plan,
                grace=self.refresh_grace.total_seconds(),
                later_attempt=is_later_try(context),
                allow_inactive=self.allow_inactive,
                may_post=lambda: self._hold_if_late(context, plan),
                say=lambda text: self.log.warning("%s", text),
            )
            outcome = rotate(
                swap,
                stores,
                write_rule(plan),
                server_now=client.clock.now,
                wall=time.time,
                require_all=self.require_all_stores,
                leaked=lambda: self.leaked(context, plan),
            )
        self._tell(outcome)
        strict = self.plan_task_id is None if self.fail_on_store_error is None else self.fail_on_store_error
        missing = [f"{one.label}: {one.problem}" for one in outcome.stores.values() if not one.holds_secret]
        if missing and strict:
            raise StoresNotReady(
                plan.webhook_id,
                f"the secret is {outcome.after} now, and {len(missing)} stores do not hold it: {'; '.join(missing)}. "
                "A retry distributes without refreshing again",
            )
        return outcome.as_json()

    def standing(self, context: Context) -> str:
        """In its first try nothing has happened; later on an earlier try may have refreshed."""
        if not is_later_try(context):
            return ""
        return "This try has refreshed nothing, and whether an earlier one has is found out by the next"

    def _plan(self, context: Context, client: Client) -> RotationPlan:
        if self.plan_task_id is not None:
            plan = self.plan(context)
            told = self.reported(context, plan) if is_later_try(context) else ()
            return replace(plan, known=tuple(dict.fromkeys((*plan.known, *told))))
        webhook = client.get_webhook(self.webhook_id)
        own = make_plan(
            webhook,
            run_id=context["run_id"],
            dag_id=context["ti"].dag_id,
            host=client.settings.base_url,
            mode="rotate",
            planned_at=client.clock.now().isoformat(),
            allow_inactive=self.allow_inactive,
        )
        before = remembered(context, BASELINE)
        if before is None:
            remember(context, BASELINE, own.before)
            return own
        return RotationPlan.from_json({**own.as_json(), "before": before, "updated_at": None})

    def _hold_if_late(self, context: Context, plan: RotationPlan) -> None:
        late = why_late(timing_of(context), now=datetime.now(tz=timezone.utc), late_start=self.late_start)
        if late is not None:
            raise RefreshRefused(plan.webhook_id, late)

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
