"""A Featurebase behind the hook, and Airflow's stats, both in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from featurebase_provider import airflow_compat
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.operators import figures
from featurebase_provider.operators import memory as operators_memory
from featurebase_provider.rotation.memory import WebhookMemory
from tests.world.fakes import WEBHOOK_ID, Clock, DictMemory, FakeFeaturebase

HOST = "https://do.featurebase.app"


@dataclass
class Featurebase:
    """What the hook's client talks to.

    :param api: the API of one webhook; change it, or script its answers.
    :param conn_ids: the connections that were asked for, in order.
    :param updates: what webhooks were set to.
    :param others: further webhooks that a list shows.
    :param unlisted: why they can't be listed.
    :param skew: what the client's clock says of this machine's.
    """

    api: FakeFeaturebase
    conn_ids: list[str] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    others: list[Webhook] = field(default_factory=list)
    unlisted: Exception | None = None
    skew: str | None = None

    @contextmanager
    def client(self, conn_id: str) -> Iterator[Any]:
        self.conn_ids.append(conn_id)
        yield SimpleNamespace(
            get_webhook=self.api.get_webhook,
            audit_log=self.api.audit_log,
            refresh_secret=self.api.refresh_secret,
            update_webhook=self._update,
            list_webhooks=self._list,
            clock=SimpleNamespace(now=self.api.clock.server_now, skew=self.skew),
            settings=SimpleNamespace(base_url=HOST),
        )

    def _update(self, webhook_id: str, **fields: Any) -> Webhook:
        assert webhook_id == self.api.current.id
        self.updates.append(fields)
        return self.api.change(**fields)

    def _list(self) -> Iterable[Webhook]:
        if self.unlisted is not None:
            raise self.unlisted
        return [self.api.current, *self.others]


@pytest.fixture
def featurebase(monkeypatch: pytest.MonkeyPatch) -> Featurebase:
    found = Featurebase(FakeFeaturebase(Clock()))
    monkeypatch.setattr(FeaturebaseHook, "get_conn", lambda hook: found.client(hook.featurebase_conn_id))
    return found


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> WebhookMemory:
    """The webhook's records, in a dictionary in place of Airflow's Variables."""
    kept = DictMemory()
    monkeypatch.setattr(operators_memory, "VariableMemory", lambda webhook_id: kept)
    monkeypatch.setattr(operators_memory, "asset_event_extras", lambda asset, newest: ())
    return WebhookMemory(kept, HOST, WEBHOOK_ID)


@pytest.fixture(autouse=True)
def stats(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """What was counted, with its tags."""
    counted: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(airflow_compat, "count", lambda name, tags: counted.append((name, dict(tags))))
    return counted


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    """What runs and audits reported beside each task's count: the figure's name, its value and its tags."""
    heard: list[tuple[str, float, dict[str, str]]] = []

    def hear(name: str, value: float, tags: dict[str, str]) -> None:
        heard.append((name, value, dict(tags)))

    monkeypatch.setattr(figures, "count", lambda name, tags, by=1: hear(name, by, tags))
    monkeypatch.setattr(figures, "gauge", hear)
    monkeypatch.setattr(figures, "time_milliseconds", hear)
    return heard


@pytest.fixture(autouse=True)
def timings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    """What was timed, in milliseconds, with its tags."""
    timed: list[tuple[str, float, dict[str, str]]] = []
    monkeypatch.setattr(
        airflow_compat, "time_milliseconds", lambda name, ms, tags: timed.append((name, ms, dict(tags)))
    )
    return timed


def rendered(operator: Any, **params: str) -> Any:
    """The operator as Airflow renders its arguments for a run with these params."""
    operator.render_template_fields({"dag": DAG("a_dag", schedule=None), "params": params})
    return operator


class Log:
    """What an operator has logged, in place of Airflow's logger, which writes past pytest's.

    :param texts: by level.
    """

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {"info": [], "warning": [], "error": []}

    def __contains__(self, part: str) -> bool:
        return any(part in text for texts in self.texts.values() for text in texts)

    def info(self, text: str, *arguments: Any) -> None:
        self._add("info", text, arguments)

    def warning(self, text: str, *arguments: Any) -> None:
        if "outside of the Task Runner" not in text:  # Airflow's own, of a test
            self._add("warning", text, arguments)

    def error(self, text: str, *arguments: Any) -> None:
        self._add("error", text, arguments)

    def _add(self, level: str, text: str, arguments: tuple[Any, ...]) -> None:
        self.texts[level].append(text % arguments if arguments else text)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(BaseOperator, "log", log)
    return log
