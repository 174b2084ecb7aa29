"""What Featurebase's audit log shows about refreshes: when a webhook's secret was refreshed, and by what kind of actor.

The log may be closed to the API key, it may lag, and it may not reach back far enough. Nothing waits for it, and
nothing fails without it. It has no fingerprints, so it never says which secret is current.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from featurebase_provider.featurebase.audit_log import Action, Actor, AuditEntry
    from featurebase_provider.rotation.plan import RotationPlan

MOST_ENTRIES = 1000
"""Most entries that are read, newest first."""
CLOCK_ERROR = timedelta(seconds=1)
"""By how much a plan's time may be off: it is estimated from a header that has whole seconds."""
SAME_MOMENT = timedelta(seconds=0.25)
"""By how much the log's time of a refresh may be later than the ``updatedAt`` that the refresh leaves."""


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
        for webhook_id, refresh in _refreshes(api, since):
            known = newest.get(webhook_id)
            if known is None or known.at < refresh.at:  # entries of one moment may come in any order
                newest[webhook_id] = refresh
    except ApiError as exc:
        return RefreshLog(newest, exc.summary)
    return RefreshLog(newest)


@dataclass(frozen=True, slots=True)
class RefreshesSincePlan:
    """The refreshes of a plan's webhook since the plan was made.

    :param refreshes: as far as they could be read, newest first.
    :param problem: why the log can't be read, or not completely; None if it can.
    """

    refreshes: tuple[LoggedRefresh, ...] = ()
    problem: str | None = None


def read_refreshes_since(api: ReadsAuditLog, plan: RotationPlan) -> RefreshesSincePlan:
    """Read the refreshes of the plan's webhook since the plan was made; see :func:`_is_later`."""
    found: list[LoggedRefresh] = []
    problem = None
    try:
        for webhook_id, refresh in _refreshes(api, datetime.fromisoformat(plan.planned_at) - CLOCK_ERROR):
            if webhook_id == plan.webhook_id and _is_later(refresh.at, plan):
                found.append(refresh)
    except ApiError as exc:
        problem = exc.summary
    return RefreshesSincePlan(tuple(sorted(found, key=lambda refresh: refresh.at, reverse=True)), problem)


def _is_later(at: datetime, plan: RotationPlan) -> bool:
    """Whether a refresh came after the read on which the plan is based.

    The plan's time is an estimate, so a refresh up to :data:`CLOCK_ERROR` before it counts as later. If Featurebase
    moves ``updatedAt`` with a refresh, which is not documented, the plan's own ``updatedAt`` tells it from the refresh
    that made the plan's secret.
    """
    if at < datetime.fromisoformat(plan.planned_at) - CLOCK_ERROR:
        return False
    if plan.updated_at is None:
        return True
    shown = datetime.fromisoformat(plan.updated_at)
    cut = timedelta() if shown.microsecond else timedelta(seconds=1)  # a response may give whole seconds only
    return at > shown + cut + SAME_MOMENT


def _refreshes(api: ReadsAuditLog, since: datetime | None) -> Iterator[tuple[str, LoggedRefresh]]:
    for entry in islice(api.audit_log("webhook.secret_rotated", since), MOST_ENTRIES):
        # An unknown filter may be ignored.
        if entry.action == "webhook.secret_rotated" and entry.resource.id is not None:
            yield entry.resource.id, LoggedRefresh(entry.created_at, _actor(entry.actor))


def _actor(actor: Actor) -> str:
    if actor.api_key is not None and actor.api_key.name:
        return f"the API key {one_line(actor.api_key.name, 60)!r}"
    return f"{one_line(actor.type, 20)!r}"
