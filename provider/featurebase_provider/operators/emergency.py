"""Operators for a leaked signing secret: replace it at once, whatever else is broken, and remove it from all stores."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.airflow_compat import AirflowSkipException
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.operators.assets import EVENTS, secret_asset
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.probe import ProbeReceiverOperator
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow.sdk import Context
    from pydantic import JsonValue

    from featurebase_provider.config import WebhookConfig
    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.push import AllPushed, Source
    from featurebase_provider.rotation.rotate import RotationOutcome


class EmergencyTask(FeaturebaseOperator):
    """Base class of the tasks of one webhook's branch. Each branch gets its webhook by name.

    :param webhooks: the configured webhooks, by name. Never stored: they stay in the Dag file's process.
    :param webhook: the branch's webhook. (templated)
    :param wrong: invalid entries of the rotation file, each with its error.
    """

    template_fields: Sequence[str] = ("webhook",)
    finds_webhook = True

    def __init__(
        self, *, webhooks: Mapping[str, WebhookConfig], wrong: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.webhooks = webhooks
        self.wrong = wrong or {}

    @property
    def is_of_pair(self) -> bool:
        """Whether the branch's entry names a pair."""
        config = self.webhooks.get(self.display_name)
        return config is not None and config.webhook_ids is not None

    def chosen(self) -> WebhookConfig:
        """The branch's webhook. After this call the task uses that webhook's connection.

        :raises PlanRefused: the rotation file has no valid entry of this name.
        """
        config = self.webhooks.get(self.display_name)
        if (problem := self.wrong.get(self.display_name)) is not None:
            raise rotation.errors.PlanRefused(
                one_line(self.display_name),
                f"its entry in the rotation file is invalid: {problem}. Nothing was changed for this webhook. Fix the "
                "entry, then trigger the Dag again for it; the other chosen webhooks are rotated anyway",
            )
        if config is None:
            raise rotation.errors.PlanRefused(
                one_line(self.display_name),
                f"the rotation file has no webhook of this name; nothing was changed. Known: "
                f"{', '.join(self.webhooks)}. The other chosen webhooks are rotated anyway; trigger the Dag again for "
                "this one",
            )
        self.featurebase_conn_id = config.featurebase_conn_id
        self.dashboard_url = config.dashboard_url
        self.webhook_id = config.webhook_id or self.webhook_id
        return config

    def plan_key(self, context: Context) -> str:
        """The key of the branch's plan. It uses the webhook's name, since another choice changes the map index."""
        ti = context["ti"]
        return rotation.memory.plan_key(ti.dag_id, self.plan_task_id or ti.task_id, self.display_name)


