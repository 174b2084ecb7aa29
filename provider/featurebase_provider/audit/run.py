"""Compares every webhook of the rotation file, and its stores, with Featurebase. It changes nothing.

A failure is a finding like any other: a refused API key or an unreachable store does not stop the audit of other
webhooks.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from featurebase_provider.audit.findings import Finding
from featurebase_provider.audit.judge import Case
from featurebase_provider.audit.listing import (
    Listing,
    Subject,
    connection_finding,
    find_by_id,
    find_listed,
    read_listing,
    unconfigured,
)
from featurebase_provider.audit.pair import PairCase
from featurebase_provider.audit.report import AuditReport
from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.rotation.check import StoresToRead, in_batches, read_stores
from featurebase_provider.rotation.errors import MemoryUnknown
from featurebase_provider.rotation.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from featurebase_provider.audit.listing import AuditsWebhooks
    from featurebase_provider.rotation.history import History
    from featurebase_provider.rotation.moves import Moves
    from featurebase_provider.rotation.past import PastRun


@dataclass(frozen=True)
class AuditPorts:
    """The functions that an audit calls, always on the calling thread.

    :param open_client: returns a client for a connection id; raises FeaturebaseError if it can't.
    :param history_of: returns what earlier runs recorded about a webhook; raises MemoryUnknown if it can't be read.
    :param moves_of: returns what earlier runs recorded about the cut-overs of a pair with these ids; raises
        MemoryUnknown if it can't be read.
    :param say: logs a line of progress for each webhook.
    :param monotonic: a monotonic clock, in seconds.
    :param runs_of: returns the recorded runs of a webhook; raises MemoryUnknown if they can't be read.
    """

    open_client: Callable[[str], AbstractContextManager[AuditsWebhooks]]
    history_of: Callable[[Subject, str, str], History]
    moves_of: Callable[[str, tuple[str, str]], Moves]
    say: Callable[[str], None]
    monotonic: Callable[[], float] = time.monotonic
    runs_of: Callable[[Subject, str, str], tuple[PastRun, ...]] = lambda subject, host, webhook_id: ()


def run_audit(
    subjects: Sequence[Subject],
    ports: AuditPorts,
    *,
    ignore: Collection[str] = (),
    time_limit: float,
) -> AuditReport:
    """Audit all webhooks.

    :param subjects: the webhooks of the rotation file.
    :param ignore: kinds of findings that are marked as ignored.
    :param time_limit: seconds after which no further store is read; each webhook that was not read is a finding.
    """
    started = ports.monotonic()
    with ExitStack() as clients:
        listings = _listings(subjects, ports, clients)
        cases = _cases(subjects, listings, ports)
        for batch in in_batches([case.to_read for case in cases]):
            names = {wanted.webhook for wanted in batch}
            in_time = ports.monotonic() - started < time_limit
            _audit_stores(
                [case for case in cases if case.subject.name in names], batch, listings, ports, in_time=in_time
            )
    configured = {webhook.id: case.subject.name for case in cases for webhook in case.found}
    found = [listing.finding for listing in listings.values() if listing.finding is not None]
    found += [finding for case in cases for finding in case.findings]
    found += unconfigured(listings, configured)
    ignored = frozenset(ignore)
    return AuditReport(
        at=datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
        connections={conn_id: listing.host for conn_id, listing in listings.items()},
        webhooks=tuple(case.row for case in cases),
        findings=tuple(replace(finding, ignored=True) if finding.kind in ignored else finding for finding in found),
        seconds=ports.monotonic() - started,
    )


def _listings(subjects: Sequence[Subject], ports: AuditPorts, clients: ExitStack) -> dict[str, Listing]:
    """Each connection's webhooks, in the order in which the rotation file names them."""
    listings: dict[str, Listing] = {}
    for conn_id in dict.fromkeys(subject.conn_id for subject in subjects):
        try:
            client = clients.enter_context(ports.open_client(conn_id))
        except FeaturebaseError as exc:
            listings[conn_id] = Listing(finding=connection_finding(conn_id, exc))
        else:
            listings[conn_id] = read_listing(conn_id, client)
        listing = listings[conn_id]
        why = f": {listing.finding.kind}: {listing.finding.detail}" if listing.finding is not None else ""
        ports.say(f"Connection {conn_id}: {len(listing.by_id)} webhooks{why}")
        if listing.log.problem is not None:
            ports.say(
                f"Connection {conn_id}: the audit log can't be read, so ages come from earlier runs only "
                f"({listing.log.problem})"
            )
    return listings


