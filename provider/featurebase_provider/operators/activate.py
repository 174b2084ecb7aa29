"""Sets the refreshed half of a pair active, once both secrets are in every store and the receiver has accepted both."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.context import pulled
from featurebase_provider.operators.pair_records import PairRecords, pair_of
from featurebase_provider.operators.stores import resolve_stores
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.clock import Clock
from featurebase_provider.rotation.current import secret_of
from featurebase_provider.rotation.errors import RotationError, StoresDisagree, StoresUnread
from featurebase_provider.rotation.history import CLOCK_STEPS
from featurebase_provider.rotation.moves import Move, keep_move
from featurebase_provider.rotation.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.pair_reading import PairSource
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.store import Store

PROBE_SECONDS = 15.0


class HalfNotActivated(RotationError):
    """The refreshed half of a pair must not be set active; deliveries go on as before."""

    retry_helps = False


class ActivationUnknown(RotationError):
    """Featurebase does not show whether the half was set active; a retry looks again."""


class ActivateStandbyOperator(FeaturebaseOperator):
    """Set the half of a pair active to which the deliveries move. From then on each event is delivered twice.

    Directly before that it reads every store, sends one probe for each half, and records the moment. It does nothing in
    a run that moves no deliveries. It is safe to run again.

    :param webhook_ids: the ids of both webhooks, in the order of the rotation file.
    :param stores: the stores, which must hold both secrets.
    :param rotate_task_id: the rotate task of the same Dag run.
    :param probe_task_id: its probe task.
    :param probe_options: further arguments of :class:`~featurebase_provider.rotation.probe.Probe`.
    :param previous_for: how long stores keep the secret of the half that is not live.
    :returns: ``webhook_id``, ``moves`` (whether the run moves deliveries) and ``at`` (server time, ISO 8601).
    :raises HalfNotActivated: the plan is not the newest, the secret has leaked or was changed since the probe.
    :raises StoresDisagree: a store does not hold both secrets.
    :raises ProbeFailed: the receiver refuses one of them.
    :raises ActivationUnknown: it is unknown whether the half is active; a retry looks again.
    """

    stat = "activate"

    def __init__(
        self,
        *,
        webhook_ids: tuple[str, str],
        stores: Sequence[Store | Mapping[str, Any]],
        rotate_task_id: str,
        probe_task_id: str,
        probe_options: Mapping[str, Any] | None = None,
        previous_for: timedelta = timedelta(hours=8),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.webhook_ids = webhook_ids
        self.stores = stores
        self.rotate_task_id = rotate_task_id
        self.probe_task_id = probe_task_id
        self.probe_options = probe_options
        self.previous_for = previous_for

    def state_if_it_fails(self, context: Context) -> str:
        """Both secrets are valid and in the stores, whichever half delivers."""
        return "The stores hold both secrets, so no delivery is refused, whether or not the webhook was set active"

    def run(self, context: Context) -> dict[str, Any]:
        """Check everything once more, record the moment, and set the half active."""
        plan = self.rotated(context, self.rotate_task_id).plan
        pair_plan = pair_of(plan)
        result: dict[str, Any] = {"webhook_id": plan.webhook_id, "moves": True, "at": None}
        if plan.mode not in ("rotate", "revert") or pair_plan.was_live == plan.webhook_id.lower():
            self.log.info("This run moves no deliveries; there is nothing to do")
            return {**result, "moves": False}
        with self.hook.get_conn() as client:
            records = PairRecords.read(self, context, plan.host, self.webhook_ids, strict=True)
            self._check_newest(context, plan, records)
            self._wait(context, client)
            source = records.source(
                client,
                plan,
                self.previous_for,
                now=client.clock.now,
                rotated=self.rotated(context, self.rotate_task_id),
            )
            webhook = self._ready_half(context, client, plan, records, source)
            if webhook.status == ACTIVE:
                self.log.info("Webhook %s is active already", webhook.id)
            at = self._recorded(client, plan, records, webhook)
            if webhook.status != ACTIVE:
                self._activate(client, source, webhook)
            return {**result, "at": at}

    def _check_newest(self, context: Context, plan: RotationPlan, records: PairRecords) -> None:
        if not plan.is_same_as(records.memory.plan(self.plan_key(context))):
            raise HalfNotActivated(
                plan.webhook_id,
                "the plan of this Dag run is gone from Airflow's Variables, or another run's plan has replaced it, so "
                "this run must not move the deliveries; it was not set active. Trigger a new run",
            )

    def _wait(self, context: Context, client: Client) -> None:
        """Wait while a refresh that failed ambiguously may still take effect."""
        until = self.rotated(context, self.rotate_task_id).waits_until
        left = (datetime.fromisoformat(until) - client.clock.now()).total_seconds() if until is not None else 0.0
        if left > 0:
            self.log.warning(
                "A refresh of this run failed ambiguously and may still take effect, so the webhook is not set active "
                "for another %.0f s",
                left,
            )
            time.sleep(left)

    def _ready_half(
        self, context: Context, client: Client, plan: RotationPlan, records: PairRecords, source: PairSource
    ) -> Webhook:
        """The half that is to be set active, once all checks have passed."""
        with arming(resolve_stores(self.stores)) as ready:  # read before Featurebase
            pair = source.reader.read()
            _, wanted = source.wanted(pair)
            unread = "; ".join(str(problem) for problem in ready.problems.values())
            lacking = [ready.armed[label].name for label, held in ready.held.items() if not wanted.held_by(held)]
        webhook = pair.get(plan.webhook_id)
        if webhook is None or webhook.status not in (ACTIVE, PAUSED):
            state = "no longer exists" if webhook is None else f"is {webhook.status!r}"
            raise HalfNotActivated(plan.webhook_id, f"it {state}, so it was not set active. Deliveries go on as before")
        if lacking:
            raise StoresDisagree(
                webhook.id,
                f"not every store holds the secrets of both webhooks: {', '.join(lacking)}. The webhook was not set "
                "active; deliveries go on as before. Clear the push tasks and all tasks after them",
            )
        if unread:
            raise StoresUnread(
                webhook.id,
                f"not every store can be read: {unread}. The webhook was not set active; a retry reads again",
            )
        self._check_proven(context, webhook, records)
        self._probe_both(client, pair)
        return webhook

    def _check_proven(self, context: Context, webhook: Webhook, records: PairRecords) -> None:
        halves = (pulled(context, self.probe_task_id) or {}).get("halves") or {}
        proven = (halves.get(webhook.id) or {}).get("fingerprint")
        if webhook.fingerprint != proven:
            raise HalfNotActivated(
                webhook.id,
                f"its secret is {webhook.fingerprint}, but the receiver was probed with {proven}: it was refreshed "
                "again. It was not set active. Clear the push tasks and all tasks after them",
            )
        if webhook.fingerprint in records.leaked_by_now():
            raise HalfNotActivated(
                webhook.id, "its secret is recorded as leaked, so it was not set active. Trigger a new run"
            )

    def _probe_both(self, client: Client, pair: Pair) -> None:
        options = {**(self.probe_options or {}), "successes": 1, "steady": 0.0, "reject_check": False}
        options["timeout"] = min(float(options.get("timeout", PROBE_SECONDS)), PROBE_SECONDS)
        for webhook in pair.webhooks:
            clock = Clock(wall=lambda: client.clock.now().timestamp())
            outcome = Probe(webhook, say=self.log.info, clock=clock, **options).run(secret_of(webhook))
            if not outcome.passed:
                raise outcome.failure(
                    webhook.id,
                    f"{outcome.detail}. It was accepted in the probe task before. The webhook was not set active; "
                    "deliveries go on as before. Fix the receiver, then clear probe and all tasks after it",
                )

    def _recorded(self, client: Client, plan: RotationPlan, records: PairRecords, webhook: Webhook) -> str:
        """The moment from which deliveries may be signed with the new secret.

        :raises HalfNotActivated: an earlier try had set the half active, and somebody else has paused it since.
        """
        earlier, paused = records.moves.activated, records.moves.paused
        if earlier is not None and earlier.is_of(plan):
            if webhook.status == ACTIVE:
                return earlier.at
            was_us = paused is not None and paused.is_of(plan) and paused.webhook_id.lower() == webhook.id.lower()
            if not was_us:
                changed = webhook.updated_at
                if changed is not None and changed > earlier.moment + CLOCK_STEPS:
                    raise HalfNotActivated(
                        webhook.id,
                        f"this run began to set it active at {earlier.at}, and it was changed after that, at "
                        f"{changed.isoformat()}. It is paused: a person or Featurebase may have paused it, so it stays "
                        "so. Deliveries go on as before. Trigger a new run",
                    )
                return earlier.at
        at = client.clock.now().isoformat()
        keep_move(records.memory, "activated", Move.of(plan, plan.webhook_id, at))
        return at

    def _activate(self, client: Client, source: PairSource, webhook: Webhook) -> None:
        problem = ""
        try:
            source.reader.take(client.update_webhook(webhook.id, status="active"))
        except ApiError as exc:
            if exc.outcome_known:
                raise
            problem = f"{exc.summary}. "
        shown = source.reader.read().get(webhook.id)
        if shown is None or shown.status != ACTIVE:
            raise ActivationUnknown(
                webhook.id,
                f"{problem}Featurebase does not show it active after it was set so. The stores hold "
                "both secrets, so nothing is refused either way. A retry looks again",
            )
        self.log.info("Webhook %s is active: from now on each event is delivered twice", webhook.id)
