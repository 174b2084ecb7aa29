"""Derives the findings about a pair of webhooks and its stores from what was read. No clock, no network, no Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from featurebase_provider.audit.findings import HEALABLE, Finding
from featurebase_provider.audit.judge import about_age, about_deliveries, about_holding, about_refreshes
from featurebase_provider.audit.row import AgeLimit, AuditedHalf, AuditedWebhook, Deliveries
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.featurebase.models import PAUSED
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.age import rounded
from featurebase_provider.rotation.check import StoresToRead
from featurebase_provider.rotation.health import last_result
from featurebase_provider.rotation.history import History
from featurebase_provider.rotation.moves import Moves
from featurebase_provider.rotation.pair import Pair, differences, is_drained, last_signed
from featurebase_provider.rotation.refresh_log import RefreshLog
from featurebase_provider.rotation.two_secrets import PairFingerprints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from featurebase_provider.audit.listing import AuditsWebhooks, Subject
    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.age import SecretAge
    from featurebase_provider.rotation.check import HeldByStore
    from featurebase_provider.rotation.past import PastRun

CUT_OVER_MAY_LAG = timedelta(minutes=15)
"""How much longer than configured a cut-over may take: its tasks may be retried."""


@dataclass
class PairCase:
    """One pair of the rotation file, and what was read about it.

    :param subject: the pair in the rotation file.
    :param pair: both webhooks in Featurebase.
    :param read: whether both were read, or are known not to exist; if not, the pair is not judged.
    :param stores: what its stores hold.
    :param histories: what earlier runs recorded about each half, by id in lower case.
    :param moves: what earlier runs recorded about cut-overs.
    :param log: the refreshes that Featurebase's audit log shows.
    :param runs: the runs of the past year.
    :param now: server time.
    """

    subject: Subject
    now: datetime
    pair: Pair
    read: bool = True
    stores: tuple[HeldByStore, ...] = ()
    histories: Mapping[str, History] = field(default_factory=dict)
    moves: Moves = field(default_factory=Moves)
    log: RefreshLog = field(default_factory=RefreshLog)
    runs: tuple[PastRun, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    @property
    def main(self) -> Webhook | None:
        """The live half; the first one if none or both are live; None if neither was read."""
        return self.pair.live or next(iter(self.pair.active or self.pair.webhooks), None)

    @property
    def age(self) -> SecretAge | None:
        """How old the live half's secret is: the paused one's signs nothing."""
        half = self.main
        if half is None or half.fingerprint is None:
            return None
        return self.history(half).age(
            half.fingerprint, created_at=half.created_at, logged_at=self.log.refreshed_at(half.id), now=self.now
        )

    @property
    def leaked(self) -> frozenset[str]:
        """Fingerprints of either half's secrets that are recorded as leaked."""
        return frozenset().union(*(history.leaked for history in self.histories.values()))

    @property
    def fingerprints(self) -> PairFingerprints:
        """What stores must hold."""
        return PairFingerprints.of(self.pair.webhooks)

    @property
    def found(self) -> tuple[Webhook, ...]:
        """The halves in Featurebase that could be read."""
        return self.pair.webhooks

    def history(self, half: Webhook) -> History:
        """What earlier runs recorded about a half."""
        return self.histories.get(half.id.lower(), History(half.id))

    @property
    def may_be_passing(self) -> bool:
        """Whether what was read may be a moment within a rotation, so that it is read once more."""
        return self.pair.live is None or any(store.has_drifted for store in self.stores)

    def read_again(self, client: AuditsWebhooks) -> bool:
        """Read both halves once more.

        :returns: whether they were read; if not, what was read before counts.
        """
        if not self.pair.webhooks:
            return False
        try:
            again = [client.get_webhook(half.id) for half in self.pair.webhooks]
        except FeaturebaseError:
            return False
        self.pair = Pair.of(self.pair.ids, again)
        return True

    @property
    def to_read(self) -> StoresToRead:
        """The stores, and by what they are judged."""
        half = self.main if self.read else None
        return StoresToRead(
            self.subject.name,
            self.subject.stores,
            half.id if half is not None else self.pair.ids[0],
            half.fingerprint if half is not None else None,
            known=frozenset(known for history in self.histories.values() for known in history.known),
            leaked=self.leaked,
            pair=self.fingerprints if half is not None else None,
        )

    @property
    def row(self) -> AuditedWebhook:
        """The pair's row in the report: its live half, and both halves."""
        half, age = self.main, self.age
        return AuditedWebhook(
            name=self.subject.name,
            conn_id=self.subject.conn_id,
            webhook_id=half.id if half is not None else None,
            status=half.status if half is not None else None,
            fingerprint=half.fingerprint if half is not None else None,
            age=str(age) if age is not None else None,
            stores=self.stores,
            halves=tuple(AuditedHalf.of(one) for one in self.pair.webhooks),
            dag_id=self.subject.dag_id,
            dashboard_url=self.subject.dashboard_page(half.id if half is not None else None),
            aged=AgeLimit.of(age, self.subject.max_age),
            deliveries=Deliveries.of(half) if half is not None else None,
            runs=self.runs,
        )

    def judge(self) -> list[Finding]:
        """All findings about the pair."""
        subject = self.subject
        found = [*_about_statuses(self), *_about_secrets(self)] if self.read and self.pair.webhooks else []
        places = [store.previous_target for store in subject.stores]
        left = (history.left_behind(places) for history in self.histories.values())
        found += [subject.finding("previous_left_behind", detail) for detail in dict.fromkeys(filter(None, left))]
        for held in self.stores:
            found += [replace(finding, store=held.label) for finding in _about_store(self, held)]
        return [
            replace(
                finding,
                webhook_id=finding.webhook_id or self.row.webhook_id,
                dag_id=subject.dag_id,
                heals=finding.kind in HEALABLE and self._heals(finding.kind),
            )
            for finding in found
        ]

    def _heals(self, kind: str) -> bool:
        """Whether ``mode=distribute`` fixes it: it never writes a leaked secret, and pauses only what a run began."""
        if not self.read or any(half.fingerprint in self.leaked for half in self.pair.active):
            return False
        return bool(self.pair.webhooks) and (kind != "both_live" or self.moves.open is not None)


