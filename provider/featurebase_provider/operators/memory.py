"""Keeps the rotation's records in Airflow Variables, which survive clears, retries, purges and lost workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurebase_provider.airflow_compat import asset_event_extras
from featurebase_provider.rotation.errors import MemorySpoilt, MemoryUnknown, StoreError
from featurebase_provider.rotation.memory import LARGEST_RECORD, WebhookMemory
from featurebase_provider.stores.shared.airflow_channel import get_variable, is_listed, put_variable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset, Context

DESCRIPTION = "Record of airflow-provider-featurebase about a webhook's rotations. Holds no secret; do not edit"
PREFLIGHT = "preflight"
"""The task that makes the plans of a rotation Dag."""
NEWEST_EVENTS = 200
"""Most events of one asset that are read if there is no record yet; the newest ones, on Airflow 3.2 and later."""


class VariableMemory:
    """Stores records in Variables. Call it only on the task's main thread.

    :param webhook_id: whose records, for messages.
    """

    def __init__(self, webhook_id: str) -> None:
        self.webhook_id = webhook_id

    def read(self, name: str) -> str | None:
        """The record; None only if Airflow has no such Variable.

        :raises MemoryUnknown: Airflow could not be asked.
        :raises MemorySpoilt: the Variable exists but can't be decrypted (detected from Airflow 3.3 on).
        """
        try:
            text = get_variable(name, name)
            hidden = text is None and is_listed(name, name)
        except StoreError as exc:
            raise self._unknown(name, exc) from None
        if hidden:
            raise MemorySpoilt(self.webhook_id, name, "exists but can't be decrypted with the current Fernet key")
        return text

    def write(self, name: str, text: str) -> None:
        """Set the Variable and read it back: a secrets backend or an environment variable may hide it.

        :raises MemoryUnknown: Airflow could not be asked.
        :raises MemorySpoilt: a read returns another value than was set, or the record is too large.
        """
        if len(text.encode()) > LARGEST_RECORD:
            raise MemorySpoilt(self.webhook_id, name, f"would be longer than {LARGEST_RECORD} bytes")
        try:
            put_variable(name, name, text, DESCRIPTION)
            seen = get_variable(name, name)
        except StoreError as exc:
            raise self._unknown(name, exc) from None
        if seen != text:
            raise MemorySpoilt(self.webhook_id, name, "returns another value than the one that was just set")

    def _unknown(self, name: str, exc: StoreError) -> MemoryUnknown:
        return MemoryUnknown(self.webhook_id, name, f"could not be read or written: {exc.problem}")


def memory_of(context: Context | None, host: str, webhook_id: str) -> WebhookMemory:
    """The records of a webhook.

    :param context: the running task's, which knows its team; None for a command.
    """
    run: Any = context["dag_run"] if context is not None else None
    return WebhookMemory(VariableMemory(webhook_id), host, webhook_id, getattr(run, "team_name", None))


def events_of(report: Asset, plan: Asset) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """Reports and plans from asset events, oldest first; version 0.1.0 kept its records there.

    Empty if they can't be read: one consumer run without a start date makes Airflow (3.1 to 3.3) refuse all of them.
    """
    reports, plans = (asset_event_extras(asset, newest=NEWEST_EVENTS) or () for asset in (report, plan))
    return reports, plans
