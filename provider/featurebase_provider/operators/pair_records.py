"""Reads the records of a pair for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.operators.memory import memory_of
from featurebase_provider.operators.stores import this_airflow
from featurebase_provider.rotation.pair_records import PairRecords

if TYPE_CHECKING:
    from airflow.sdk import Context

    from featurebase_provider.operators.base import FeaturebaseOperator


def recall_pair(
    task: FeaturebaseOperator, context: Context, host: str, ids: tuple[str, str], *, strict: bool = False
) -> PairRecords:
    """What earlier tasks and runs recorded about a pair.

    :param ids: the ids of both webhooks, in the order of the rotation file.
    :param strict: True raises an error for a record that can't be read; False logs it and goes on without it.
    :raises MemoryUnknown: a record can't be read, and ``strict`` is on.
    """
    return PairRecords.read(
        ids,
        memory_of=lambda webhook_id: memory_of(context, host, webhook_id),
        recall=lambda records: task.recall(context, records, strict=strict),
        managed_from=this_airflow(),
        tolerate=None if strict else task.warn_unknown,
    )