def _about_statuses(case: PairCase) -> Iterator[Finding]:
    subject, pair = case.subject, case.pair
    if not pair.active:
        shown = ", ".join(f"{half.id} is {one_line(half.status, 20)!r}{last_result(half)}" for half in pair.webhooks)
        yield subject.finding("none_live", f"no webhook of the pair is active: {shown}")
    elif pair.live is None:
        yield from _about_both_live(case)
    for half in pair.webhooks:
        if half in pair.active:
            yield from about_deliveries(subject, half)
        elif half.status != PAUSED and pair.active:
            yield subject.finding(
                "webhook_inactive",
                f"the standby {half.id} is {one_line(half.status, 20)!r}, not paused, so no run refreshes it"
                f"{last_result(half)}",
                half.id,
            )
    different = differences(pair)
    if different:
        one, other = pair.ids
        yield subject.finding("pair_differs", f"webhooks {one} and {other} differ in {', '.join(different)}")


def _about_both_live(case: PairCase) -> Iterator[Finding]:
    """Nothing while a run may still be moving the deliveries."""
    begun, ids = case.moves.open, " and ".join(case.pair.ids)
    if begun is None:
        yield case.subject.finding(
            "both_live", f"webhooks {ids} are both active, and no run of this provider is moving the deliveries"
        )
    elif case.now - begun.moment > case.subject.cut_over_for + CUT_OVER_MAY_LAG:
        did = "set" if begun.done else "was about to set"
        yield case.subject.finding(
            "both_live",
            f"webhooks {ids} are both active: a run {did} {begun.webhook_id} active at {begun.at}, and no run has "
            "paused the other one since",
        )