def _cases(subjects: Sequence[Subject], listings: Mapping[str, Listing], ports: AuditPorts) -> list[Case | PairCase]:
    cases: list[Case | PairCase] = []
    taken: dict[str, str] = {}
    for subject in subjects:
        listing = listings[subject.conn_id]
        case = _case(subject, listing) if subject.webhook_ids is None else _pair_case(subject, listing)
        for webhook in case.found:
            first = taken.setdefault(webhook.id, subject.name)
            if first != subject.name:
                detail = f"webhook {webhook.id} is also the webhook of the entry {first!r}"
                case.findings.append(subject.finding("webhook_twice", detail, webhook.id))
        case.findings += _ask_history(case, listing.host, ports)
        cases.append(case)
    return cases


def _case(subject: Subject, listing: Listing) -> Case:
    found = find_listed(subject, listing)
    case = Case(subject, now=listing.now or datetime.now(tz=timezone.utc), log=listing.log)
    if isinstance(found, Finding):
        case.findings.append(found)
    else:
        case.webhook = found
    return case


def _pair_case(subject: Subject, listing: Listing) -> PairCase:
    ids = subject.webhook_ids or ("", "")
    found = [find_by_id(subject, webhook_id, listing) for webhook_id in ids]
    findings = [one for one in found if isinstance(one, Finding)]
    webhooks = [one for one in found if one is not None and not isinstance(one, Finding)]
    missing = [finding for finding in findings if finding.kind == "webhook_missing"]
    now = listing.now or datetime.now(tz=timezone.utc)
    read = len(webhooks) + len(missing) == len(ids)
    return PairCase(subject, now, Pair.of(ids, webhooks), read, log=listing.log, findings=findings)


def _ask_history(case: Case | PairCase, host: str | None, ports: AuditPorts) -> list[Finding]:
    """Take what earlier runs recorded; a finding if it can't be read."""
    if host is None:
        return []
    try:
        if isinstance(case, PairCase):
            case.histories = {
                webhook_id: ports.history_of(case.subject, host, webhook_id) for webhook_id in case.pair.ids
            }
            case.moves = ports.moves_of(host, case.pair.ids)
            every = {run.place: run for half in case.pair.ids for run in ports.runs_of(case.subject, host, half)}
            case.runs = tuple(sorted(every.values(), key=lambda run: run.moment))
        elif case.webhook_id is not None:
            case.history = ports.history_of(case.subject, host, case.webhook_id)
            case.runs = ports.runs_of(case.subject, host, case.webhook_id)
    except MemoryUnknown as exc:
        return [case.subject.finding("history_unknown", f"{exc.problem}. {exc.advice}")]
    return []


def _audit_stores(
    cases: Sequence[Case | PairCase],
    batch: Sequence[StoresToRead],
    listings: Mapping[str, Listing],
    ports: AuditPorts,
    *,
    in_time: bool,
) -> None:
    """Read the stores of some webhooks, read them again if they differ, and derive the findings."""
    if not in_time:
        for case in cases:
            case.findings += case.judge()
            case.findings.append(case.subject.finding("not_audited", "there was no time left to read its stores"))
            ports.say(f"{case.subject.name}: not audited")
        return
    held = read_stores(batch)
    for case in cases:
        case.stores = held[case.subject.name]
    _look_again([case for case in cases if case.may_be_passing], listings, ports)
    for case in cases:
        case.findings += case.judge()
        kinds = ", ".join(dict.fromkeys(finding.kind for finding in case.findings)) or "well"
        ports.say(f"{case.subject.name}: {kinds}")


def _look_again(cases: Sequence[Case | PairCase], listings: Mapping[str, Listing], ports: AuditPorts) -> None:
    """Read webhooks and stores once more: a running rotation makes them differ for a moment."""
    again: list[Case | PairCase] = []
    for case in cases:
        listing = listings[case.subject.conn_id]
        if listing.client is None:
            continue
        if isinstance(case, PairCase):
            # First, so that a half whose pausing is recorded is shown as paused. What was read counts if this fails.
            _ask_history(case, listing.host, ports)
        if case.read_again(listing.client):
            again.append(case)
    held = read_stores([case.to_read for case in again])
    for case in again:
        case.stores = held[case.subject.name]
