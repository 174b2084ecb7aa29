"""What one task of ours meets: Airflow's context, and Featurebase behind a connection. In memory, on its own clock."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.server_clock import ServerClock
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from tests.world.fakes import START

if TYPE_CHECKING:
    import pytest

    from featurebase_provider.featurebase.models import Webhook


class OneFeaturebase:
    """A client of a Featurebase that shows these webhooks one after the other, the last one for ever.

    :param hours: how far this machine's clock is ahead of Featurebase's.
    """

    def __init__(self, *shown: Webhook | Exception, hours: float = 0.0) -> None:
        self.shown = list(shown)
        self.now = START
        self.clock = ServerClock(local=lambda: (self.now + timedelta(hours=hours)).timestamp())
        self.settings = SimpleNamespace(base_url="https://do.featurebase.app")
        self.reads: list[str] = []
        self.updates: list[tuple[str, dict[str, Any]]] = []
        self.connections: list[str] = []

    def behind(self, monkeypatch: pytest.MonkeyPatch) -> OneFeaturebase:
        """Answer for every connection, and note which was asked for."""

        def get_conn(hook: FeaturebaseHook) -> OneFeaturebase:
            self.connections.append(hook.featurebase_conn_id)
            return self

        monkeypatch.setattr(FeaturebaseHook, "get_conn", get_conn)
        return self

    def get_webhook(self, webhook_id: str) -> Webhook:
        self.reads.append(webhook_id)
        at = self.clock.local() + 0.5
        self.clock.observe(format_datetime(self.now, usegmt=True), sent_at=at, received_at=at)
        answer = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def update_webhook(self, webhook_id: str, **changes: Any) -> None:
        self.updates.append((webhook_id, changes))

    def __enter__(self) -> OneFeaturebase:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class OneTask:
    """A task instance whose Dag run's other tasks left these results, by task id."""

    dag_id, run_id, task_id, map_index = "rotation", "manual__1", "this", -1

    def __init__(self, results: Mapping[str, Any] | None = None, *, try_number: int = 1, max_tries: int = 0) -> None:
        self.results = dict(results or {})
        self.try_number, self.max_tries = try_number, max_tries
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str, *, key: str = "return_value") -> Any:
        return self.results.get(task_ids) if key == "return_value" else None

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = deepcopy(value)  # what becomes of it afterwards is not stored

    @property
    def context(self) -> Any:
        """What Airflow hands to ``execute``."""
        return {"ti": self, "run_id": self.run_id, "dag_run": SimpleNamespace(run_type="manual", run_after=START)}


def seconds_after_start(seconds: float) -> datetime:
    """Server time."""
    return START + timedelta(seconds=seconds)
