"""What Featurebase's audit log shows about refreshes: when a webhook's secret was refreshed, and by what kind of actor.

The log may be closed to the API key, it may lag, and it may not reach back far enough. Nothing waits for it, and
nothing fails without it. It has no fingerprints, so it never says which secret is current.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from featurebase_provider.featurebase.audit_log import Action, Actor, AuditEntry

MOST_ENTRIES = 1000
"""Most entries that are read, newest first."""


class ReadsAuditLog(Protocol):
    """The part of the Featurebase client that reads the audit log."""

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterable[AuditEntry]:
        """The workspace's audit log, newest first."""


@dataclass(frozen=True, slots=True)
class LoggedRefresh:
    """One refresh.

    :param at: when, by Featurebase's clock.
    :param by: the kind of actor, and the API key's name if one was used.
    """

    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class RefreshLog:
    """The refreshes of a workspace's webhooks.

    :param newest: the newest refresh of each webhook, by webhook id.
    :param problem: why the log, or the older part of it, can't be read; None if it can.
    """

    newest: Mapping[str, LoggedRefresh] = field(default_factory=dict)
    problem: str | None = None

    def refreshed_at(self, webhook_id: str) -> datetime | None:
        """When the webhook's secret was refreshed last, if the log shows it."""
        refresh = self.newest.get(webhook_id)
        return refresh.at if refresh is not None else None


def read_refresh_log(api: ReadsAuditLog, since: datetime | None = None) -> RefreshLog:
    """Read the newest refresh of each webhook; a log that can't be read is an answer, too.

    :param since: the earliest moment of interest.
    """
    newest: dict[str, LoggedRefresh] = {}
    try:
        for entry in islice(api.audit_log("webhook.secret_rotated", since), MOST_ENTRIES):
            webhook_id, known = entry.resource.id, newest.get(entry.resource.id or "")
            # An unknown filter may be ignored, and entries of one moment may come in any order.
            if entry.action != "webhook.secret_rotated" or webhook_id is None:
                continue
            if known is None or known.at < entry.created_at:
                newest[webhook_id] = LoggedRefresh(entry.created_at, _actor(entry.actor))
    except ApiError as exc:
        return RefreshLog(newest, exc.summary)
    return RefreshLog(newest)


def _actor(actor: Actor) -> str:
    if actor.api_key is not None and actor.api_key.name:
        return f"the API key {one_line(actor.api_key.name, 60)!r}"
    return f"{one_line(actor.type, 20)!r}"
