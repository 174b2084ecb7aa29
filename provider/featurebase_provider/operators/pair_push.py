"""Makes sure that one store holds what a pair needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider import rotation
from featurebase_provider.operators.pair_task import PairTask
from featurebase_provider.operators.push import PushWebhookSecretOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.featurebase.client import Client
    from featurebase_provider.rotation.one_store import WriteRule
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.push import Source
    from featurebase_provider.rotation.rotate import RotationOutcome


class PushPairOperator(PairTask, PushWebhookSecretOperator):
    """Update one store to the secrets of a pair, without refreshing. It is always safe to run again."""

    def state_if_it_fails(self, context: Context) -> str:
        """Nothing depends on the new secret yet, and the live one is left where it is."""
        return "Deliveries go on with the live webhook's secret; this store may not hold both secrets yet"

    def desired(
        self, context: Context, client: Client, plan: RotationPlan, rotated: RotationOutcome | None
    ) -> tuple[Source, WriteRule]:
        """What the store must hold, and the rules for writing it."""
        rotation.pair_records.pair_of(plan)
        records = self.pair_records(context, plan.host)
        source = records.source(client, plan, self.previous_for, now=client.clock.now, rotated=rotated)
        return source, records.rule(plan, rotated)
