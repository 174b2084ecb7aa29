"""Makes sure that one store holds Featurebase's current secret."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.push import Pushed, Source
    from featurebase_provider.rotation.rotate import RotationOutcome
    from featurebase_provider.rotation.store import Store


class PushWebhookSecretOperator(FeaturebaseOperator):
    """Update one store to Featurebase's current secret, without refreshing.

    It reads the store and Featurebase, compares fingerprints, writes only if they differ, reads the store back, and
    reads Featurebase again until both agree. It is always safe to run again.

    :param store: the store, or a mapping as in the rotation file.
    :param rotate_task_id: the rotate task of the same Dag run, or None to work alone.
    :returns: the store's outcome; see :class:`~featurebase_provider.rotation.all_stores.StoreOutcome`, and
        ``pushed_at`` (server time, ISO 8601). Never the secret.
    :raises StoreError: the store refused or did not answer; Airflow retries where that can help.
    """

    stat = "push"

    def __init__(self, *, store: Store | Mapping[str, Any], rotate_task_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = store
        self.rotate_task_id = rotate_task_id

    def state_if_it_fails(self, context: Context) -> str:
        """The refresh is done, and this store may still hold the old secret."""
        return "A refresh can't be undone, and this store may not hold the current secret until this task succeeds"

    def run(self, context: Context) -> dict[str, Any]:
        """Update the store and return what it holds."""
        (store,) = operators.stores.resolve_stores([self.store])
        rotated = self.rotation(context, self.rotate_task_id)
        with self.hook.get_conn() as client:
            plan = rotated.plan if rotated else self._plan_alone(context, client)
            source, terms = self.desired(context, client, plan, rotated)
            pushed = push_here(source, store, rotation.all_stores.rule_for(store, terms))
            pushed_at = client.clock.now().isoformat()
        outcome = self._outcome(store, pushed, rotated)
        if pushed.changed:
            operators.figures.tell_of_stores(self.display_name, [store], [outcome], of_pair=plan.pair is not None)
        held = outcome.detail or f"holds {outcome.fingerprint}"
        self.log.info("Store %s (%s): %s, %s", outcome.label, outcome.target, outcome.result, held)
        return {**asdict(outcome), "pushed_at": pushed_at if pushed.changed else None}

    def desired(
        self, context: Context, client: Client, plan: RotationPlan, rotated: RotationOutcome | None
    ) -> tuple[Source, WriteRule]:
        """What the store must hold, and the rules for writing it."""
        self.check_single(plan)
        # Emergencies and later rotations may have run since: secrets that they replaced must not be written again.
        history = self.recall(context, operators.memory.memory_of(context, plan.host, plan.webhook_id))
        terms = operators.stores.write_rule(plan, also_known=rotated.known if rotated else ())
        order = rotation.history.order_of(plan, rotated, history, client.clock.now())
        return rotation.push.OneWebhook(client, plan.webhook_id, order), terms.knowing(
            known=history.known, leaked=history.leaked
        )

    def _plan_alone(self, context: Context, client: Client) -> RotationPlan:
        return rotation.plan.make_plan(
            client.get_webhook(self.webhook_id),
            operators.context.this_run(context),
            host=client.settings.base_url,
            mode="distribute",
            planned_at=client.clock.now().isoformat(),
        )

    def _outcome(self, store: Store, pushed: Pushed, rotated: RotationOutcome | None) -> StoreOutcome:
        earlier = rotated.stores.get(store.label) if rotated else None
        fingerprint = pushed.webhook.fingerprint
        held_before = not pushed.changed or not pushed.readable  # what can't be read is written each time
        if earlier is not None and held_before and earlier.fingerprint == fingerprint:
            return earlier
        readable = confirmed = None
        if rotated is not None and rotated.posted is not None and pushed.written_at is not None:
            readable = rotation.clock.milliseconds_between(rotated.posted, pushed.written_at)
            confirmed = rotation.clock.milliseconds_between(rotated.posted, rotation.clock.SYSTEM_CLOCK.moment())
        result = "written" if pushed.changed else "unchanged"
        detail = None if pushed.readable else rotation.all_stores.NOT_READABLE
        return rotation.all_stores.StoreOutcome(
            store.label,
            store.target,
            result,  # type: ignore[arg-type]
            fingerprint,
            readable,
            confirmed,
            detail=detail,
            write_ms=pushed.write_ms,
        )


def push_here(source: Source, store: Store, rule: WriteRule) -> Pushed:
    """Connect to a store and update it, on this thread."""

    def push() -> Pushed:
        with rotation.all_stores.connected(store) as armed:
            return rotation.push.push_until_agreed(source, armed, rule)

    return rotation.jobs.run_here(f"{store.label} ({store.target})", push)
