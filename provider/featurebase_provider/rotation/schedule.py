"""When a scheduled run holds back, and what earlier reports tell of a secret's age and of values that are ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SAW_ANOTHER = ("answered", "found_after_lost_answer", "already_done")
"""How a rotation ended (see ``rotation.refresh``) that saw another secret than the one it set out from."""


@dataclass(frozen=True, slots=True)
class RunTiming:
    """When a Dag run was due.

    :param scheduled: whether Airflow's scheduler made the run; runs by hand are never held back.
    :param run_after: when it was due.
    :param backfill: whether it makes up for a date in the past.
    """

    scheduled: bool
    run_after: datetime | None
    backfill: bool = False


def why_no_backfill(timing: RunTiming) -> str | None:
    """Why a backfill refreshes nothing, or None; it would refresh once for each of its dates."""
    if not timing.backfill:
        return None
    return "a backfill has nothing to rotate: only the current secret can be replaced; nothing was changed"


def why_late(timing: RunTiming, *, now: datetime, late_start: timedelta | None) -> str | None:
    """Why a scheduled run is too late to surprise people with a refresh, or None.

    Airflow runs a missed tick when a Dag is unpaused, whatever ``catchup`` says.
    """
    if not timing.scheduled or late_start is None or timing.run_after is None:
        return None
    late = now - timing.run_after
    if late <= late_start:
        return None
    return (
        f"this scheduled run was due at {timing.run_after.isoformat()} and starts {in_words(late)} late, more than "
        f"late_start ({in_words(late_start)}) allows; nothing was changed. Trigger the Dag by hand to rotate now"
    )


def why_too_young(
    timing: RunTiming, *, refreshed_at: datetime | None, now: datetime, min_age: timedelta | None
) -> str | None:
    """Why a scheduled run leaves a young secret alone, or None; an unknown age holds nothing back."""
    if not timing.scheduled or min_age is None or refreshed_at is None:
        return None
    age = now - refreshed_at
    if age >= min_age:
        return None
    return (
        f"the secret was refreshed at {refreshed_at.isoformat()}, {in_words(age)} ago, less than min_age "
        f"({in_words(min_age)}); nothing was changed. Trigger the Dag by hand to rotate now"
    )


def refreshed_at(reports: Iterable[Mapping[str, Any]], fingerprint: str) -> datetime | None:
    """When the secret with this fingerprint was refreshed, as far as the reports of our own refreshes tell."""
    return _latest(_moment(report.get("refreshed_at")) for report in reports if report.get("after") == fingerprint)


def first_seen_at(reports: Iterable[Mapping[str, Any]], fingerprint: str) -> datetime | None:
    """When a report first showed the fingerprint as current; for secrets that were rotated by hand."""
    moments = [
        moment
        for report in reports
        if report.get("after") == fingerprint and (moment := _moment(report.get("at"))) is not None
    ]
    return min(moments, default=None)


def last_seen_otherwise(
    reports: Iterable[Mapping[str, Any]], fingerprint: str, *, until: datetime | None
) -> datetime | None:
    """When a report last showed another secret as current.

    :param until: only reports of earlier moments count; None for all.
    """
    moments = (
        _moment(report.get("at"))
        for report in reports
        if isinstance(report.get("after"), str) and report["after"] != fingerprint
    )
    return _latest(moment for moment in moments if moment is not None and (until is None or moment < until))


def previous_is_over(
    reports: Iterable[Mapping[str, Any]], fingerprint: str, *, now: datetime, previous_for: timedelta
) -> bool:
    """Whether a previous secret, kept since ``fingerprint`` became current, has had its time."""
    kept = list(reports)
    since = refreshed_at(kept, fingerprint) or first_seen_at(kept, fingerprint)
    return since is not None and now - since > previous_for


def known_fingerprints(records: Iterable[Mapping[str, Any]], webhook_id: str) -> tuple[str, ...]:
    """Fingerprints of the webhook's secrets that earlier runs set out from, saw or wrote.

    :param records: reports, and recorded plans: a run may have died before its report.
    """
    return tuple(dict.fromkeys(_fingerprints(records, webhook_id)))


def replaced_fingerprints(reports: Iterable[Mapping[str, Any]], webhook_id: str) -> frozenset[str]:
    """Fingerprints of secrets that rotate has seen replaced: Featurebase can't hold one of them again.

    Rotate compares ``updatedAt``, so what it saw instead was newer.
    """
    return frozenset(
        report["before"]
        for report in reports
        if report.get("webhook_id") == webhook_id
        and report.get("how") in SAW_ANOTHER
        and isinstance(report.get("before"), str)
    )


def _fingerprints(records: Iterable[Mapping[str, Any]], webhook_id: str) -> Iterator[str]:
    for record in records:
        if record.get("webhook_id") != webhook_id:
            continue
        seen = record.get("known")  # reports of version 0.1.0 have none
        told = (record.get("before"), record.get("after"), *(seen if isinstance(seen, list) else ()))
        yield from (one for one in told if isinstance(one, str))


def in_words(span: timedelta) -> str:
    """A duration as people say it: ``2 d 3 h``, ``1 h 5 min``, ``45 s``; none is negative."""
    seconds = max(int(span.total_seconds()), 0)
    sizes = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = []
    for size, unit in sizes:
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
