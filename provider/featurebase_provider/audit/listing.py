"""Lists all webhooks of a connection to Featurebase, and matches them with the rotation file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from featurebase_provider.audit.findings import Finding
from featurebase_provider.featurebase.errors import (
    AuthenticationFailed,
    FeaturebaseError,
    PermissionDenied,
    SettingsInvalid,
    UnexpectedAnswer,
    WebhookNotFound,
)
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.find import named, not_one
from featurebase_provider.rotation.refresh_log import RefreshLog, read_refresh_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from featurebase_provider.featurebase.audit_log import Action, AuditEntry
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.server_clock import ServerClock
    from featurebase_provider.featurebase.settings import ApiSettings
    from featurebase_provider.rotation.store import Store


class AuditsWebhooks(Protocol):
    """The part of the Featurebase client that an audit needs; it only reads."""

    @property
    def settings(self) -> ApiSettings:
        """The client's settings."""

    @property
    def clock(self) -> ServerClock:
        """The server's clock."""

    def list_webhooks(self) -> Iterable[Webhook]:
        """All webhooks, page after page."""

    def get_webhook(self, webhook_id: str) -> Webhook:
        """One webhook, its current secret included."""

    def audit_log(self, action: Action | None = None, since: datetime | None = None) -> Iterable[AuditEntry]:
        """The workspace's audit log, newest first."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One webhook in the rotation file.

    :param name: its name in the rotation file.
    :param conn_id: id of the Airflow connection to Featurebase.
    :param dag_id: the Dag that rotates it.
    :param webhook_id: 24 hex digits, or None if it is configured by ``webhook_name``.
    :param max_age: the age from which its secret is overdue; None for no limit.
    :param previous_for: how long a store keeps the previous secret.
    :param allow_inactive: whether the webhook is rotated even if it is not active.
    :param webhook_ids: the ids of both webhooks of a pair, in lower case; None for a single webhook.
    :param cut_over_for: how long both webhooks of a pair are active at most while a run moves the deliveries.
    :param dashboard_url: the webhook's page in the Featurebase dashboard; ``{webhook_id}`` in it is replaced.
    """

    name: str
    conn_id: str
    dag_id: str
    stores: Sequence[Store]
    webhook_id: str | None = None
    webhook_name: str | None = None
    max_age: timedelta | None = timedelta(days=90)
    previous_for: timedelta = timedelta(hours=8)
    allow_inactive: bool = False
    webhook_ids: tuple[str, str] | None = None
    cut_over_for: timedelta = timedelta(hours=1)
    dashboard_url: str | None = None

    def dashboard_page(self, webhook_id: str | None) -> str | None:
        """The webhook's page in the Featurebase dashboard, if the rotation file names one."""
        return self.dashboard_url.replace("{webhook_id}", webhook_id or "") if self.dashboard_url else None

    def finding(self, kind: str, detail: str, webhook_id: str | None = None) -> Finding:
        """A finding about this webhook.

        :param webhook_id: the half of a pair that it is about.
        """
        own = webhook_id or self.webhook_id
        return Finding(kind, detail, webhook=self.name, conn_id=self.conn_id, webhook_id=own)


@dataclass
class Listing:
    """The webhooks of one connection.

    :param host: base URL of the Featurebase API, or None if the connection could not be read.
    :param by_id: the webhooks that were read.
    :param finding: why some are missing, or None.
    :param complete: whether all webhooks were read, so that a missing one does not exist.
    :param log: the refreshes that Featurebase's audit log shows.
    """

    client: AuditsWebhooks | None = None
    host: str | None = None
    by_id: dict[str, Webhook] = field(default_factory=dict)
    finding: Finding | None = None
    complete: bool = False
    log: RefreshLog = field(default_factory=RefreshLog)
    now: datetime | None = None


def read_listing(conn_id: str, client: AuditsWebhooks) -> Listing:
    """List all webhooks of a connection; a failure becomes a finding, not an error."""
    listing = Listing(client, client.settings.base_url)
    try:
        listing.by_id = {webhook.id: webhook for webhook in client.list_webhooks()}
        listing.complete = True
        listing.now = client.clock.now()
    except FeaturebaseError as exc:
        listing.finding = connection_finding(conn_id, exc)
        if not isinstance(exc, UnexpectedAnswer) or exc.body_broken:
            listing.client = None  # each further call would take as long, and end the same way
    if listing.client is not None:
        listing.log = read_refresh_log(client)
    return listing


def connection_finding(conn_id: str, problem: FeaturebaseError) -> Finding:
    """The finding that says why a connection's webhooks could not be listed."""
    kind = "featurebase_unreachable"
    if isinstance(problem, (AuthenticationFailed, PermissionDenied)):
        kind = "key_refused"
    elif isinstance(problem, SettingsInvalid):
        kind = "connection_unusable"
    return Finding(kind, str(problem), conn_id=conn_id)


def find_listed(subject: Subject, listing: Listing) -> Webhook | Finding | None:
    """The webhook that the rotation file means; a finding if it does not exist; None if that is unknown.

    A webhook that is missing from the list, or that the list shows without its secret, is read by its id.
    """
    webhook_id = subject.webhook_id
    if webhook_id is None:
        found = named(listing.by_id.values(), subject.webhook_name)
        if len(found) == 1:
            webhook_id = found[0].id
        elif not listing.complete:
            return None
        else:
            hint = "; use webhook_id instead" if found else ""
            return subject.finding("webhook_missing", not_one(found, subject.webhook_name) + hint)
    return find_by_id(subject, webhook_id, listing)


def find_by_id(subject: Subject, webhook_id: str, listing: Listing) -> Webhook | Finding | None:
    """The webhook with this id; see :func:`find_listed`."""
    listed = listing.by_id.get(webhook_id)
    if listed is not None and listed.secret is not None:
        return listed
    return _read_singly(subject, webhook_id, listing)


def _read_singly(subject: Subject, webhook_id: str, listing: Listing) -> Webhook | Finding | None:
    if listing.client is None:
        return None
    try:
        webhook = listing.client.get_webhook(webhook_id)
    except WebhookNotFound:
        detail = f"webhook {webhook_id} does not exist in Featurebase"
        return subject.finding("webhook_missing", detail, webhook_id)
    except FeaturebaseError as exc:
        return subject.finding("featurebase_unreachable", str(exc), webhook_id)
    listing.by_id[webhook.id] = webhook
    listing.now = listing.client.clock.now()
    return webhook


def unconfigured(listings: Mapping[str, Listing], configured: Mapping[str, str]) -> list[Finding]:
    """A finding for each webhook that exists in Featurebase but has no entry in the rotation file.

    :param listings: by connection.
    :param configured: names in the rotation file, by webhook id.
    """
    found: dict[str, Finding] = {}
    for conn_id, listing in listings.items():
        for webhook in listing.by_id.values():
            if webhook.id not in configured and webhook.id not in found:
                found[webhook.id] = Finding(
                    "webhook_unconfigured",
                    f"webhook {webhook.id} ({one_line(webhook.name, 100)!r}, {one_line(webhook.status, 20)}) has no "
                    "entry in the rotation file, so its secret is not rotated",
                    conn_id=conn_id,
                    webhook_id=webhook.id,
                )
    return list(found.values())
