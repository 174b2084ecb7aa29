"""Decides when a scheduled run is skipped, so that nobody is surprised by a refresh."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from featurebase_provider.featurebase.text import in_words

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunTiming:
    """When a Dag run was due.

    :param scheduled: whether Airflow's scheduler created the run; manual runs are never skipped.
    :param run_after: when it was due.
    :param backfill: whether it belongs to a backfill of past dates.
    :param approved_at: when somebody approved it, if that was needed; it is late only after that.
    """

    scheduled: bool
    run_after: datetime | None
    backfill: bool = False
    approved_at: datetime | None = None


def why_no_backfill(timing: RunTiming) -> str | None:
    """Why a backfill run is skipped, or None if it is no backfill: it would refresh once for each of its dates."""
    if not timing.backfill:
        return None
    return "a backfill has nothing to rotate: only the current secret can be replaced; nothing was changed"


def why_late(timing: RunTiming, *, now: datetime, late_start: timedelta | None) -> str | None:
    """Why a scheduled run starts too late to refresh, or None.

    Airflow runs a missed schedule when a Dag is unpaused, whatever ``catchup`` says.
    """
    if not timing.scheduled or late_start is None or timing.run_after is None:
        return None
    since, what = timing.run_after, "due"
    if timing.approved_at is not None:
        since, what = timing.approved_at, "approved"
    late = now - since
    if late <= late_start:
        return None
    return (
        f"this scheduled run was {what} at {since.isoformat()} and starts {in_words(late)} late, more than "
        f"late_start ({in_words(late_start)}) allows; nothing was changed. Trigger the Dag by hand to rotate now"
    )


def why_too_young(
    timing: RunTiming, *, age: timedelta | None, min_age: timedelta | None, late_start: timedelta | None
) -> str | None:
    """Why a scheduled run is skipped because the secret is too young, or None.

    A refresh happens up to ``late_start`` after its scheduled time, so the secret is younger by as much at the next
    one. That is allowed for: a daily schedule with a ``min_age`` of a day must rotate each day.

    :param age: the secret's highest possible age; None if unknown, which skips nothing.
    """
    if not timing.scheduled or min_age is None or age is None or age + (late_start or timedelta()) >= min_age:
        return None
    return (
        f"the secret is at most {in_words(age)} old, less than min_age ({in_words(min_age)}); nothing was changed. "
        "Trigger the Dag by hand to rotate now"
    )
