"""What the tasks of a pair's rotation share: which webhooks the pair has, and what earlier tasks and runs recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from featurebase_provider import operators, rotation
from featurebase_provider.operators.base import FeaturebaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.pair_records import PairRecords


class PairTask(FeaturebaseOperator):
    """Base class of the tasks of a pair's rotation.

    :param webhook_ids: the ids of both webhooks, in the order of the rotation file.
    :param previous_for: how long stores keep the secret of the half that is not live.
    """

    def __init__(
        self, *, webhook_ids: tuple[str, str], previous_for: timedelta = timedelta(hours=8), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.webhook_ids = webhook_ids
        self.previous_for = previous_for

    @property
    def is_of_pair(self) -> bool:
        """Always."""
        return True

    def pair_memory(self, context: Context, host: str) -> WebhookMemory:
        """The records of the pair: its plans, and the steps of its cut-overs."""
        return operators.memory.memory_of(context, host, rotation.moves.pair_id(self.webhook_ids))

    def pair_records(self, context: Context, host: str, *, strict: bool = False) -> PairRecords:
        """What was recorded about the pair; see :func:`~featurebase_provider.operators.pair_records.recall_pair`."""
        from featurebase_provider.operators.pair_records import recall_pair

        return recall_pair(self, context, host, self.webhook_ids, strict=strict)
