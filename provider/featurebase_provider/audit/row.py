"""One webhook, or one pair, in the report of an audit. Holds no secret."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.check import HeldByStore
from featurebase_provider.rotation.past import PastRun
from featurebase_provider.rotation.records import items_of, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.age import SecretAge

DAY = 86_400.0
LONGEST = 600
"""Most characters of a text about a store."""
_POINT = ("at", "outcome", "mode", "exposure_ms", "receiver_exposure_ms", "refused")
"""What a point of the year's plot needs of a run."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Featurebase's figures about a webhook's deliveries; None is unknown. The receiver's own text is left out.

    :param failures: how many deliveries in a row failed.
    :param last_success_at: when one succeeded last (ISO 8601).
    :param last_code: the HTTP status of the latest one; None where no answer came.
    :param last_at: when that was (ISO 8601).
    """

    failures: int | None = None
    last_success_at: str | None = None
    last_code: int | None = None
    last_at: str | None = None

    @classmethod
    def of(cls, webhook: Webhook) -> Deliveries:
        """The figures of a webhook."""
        success, last = webhook.health.last_success_at, webhook.last_status
        return cls(
            webhook.health.consecutive_failures,
            success.isoformat() if success is not None else None,
            last.code if last is not None else None,
            last.timestamp.isoformat() if last is not None else None,
        )


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """A secret's age in seconds, between two bounds, and its limit; None is unknown or unlimited."""

    at_least: float | None = None
    at_most: float | None = None
    max_age: float | None = None

    @classmethod
    def of(cls, age: SecretAge | None, max_age: timedelta | None) -> AgeLimit:
        """The bounds of an age."""
        limit = max_age.total_seconds() if max_age is not None else None
        if age is None:
            return cls(max_age=limit)
        at_most = age.at_most.total_seconds() if age.at_most is not None else None
        return cls(age.at_least.total_seconds(), at_most, limit)

    @property
    def days(self) -> float | None:
        """How old it is at most, in days."""
        return self.at_most / DAY if self.at_most is not None else None

    @property
    def days_left(self) -> float | None:
        """Days until it reaches its limit, at the earliest; negative if it has."""
        return (self.max_age - self.at_most) / DAY if self.max_age is not None and self.at_most is not None else None


@dataclass(frozen=True, slots=True)
class AuditedHalf:
    """One webhook of a pair, as Featurebase shows it."""

    webhook_id: str
    status: str
    fingerprint: str | None
    deliveries: Deliveries | None = None

    @classmethod
    def of(cls, webhook: Webhook) -> AuditedHalf:
        """One webhook of a pair."""
        return cls(webhook.id, webhook.status, webhook.fingerprint, Deliveries.of(webhook))


@dataclass(frozen=True, slots=True)
class AuditedWebhook:
    """One webhook, or one pair of webhooks, of the rotation file.

    :param webhook_id: of a pair, the live half's, whose status, fingerprint, age and deliveries follow.
    :param status: its status in Featurebase, or None if the webhook could not be read.
    :param age: the secret's age in words, or None.
    :param halves: both webhooks of a pair that could be read; empty for a single webhook.
    :param dag_id: the Dag that rotates it.
    :param dashboard_url: its page in the Featurebase dashboard, if the rotation file names one.
    :param aged: the secret's age in figures, and its limit.
    :param deliveries: None if the webhook could not be read.
    :param runs: the runs of the past year, oldest first.
    """

    name: str
    conn_id: str
    webhook_id: str | None
    status: str | None
    fingerprint: str | None
    age: str | None
    stores: tuple[HeldByStore, ...]
    halves: tuple[AuditedHalf, ...] = ()
    dag_id: str | None = None
    dashboard_url: str | None = None
    aged: AgeLimit = AgeLimit()
    deliveries: Deliveries | None = None
    runs: tuple[PastRun, ...] = ()

    def as_json(self, points: int) -> dict[str, Any]:
        """A JSON-ready mapping.

        :param points: how many of its runs are shown, at most, in short. The newest is always shown in full.
        """
        return {
            "name": self.name,
            "conn_id": self.conn_id,
            "webhook_id": self.webhook_id,
            "status": one_line(self.status, 20) if self.status is not None else None,
            "fingerprint": self.fingerprint,
            "age": self.age,
            "stores": [_short(held) for held in self.stores],
            "halves": [{**asdict(half), "status": one_line(half.status, 20)} for half in self.halves],
            "dag_id": self.dag_id,
            "dashboard_url": self.dashboard_url,
            "aged": asdict(self.aged),
            "deliveries": asdict(self.deliveries) if self.deliveries is not None else None,
            "last_run": self.runs[-1].as_json() if self.runs else None,
            "runs": [_point(run) for run in self.runs[max(len(self.runs) - points, 0) :]],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> AuditedWebhook:
        """Read a row back; older reports lack some fields."""
        known = {name: raw[name] for name in cls.__slots__ if name in raw}
        runs = (read_record(PastRun, run) for run in items_of(raw.get("runs")))
        return cls(
            **{
                **known,
                "stores": tuple(HeldByStore(**held) for held in raw["stores"]),
                "halves": tuple(half for one in items_of(raw.get("halves")) if (half := read_record(AuditedHalf, one))),
                "aged": read_record(AgeLimit, raw.get("aged")) or AgeLimit(),
                "deliveries": read_record(Deliveries, raw.get("deliveries")),
                "runs": tuple(run for run in runs if run is not None),
            }
        )


def rows_json(webhooks: Sequence[AuditedWebhook], most_points: int) -> list[dict[str, Any]]:
    """All rows, JSON-ready.

    :param most_points: how many runs all of them show together, at most.
    """
    each = most_points // max(len(webhooks), 1)
    return [webhook.as_json(each) for webhook in webhooks]


def _short(held: HeldByStore) -> dict[str, Any]:
    problem = one_line(held.problem, LONGEST) if held.problem else None
    return {**asdict(held), "target": one_line(held.target, LONGEST), "problem": problem}


def _point(run: PastRun) -> dict[str, Any]:
    facts = run.as_json()
    return {name: facts[name] for name in _POINT if facts[name] is not None}
