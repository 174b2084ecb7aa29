"""Derives the findings about a single webhook and its stores from what was read. No clock, no network, no Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from featurebase_provider.audit.findings import HEALABLE, Finding
from featurebase_provider.audit.row import AgeLimit, AuditedWebhook, Deliveries
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.age import rounded
from featurebase_provider.rotation.check import PADDED, StoresToRead
from featurebase_provider.rotation.health import FAILURES_THAT_DECIDE, last_result
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.refresh_log import RefreshLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from featurebase_provider.audit.listing import AuditsWebhooks, Subject
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.age import SecretAge
    from featurebase_provider.rotation.check import HeldByStore
    from featurebase_provider.rotation.past import PastRun


@dataclass
class Case:
    """One webhook of the rotation file, and what was read about it.

    :param subject: the webhook in the rotation file.
    :param webhook: the webhook in Featurebase, or None if it could not be read.
    :param stores: what its stores hold.
    :param history: what earlier runs recorded.
    :param log: the refreshes that Featurebase's audit log shows.
    :param runs: the runs of the past year.
    :param now: server time.
    """

    subject: Subject
    now: datetime
    webhook: Webhook | None = None
    stores: tuple[HeldByStore, ...] = ()
    history: History = field(default_factory=lambda: History(""))
    log: RefreshLog = field(default_factory=RefreshLog)
    runs: tuple[PastRun, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    @property
    def webhook_id(self) -> str | None:
        """The webhook's id, if known."""
        return self.webhook.id if self.webhook is not None else self.subject.webhook_id

    @property
    def current(self) -> str | None:
        """Fingerprint of the current secret, if it could be read."""
        return self.webhook.fingerprint if self.webhook is not None else None

    @property
    def age(self) -> SecretAge | None:
        """How old the current secret is."""
        if self.webhook is None or self.webhook.fingerprint is None:
            return None
        return self.history.age(
            self.webhook.fingerprint,
            created_at=self.webhook.created_at,
            logged_at=self.log.refreshed_at(self.webhook.id),
            now=self.now,
        )

    @property
    def leaked(self) -> frozenset[str]:
        """Fingerprints recorded as leaked."""
        return self.history.leaked

    @property
    def found(self) -> tuple[Webhook, ...]:
        """The webhook in Featurebase, if it could be read."""
        return () if self.webhook is None else (self.webhook,)

    @property
    def may_be_passing(self) -> bool:
        """Whether what was read may be a moment within a rotation, so that it is read once more."""
        return any(store.has_drifted for store in self.stores)

    def read_again(self, client: AuditsWebhooks) -> bool:
        """Read the webhook once more.

        :returns: whether it was read; if not, what was read before counts.
        """
        if self.webhook is None:
            return False
        try:
            self.webhook = client.get_webhook(self.webhook.id)
        except FeaturebaseError:
            return False
        return True

    @property
    def to_read(self) -> StoresToRead:
        """The stores, and by what they are judged."""
        return StoresToRead(
            self.subject.name,
            self.subject.stores,
            self.webhook_id or "",
            self.current,
            known=frozenset(self.history.known),
            leaked=self.leaked,
        )

    @property
    def row(self) -> AuditedWebhook:
        """The webhook's row in the report."""
        age = self.age
        return AuditedWebhook(
            name=self.subject.name,
            conn_id=self.subject.conn_id,
            webhook_id=self.webhook_id,
            status=self.webhook.status if self.webhook is not None else None,
            fingerprint=self.current,
            age=str(age) if age is not None else None,
            stores=self.stores,
            dag_id=self.subject.dag_id,
            dashboard_url=self.subject.dashboard_page(self.webhook_id),
            aged=AgeLimit.of(age, self.subject.max_age),
            deliveries=Deliveries.of(self.webhook) if self.webhook is not None else None,
            runs=self.runs,
        )

    def judge(self) -> list[Finding]:
        """All findings about it."""
        return judge(self)


def judge(case: Case) -> list[Finding]:
    """All findings about a configured webhook."""
    subject, webhook = case.subject, case.webhook
    found = [] if webhook is None else [*_about_webhook(subject, webhook), *_about_secret(case, webhook)]
    left_behind = case.history.left_behind([store.previous_target for store in subject.stores])
    if left_behind is not None:
        found.append(subject.finding("previous_left_behind", left_behind))
    for held in case.stores:
        found += [replace(finding, store=held.label) for finding in _about_store(case, held)]
    # Whatever its status: it may be paused because its stores are outdated. But a leaked secret is never written.
    heals = webhook is not None and webhook.fingerprint not in case.leaked
    return [
        replace(finding, webhook_id=case.webhook_id, dag_id=subject.dag_id, heals=heals and finding.kind in HEALABLE)
        for finding in found
    ]