class EmergencyPlanOperator(EmergencyTask):
    """Read the webhook and record its current and all earlier secrets as leaked.

    The leaked fingerprints and the plan are kept in Airflow Variables. Every later task that writes a store reads the
    leaked fingerprints. A plan of the same Dag run is reused, so that a run refreshes a webhook at most once, however
    often it is cleared. Variables that can't be read or written do not delay the emergency.

    :param reason: the reason, for the report. (templated)
    :param rotate_task_id: the branch's rotate task.
    :returns: the plan; see :class:`~featurebase_provider.rotation.plan.RotationPlan`.
    :raises AirflowFailException: the webhook can't be read, and a retry can't help; nothing was changed.
    """

    template_fields: Sequence[str] = (*EmergencyTask.template_fields, "reason")
    stat = "emergency_plan"

    def __init__(self, *, rotate_task_id: str, reason: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rotate_task_id = rotate_task_id
        self.reason = reason

    def run(self, context: Context) -> dict[str, Any]:
        """Record the plan, or the plans of both webhooks of a pair."""
        from featurebase_provider.operators.emergency_plan import EmergencyPlanner
        from featurebase_provider.operators.pair_emergency_plan import plan_both

        config = self.chosen()
        with self.hook.get_conn() as client:
            planner = EmergencyPlanner(
                self, context, config, client.settings.base_url, self.rotate_task_id, self.reason
            )
            if config.webhook_ids is not None:
                return plan_both(planner, client).as_json()
            webhook = rotation.find.find_webhook(client, config.webhook_id or "", config.webhook_name)
            self.webhook_id = webhook.id
            self.found = rotation.found.Found.of(webhook, planner.host)
            return planner.plan(
                webhook,
                client.clock.now(),
                of_result=lambda: self.plan_left_by_rotate(context, self.rotate_task_id),
            ).as_json()


class EmergencyRotateOperator(EmergencyTask, RotateWebhookSecretOperator):
    """Refresh the secret of the branch's webhook, once, and write it to every store that accepts it.

    Only a failure of Featurebase itself delays the refresh. A store that is not ready, or holds a foreign value, is
    left to the push task.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            stores=(),
            without_stores="they are those of the branch's webhook",
            require_all_stores=False,
            **kwargs,
        )

    def run(self, context: Context) -> dict[str, Any]:
        """Refresh and distribute."""
        config = self.chosen()
        if config.webhook_ids is not None:
            return self._replace_both(context, config)
        return self.refresh_and_distribute(context, config.stores, config.refresh_grace)

    def _replace_both(self, context: Context, config: WebhookConfig) -> dict[str, Any]:
        """The same for a pair."""
        from featurebase_provider.operators.emergency_plan import EmergencyPlanner
        from featurebase_provider.operators.pair_emergency import replace_pair

        with self.hook.get_conn() as client:
            host = client.settings.base_url

            def may_post(plan: RotationPlan) -> None:
                self.check_may_post(
                    context, plan, operators.memory.memory_of(context, host, plan.webhook_id), (), client.clock.now()
                )

            def keep(outcome: RotationOutcome) -> None:
                memory = operators.memory.memory_of(context, host, outcome.plan.webhook_id)
                self.keep_history(context, memory, outcome, operators.stores.previous_targets(config.stores))

            planner = EmergencyPlanner(self, context, config, host, context["ti"].task_id, "")
            return replace_pair(planner, client, may_post=may_post, keep=keep)

    def leaked(self, memory: WebhookMemory) -> frozenset[str]:
        """The secrets recorded as leaked by now; nothing beyond the plan's if the record can't be read."""
        try:
            return memory.leaked()
        except rotation.errors.MemoryUnknown as exc:
            self.warn_unknown(exc)
            return frozenset()

    def check_may_post(
        self, context: Context, plan: RotationPlan, memory: WebhookMemory, targets: tuple[str, ...], now: datetime
    ) -> None:
        """Never prevent an emergency refresh; record the replaced secrets as leaked, at the latest now."""
        try:
            memory.add_leaked(plan.leaked)
        except rotation.errors.MemoryUnknown as exc:
            self.log.error("%s. The emergency continues; other runs may not know yet what has leaked", exc.summary)


class EmergencyPushOperator(EmergencyTask):
    """Update every store of the branch's webhook to Featurebase's current secret, and remove the previous secret.

    The task fails, and Airflow retries it, until every store holds the secret. A failing store does not delay the
    others.

    :param rotate_task_id: the branch's rotate task.
    :param announce: whether to emit the event ``featurebase://webhooks/<webhook>/signing-secret`` on success.
    :returns: ``fingerprint``, and ``stores``: each store's outcome by label. Never the secret.
    :raises StoresLeftOver: stores do not hold it yet; the message names each and the reason.
    :raises AirflowFailException: only stores with a foreign value are left.
    """

    stat = "emergency_push"

    def __init__(self, *, rotate_task_id: str, announce: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_outlets([EVENTS])
        self.rotate_task_id = rotate_task_id
        self.announce = announce

    def state_if_it_fails(self, context: Context) -> str:
        """The refresh is done, and some stores may still hold the leaked secret."""
        return (
            "Featurebase no longer signs with the leaked secret, but some stores may not hold the new one until this "
            "task succeeds"
        )

    def run(self, context: Context) -> dict[str, Any]:
        """Update all stores and return what each holds."""
        from featurebase_provider.operators.emergency_stores import require_all, since_the_refresh
        from featurebase_provider.operators.pair_emergency import source_after

        config = self.chosen()
        rotated = self.rotated(context, self.rotate_task_id)
        with self.hook.get_conn() as client:
            source: Source
            if config.webhook_ids is not None:
                source, terms = source_after(self, context, client, config, self.rotate_task_id)
            else:
                plan = rotated.plan
                history = self.recall(context, operators.memory.memory_of(context, plan.host, plan.webhook_id))
                terms = operators.stores.write_rule(plan, also_known=[*rotated.known, *history.known]).knowing(
                    leaked=history.leaked
                )
                source = rotation.push.OneWebhook(
                    client, plan.webhook_id, rotation.history.order_of(plan, rotated, history, client.clock.now())
                )
            pushed = rotation.push.push_all_until_agreed(source, config.stores, terms)
        outcomes = {label: since_the_refresh(outcome, rotated) for label, outcome in pushed.stores.items()}
        result = {
            "fingerprint": pushed.webhook.fingerprint,
            "stores": {label: asdict(outcome) for label, outcome in outcomes.items()},
        }
        # The report needs to know what the stores hold, even if this try fails.
        context["ti"].xcom_push(key="return_value", value=result)
        for outcome in outcomes.values():
            if outcome.holds_secret:
                self.log.info("Store %s (%s): %s", outcome.label, outcome.target, outcome.result)
        written = [outcomes[label] for label, outcome in pushed.stores.items() if outcome.result == "written"]
        operators.figures.tell_of_stores(self.display_name, config.stores, written)
        require_all(pushed)
        if self.announce:
            self._announce(config, context, rotated, pushed)
        return result

    def _announce(self, config: WebhookConfig, context: Context, rotated: RotationOutcome, pushed: AllPushed) -> None:
        extra: dict[str, JsonValue] = {
            "host": rotated.plan.host,
            "webhook_id": pushed.webhook.id,
            "fingerprint": pushed.webhook.fingerprint,
            "refreshed_at": rotated.refreshed_at,
        }
        context["outlet_events"][EVENTS].add(secret_asset(config.name), extra=extra)
        self.log.info("All stores hold %s", pushed.webhook.fingerprint)


class EmergencyProbeOperator(EmergencyTask, ProbeReceiverOperator):
    """Test that the receiver of the branch's webhook accepts the new secret; skipped if no probe is configured."""

    def run(self, context: Context) -> dict[str, Any]:
        """Probe as configured."""
        from featurebase_provider.operators.pair_emergency import probe_both

        config = self.chosen()
        if config.probe is None:
            raise AirflowSkipException("Skipped: no probe is configured for this webhook")
        if config.webhook_ids is not None:
            return probe_both(self, context, config, str(self.rotate_task_id), config.probe.options)
        return self.probe_receiver(context, config.probe.options)


def longest_probe(webhooks: Mapping[str, WebhookConfig]) -> timedelta:
    """How long a branch's probe may take."""
    return max((config.probe.longest for config in webhooks.values() if config.probe is not None), default=timedelta())
