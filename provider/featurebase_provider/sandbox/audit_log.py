"""The workspace's audit log: who did what to which webhook, and when."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.requests import Request

from featurebase_provider.sandbox.clock import iso_ms
from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.webhooks import Webhook

DOMAIN = "integrations"
_DESCRIPTIONS = {
    "webhook.created": "Created a webhook",
    "webhook.updated": "Updated a webhook",
    "webhook.deleted": "Deleted a webhook",
    "webhook.secret_rotated": "Rotated a webhook's signing secret",
}
_NOBODY = {"id": None, "name": None, "email": "", "apiKey": None}
_PERSON = {"id": "65f0c0ffee0000000000beef", "type": "admin", "name": "Sandbox Admin", "email": "admin@example.com"}
_KEY = {**_NOBODY, "type": "api_key", "apiKey": {"id": "65f0c0ffee0000000000feed", "name": "sandbox"}}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``metadata`` has the webhook before and after, secrets included: readers must not keep it."""

    number: int
    action: str
    at_ms: int
    visible_from_ms: int
    resource: dict[str, Any]
    actor: dict[str, Any]
    request: dict[str, Any]
    metadata: dict[str, Any] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """The entry as the API shows it; its id has the form of a UUID of version 7."""
        time, count = f"{self.at_ms:012x}", f"{self.number:012x}"
        return {
            "object": "audit_log",
            "id": f"{time[:8]}-{time[8:]}-7000-8000-{count}",
            "correlationId": None,
            "action": self.action,
            "domain": DOMAIN,
            "description": _DESCRIPTIONS[self.action],
            "createdAt": iso_ms(self.at_ms),
            "actor": self.actor,
            "resource": self.resource,
            "request": self.request,
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries a reader asks for; None where it asks for all."""

    action: str | None = None
    domain: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is one of them; both dates are included."""
        return (
            self.action in (None, entry.action)
            and self.domain in (None, DOMAIN)
            and (self.start is None or entry.at_ms >= self.start.timestamp() * 1000)
            and (self.end is None or entry.at_ms <= self.end.timestamp() * 1000)
        )


class AuditLog:
    """All entries, oldest first.

    :param now_ms: the sandbox's time, in ms since 1970.
    :param lag: seconds until an entry can be read.
    """

    def __init__(self, now_ms: Callable[[], int], lag: Callable[[], float]) -> None:
        self._now_ms, self._lag = now_ms, lag
        self._entries: list[Entry] = []

    def note(
        self, action: str, webhook: Webhook, request: Request, *, before: dict[str, Any] | None, by_key: bool = True
    ) -> None:
        """Enter what was done to a webhook.

        :param before: the webhook as it was, where there was one.
        :param by_key: whether a client of the API did it; a person at the dashboard else.
        """
        now = self._now_ms()
        client = request.client.host if request.client else None
        self._entries.append(
            Entry(
                number=len(self._entries) + 1,
                action=action,
                at_ms=now,
                visible_from_ms=now + round(self._lag() * 1000),
                resource={"type": "webhook", "id": webhook.id, "name": webhook.name},
                actor=_KEY if by_key else {**_NOBODY, **_PERSON},
                request={"ipAddress": client, "userAgent": request.headers.get("user-agent")},
                metadata={"before": before, "after": None if action == "webhook.deleted" else webhook.as_json()},
            )
        )

    def page(self, wanted: Wanted, *, after: int | None, limit: int) -> tuple[list[Entry], bool]:
        """A page of what can be read by now, newest first, and whether another one follows.

        :param after: number of the entry that the page before ended with.
        """
        now = self._now_ms()
        fitting = [
            entry
            for entry in reversed(self._entries)
            if entry.visible_from_ms <= now and (after is None or entry.number < after) and wanted.fits(entry)
        ]
        return fitting[:limit], len(fitting) > limit


def cursor_before(entry: Entry) -> str:
    """An opaque cursor for the page of the entries before this one."""
    return base64.urlsafe_b64encode(json.dumps({"log": entry.number}).encode()).decode()


def read_log_cursor(cursor: str | None) -> int | None:
    """The number of the entry that the last page ended with, or None for the first page.

    :raises CallRefused: 400, it is not a cursor of ours.
    """
    if cursor is None:
        return None
    try:
        return int(json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))["log"])
    except (ValueError, TypeError, KeyError):
        raise CallRefused(400, "invalid_cursor", "cursor is not one that this API returned", "cursor") from None


def read_date(name: str, text: str | None) -> datetime | None:
    """A moment in ISO 8601; one without an offset is UTC.

    :raises CallRefused: 400, it is no such text.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise CallRefused(400, "invalid_parameter", f"{name} must be a date in ISO 8601", name) from None
    return moment if moment.tzinfo else datetime.fromisoformat(f"{moment.isoformat()}+00:00")