def _about_webhook(subject: Subject, webhook: Webhook) -> Iterator[Finding]:
    expected = webhook.status == "paused" and subject.allow_inactive
    if webhook.status != "active" and not expected:
        failures = webhook.health.consecutive_failures
        failed = "" if failures is None else f", {failures} deliveries in a row failed"
        yield subject.finding(
            "webhook_inactive",
            f"it is {one_line(webhook.status, 20)!r}{failed}{last_result(webhook)}",
        )
    else:
        yield from about_deliveries(subject, webhook)


def about_deliveries(subject: Subject, webhook: Webhook) -> Iterator[Finding]:
    """A finding if the webhook's deliveries fail."""
    failures = webhook.health.consecutive_failures
    if failures is not None and failures >= FAILURES_THAT_DECIDE:
        success = webhook.health.last_success_at
        since = f"the last success was at {success.isoformat()}" if success is not None else "none ever succeeded"
        yield subject.finding(
            "delivery_failing", f"{failures} deliveries in a row failed; {since}{last_result(webhook)}", webhook.id
        )


def _about_secret(case: Case, webhook: Webhook) -> Iterator[Finding]:
    subject, age = case.subject, case.age
    if age is None:
        yield subject.finding("secret_missing", "Featurebase shows no signing secret, so nothing can be compared")
        return
    if webhook.fingerprint in case.leaked:
        detail = f"Featurebase still signs with the leaked secret {webhook.fingerprint}"
        yield subject.finding("leaked_secret_current", detail)
    yield from about_refreshes(subject, webhook, case.log, case.history)
    yield from about_age(subject, age)


def about_refreshes(subject: Subject, webhook: Webhook, log: RefreshLog, history: History) -> Iterator[Finding]:
    """A finding if somebody else refreshed the webhook's secret."""
    refresh = log.newest.get(webhook.id)
    if refresh is not None and not history.explains(refresh.at):
        yield subject.finding(
            "rotated_elsewhere",
            f"Featurebase's audit log shows a refresh at {refresh.at.isoformat(timespec='seconds')} by {refresh.by}, "
            "and no run of this provider recorded it or has run since",
            webhook.id,
        )


def about_age(subject: Subject, age: SecretAge) -> Iterator[Finding]:
    """A finding if the secret is, or may be, older than allowed."""
    limit = subject.max_age
    if limit is None:
        return
    if age.is_over(limit):
        at_least = "" if age.known else "at least "
        yield subject.finding(
            "secret_overdue",
            f"the secret is {at_least}{rounded(age.at_least)} old, max_age is {rounded(limit)}",
        )
    elif age.may_be_over(limit):
        yield subject.finding(
            "age_unknown",
            f"the secret's age is {age}, max_age is {rounded(limit)}: no run of this provider refreshed it, and "
            "Featurebase's audit log does not show when it was refreshed",
        )


def _about_store(case: Case, held: HeldByStore) -> Iterator[Finding]:
    subject, current = case.subject, case.current
    if held.holding == "differs":
        yield subject.finding("store_differs", f"{held.target} holds {held.fingerprint}, Featurebase {current}")
    yield from about_holding(subject, held)
    if held.fingerprint in case.leaked and held.fingerprint != current:
        yield subject.finding("leaked_secret_held", f"{held.target} holds the leaked secret {held.fingerprint}")
    if held.previous is not None:
        yield from _about_previous(case, held)


def about_holding(subject: Subject, held: HeldByStore) -> Iterator[Finding]:
    """A finding about what a store holds, unless it matches or holds another secret of ours."""
    if held.holding == "padded":
        yield subject.finding("store_differs", f"{held.target}: {PADDED}")
    elif held.holding == "absent" and not held.may_be_made:
        yield subject.finding(
            "store_missing", f"{held.target} does not exist, or has no such key, and create: true is not set"
        )
    elif held.holding == "absent":
        yield subject.finding("store_absent", f"{held.target} holds no secret")
    elif held.holding == "unfinished":
        yield subject.finding(
            "store_unfinished",
            f"{held.target} holds Featurebase's secret, but a step after the write (a restart, a copy) is not done",
        )
    elif held.holding == "foreign":
        yield subject.finding("store_foreign", held.problem or f"{held.target} holds a value of unknown origin")
    elif held.holding == "unknown":
        yield subject.finding("store_unreachable", held.problem or f"{held.target} could not be read")


def _about_previous(case: Case, held: HeldByStore) -> Iterator[Finding]:
    subject, current = case.subject, case.current
    if held.previous in case.leaked:
        yield subject.finding(
            "leaked_secret_held", f"{held.target} holds the leaked secret {held.previous} as the previous secret"
        )
        return
    if current is None or held.fingerprint != current:
        return  # the run that fixes this replaces everything that the store holds
    kept = f"{held.target} holds the previous secret {held.previous}"
    since = case.history.current_since(current)
    if since is None:
        yield subject.finding("previous_age_unknown", f"{kept}, and no run recorded since when")
    elif case.history.previous_is_over(current, now=case.now, previous_for=subject.previous_for):
        yield subject.finding(
            "previous_overdue",
            f"{kept} for {rounded(case.now - since)}, previous_for is {rounded(subject.previous_for)}",
        )
