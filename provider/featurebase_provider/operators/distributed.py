"""Announces to other Dags that a webhook's secret is in all its stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.assets import EVENTS, secret_asset
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context
    from pydantic import JsonValue


class SecretDistributedOperator(FeaturebaseOperator):
    """Emit the asset event ``featurebase://webhooks/<webhook>/signing-secret``.

    A Dag scheduled on that asset can restart what reads the secret. The event's ``extra`` holds ``host``,
    ``webhook_id``, ``fingerprint`` and ``refreshed_at`` (ISO 8601, null if this run did not refresh). For a pair it
    also holds ``beside``: the fingerprint of the other webhook's secret, which the stores hold too.

    :param rotate_task_id: the rotate task of the same Dag run.
    :param push_task_ids: its push tasks.
    :returns: the event's ``extra``.
    :raises AirflowFailException: a push task left no result, or the stores hold different secrets, because somebody
        refreshed in between.
    """

    stat = "distributed"

    def __init__(self, *, rotate_task_id: str, push_task_ids: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_outlets([EVENTS])
        self.rotate_task_id = rotate_task_id
        self.push_task_ids = push_task_ids

    def run(self, context: Context) -> dict[str, Any]:
        """Emit the event if all stores hold the same secret."""
        rotated = self.rotated(context, self.rotate_task_id)
        pushed = {task_id: operators.context.pulled(context, task_id) for task_id in self.push_task_ids}
        without = [task_id for task_id, result in pushed.items() if result is None]
        if without:
            raise rotation.errors.StoresDisagree(
                self.webhook_id,
                f"{', '.join(without)} left no result (a task that was marked success by hand leaves none), so it is "
                "unknown what the stores hold, and nothing was announced. Clear these push tasks",
            )
        held = {str(result["fingerprint"]) for result in pushed.values() if result is not None} or {rotated.after}
        if len(held) > 1:
            raise rotation.errors.StoresDisagree(
                self.webhook_id,
                f"the stores hold different secrets ({', '.join(sorted(held))}): the secret was refreshed again "
                "between two push tasks. Clear the push tasks",
            )
        extra: dict[str, JsonValue] = {
            "host": rotated.plan.host,
            "webhook_id": rotated.plan.webhook_id,
            "fingerprint": held.pop(),
            "refreshed_at": rotated.refreshed_at,
        }
        if rotated.beside is not None:
            extra["beside"] = rotated.beside
        context["outlet_events"][EVENTS].add(secret_asset(self.display_name), extra=extra)
        self.log.info("All stores hold %s", extra["fingerprint"])
        return extra
