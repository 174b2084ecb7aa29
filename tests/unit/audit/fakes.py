"""Connections to Featurebase in memory, and the time, for audits."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from featurebase_provider.audit.listing import Subject
from featurebase_provider.audit.run import AuditPorts, run_audit
from featurebase_provider.featurebase.errors import WebhookNotFound
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.memory import history_of_events
from featurebase_provider.rotation.moves import Moves
from tests.world.fakes import START, a_webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from featurebase_provider.audit.report import AuditReport
    from featurebase_provider.featurebase.audit_log import Action, AuditEntry
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.errors import MemoryUnknown


def webhook_id(number: int) -> str:
    return f"{number:024x}"


def numbered(number: int, secret: str | None = "whsec_0", **facts: Any) -> Webhook:
    """A webhook with an id and a name of its own."""
    return a_webhook(secret, **{"id": webhook_id(number), "name": f"Webhook {number}", **facts})


@dataclass
class FakeConnection:
    """One connection's Featurebase.

    :param fails: raised when the list ends.
    """

    webhooks: list[Webhook] = field(default_factory=list)
    fails: Exception | None = None
    refused: Exception | None = None
    unlisted: dict[str, Webhook | Exception] = field(default_factory=dict)
    """What reading a webhook by its id answers, where that is not what the list shows."""
    log: list[AuditEntry] | Exception = field(default_factory=list)
    """The audit log, newest first, or the error that reading it raises."""
    reads: list[str] = field(default_factory=list)
    lists: int = 0
    closed: int = 0
    settings: Any = field(default_factory=lambda: SimpleNamespace(base_url="https://do.featurebase.app"))
    clock: Any = field(default_factory=lambda: SimpleNamespace(now=lambda: START))

    def list_webhooks(self) -> Iterator[Webhook]:
        self.lists += 1
        yield from self.webhooks
        if self.fails is not None:
            raise self.fails

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterator[AuditEntry]:
        if isinstance(self.log, Exception):
            raise self.log
        yield from self.log

    def get_webhook(self, webhook_id: str) -> Webhook:
        self.reads.append(webhook_id)
        answer = self.unlisted.get(webhook_id) or next((one for one in self.webhooks if one.id == webhook_id), None)
        if answer is None:
            raise WebhookNotFound("GET", f"/v2/webhooks/{webhook_id}", 404)
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_subject(name: str = "production", conn_id: str = "main", number: int | None = 1, **facts: Any) -> Subject:
    """An entry of the rotation file; ``number`` names its webhook."""
    given = {"webhook_id": webhook_id(number) if number else None, "stores": (), **facts}
    return Subject(name, conn_id, f"featurebase_rotate__{name}", **given)


def a_pair(name: str = "production", conn_id: str = "main", **facts: Any) -> Subject:
    """An entry that names the webhooks 1 and 2 as a pair."""
    given = {"webhook_ids": (webhook_id(1), webhook_id(2)), "stores": (), **facts}
    return Subject(name, conn_id, f"featurebase_rotate__{name}", **given)


@dataclass
class Auditing:
    """Audits these connections; what was said is kept."""

    connections: dict[str, FakeConnection]
    reports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    plans: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problem: MemoryUnknown | None = None
    said: list[str] = field(default_factory=list)
    remembered: list[tuple[str, str, str]] = field(default_factory=list)
    """Of whom earlier runs were asked: entry, host, webhook id."""
    monotonic: Callable[[], float] = lambda: 0.0
    moves: Moves = field(default_factory=Moves)

    def run(self, *subjects: Subject, **how: Any) -> AuditReport:
        ports = AuditPorts(self._open, self._history, self._moves, self.said.append, self.monotonic)
        return run_audit(subjects, ports, **{"time_limit": 1800.0, **how})

    def _history(self, subject: Subject, host: str, webhook_id: str) -> History:
        self.remembered.append((subject.name, host, webhook_id))
        if self.problem is not None:
            raise self.problem
        return history_of_events(webhook_id, self.reports.get(subject.name, []), self.plans.get(subject.name, []))

    def _moves(self, host: str, ids: tuple[str, str]) -> Moves:
        return self.moves

    @contextmanager
    def _open(self, conn_id: str) -> Iterator[FakeConnection]:
        connection = self.connections[conn_id]
        if connection.refused is not None:
            raise connection.refused
        yield connection
        connection.closed += 1