def _about_secrets(case: PairCase) -> Iterator[Finding]:
    subject = case.subject
    for half in case.pair.webhooks:
        active = half in case.pair.active
        if half.fingerprint is None:
            detail = f"Featurebase shows no signing secret of webhook {half.id}, so nothing can be compared"
            yield subject.finding("secret_missing", detail, half.id)
        elif half.fingerprint in case.leaked:
            detail = (
                f"Featurebase still signs with the leaked secret {half.fingerprint} of webhook {half.id}"
                if active
                else f"webhook {half.id}, which is not active, still has the leaked secret {half.fingerprint}"
            )
            yield subject.finding("leaked_secret_current", detail, half.id)
        yield from about_refreshes(subject, half, case.log, case.history(half))
    if case.age is not None:
        yield from about_age(subject, case.age)


def _about_store(case: PairCase, held: HeldByStore) -> Iterator[Finding]:
    subject, expected = case.subject, case.fingerprints
    slots = (held.fingerprint, held.previous)
    leaked = [one for one in expected.stale(*slots) if one in case.leaked]
    leaked += [
        str(half.fingerprint)
        for half in case.pair.webhooks
        if half not in case.pair.active and half.fingerprint in case.leaked and half.fingerprint in slots
    ]
    if held.holding == "differs":
        yield from _about_difference(case, held, leaked)
    yield from about_holding(subject, held)
    for one in leaked:
        yield subject.finding("leaked_secret_held", f"{held.target} holds the leaked secret {one}")
    if held.holding in ("matches", "unfinished") and not leaked:
        yield from _about_drain(case, held)


def _about_difference(case: PairCase, held: HeldByStore, leaked: list[str]) -> Iterator[Finding]:
    expected, slots = case.fingerprints, (held.fingerprint, held.previous)
    holds = " and ".join(dict.fromkeys(filter(None, slots)))
    lacking = [f"the secret {expected.shown[half]} of webhook {half}" for half in expected.lacking(*slots)]
    stale = [one for one in expected.stale(*slots) if one not in leaked]
    if lacking:
        detail = f"{held.target} holds {holds}, but not {' and '.join(lacking)}"
        yield case.subject.finding("store_differs", detail)
    elif stale:
        detail = f"{held.target} holds {', '.join(stale)}, which is no longer the secret of either webhook"
        yield case.subject.finding("store_differs", detail)


def _about_drain(case: PairCase, held: HeldByStore) -> Iterator[Finding]:
    """A finding if the store holds more than the live half's secret, for longer than that may be needed."""
    pair, subject, live = case.pair, case.subject, case.pair.live
    if live is None or not is_drained(pair, case.moves, previous_for=subject.previous_for, now=case.now):
        return
    standby = pair.get(pair.other(live.id))
    slots = (held.fingerprint, held.previous)
    if standby is not None and standby.fingerprint in slots:
        detail = _why_not_needed(case, standby)
        if detail is not None:
            yield subject.finding("drain_overdue", f"{held.target} holds {standby.fingerprint}, {detail}", standby.id)
    elif slots == (live.fingerprint, live.fingerprint):
        since = case.moves.drained_to(live.id)
        if since is None:
            detail = "and no run recorded since when"
        elif case.now - since.moment >= subject.previous_for:
            detail = f"for {rounded(case.now - since.moment)}, previous_for is {rounded(subject.previous_for)}"
        else:
            return
        yield subject.finding("drain_overdue", f"{held.target} holds {live.fingerprint} in both places, {detail}")


def _why_not_needed(case: PairCase, standby: Webhook) -> str | None:
    """Why stores need not hold the paused half's secret; None while a run may be about to set that half active."""
    signed, previous_for = last_signed(case.pair, case.moves), case.subject.previous_for
    history, fingerprint = case.history(standby), str(standby.fingerprint)
    if signed is not None and fingerprint not in history.refreshed_after(signed.isoformat()):
        return (
            f"the secret of webhook {standby.id}, which has delivered nothing since "
            f"{signed.isoformat(timespec='seconds')}; previous_for is {rounded(previous_for)}"
        )
    since = history.current_since(fingerprint)
    if since is not None and case.now - since < previous_for:
        return None
    recorded = f" (refreshed at {since.isoformat(timespec='seconds')})" if since is not None else ""
    return (
        f"the secret of webhook {standby.id}{recorded}, which has delivered nothing with it: a run left it there that "
        "failed before it set the webhook active. That does no harm: nothing is signed with it"
    )
