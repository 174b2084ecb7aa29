"""What happened in the sandbox: API calls, events, delivery attempts. It holds no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Call:
    """One call of the API. ``status`` is None until a response is sent, or if none is.

    ``committed``: whether the call changed something, even after its response.
    """

    at_ms: int
    method: str
    path: str
    status: int | None = None
    committed: bool = False

    def as_json(self) -> dict[str, Any]:
        """The journal entry as JSON."""
        return {
            "at": self.at_ms,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "committed": self.committed,
        }


@dataclass(slots=True)
class Attempt:
    """One attempt to deliver an event; it has neither status nor error while it is running."""

    event_id: str
    webhook_id: str
    number: int
    at_ms: int
    fingerprint: str
    status_code: int | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The journal entry as JSON."""
        return {
            "eventId": self.event_id,
            "webhookId": self.webhook_id,
            "attempt": self.number,
            "at": self.at_ms,
            "statusCode": self.status_code,
            "error": self.error,
            "fingerprint": self.fingerprint,
        }


@dataclass(slots=True)
class Event:
    """One notification event for one webhook.

    ``webhook_id`` is None while the webhooks are still to be matched, and stays None if no active webhook subscribes to
    the topic then: the event is not delivered. ``emission`` numbers what happened: the events that several webhooks get
    of it have the same number, also where each has its own id.
    """

    id: str
    topic: str
    webhook_id: str | None
    emitted_at_ms: int
    emission: int
    body: bytes = field(default=b"", repr=False)
    delivered: bool = False
    attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        """The journal entry as JSON."""
        return {
            "id": self.id,
            "topic": self.topic,
            "webhookId": self.webhook_id,
            "emittedAt": self.emitted_at_ms,
            "emission": self.emission,
            "delivered": self.delivered,
            "attempts": self.attempts,
        }


@dataclass(slots=True)
class Journal:
    """Everything recorded since the last reset, in the order in which it began."""

    calls: list[Call] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
