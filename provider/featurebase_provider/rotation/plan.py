"""A rotation's plan: the baseline that is recorded once per Dag run, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.current import LONGEST_LAG
from featurebase_provider.rotation.errors import PlanRefused, PlanUnreadable, SecretMissing
from featurebase_provider.rotation.modes import MODES, Mode
from featurebase_provider.rotation.one_store import Previous, WriteRule
from featurebase_provider.rotation.records import Instant, Text, read_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.models import Webhook


@dataclass(frozen=True, slots=True)
class HealthFigures:
    """A webhook's delivery health at one time; None is unknown. Setting the webhook active resets it."""

    consecutive_failures: int | None = None
    errors_since_last_success: int | None = None
    last_success_at: str | None = None
    last_code: int | None = None
    last_at: str | None = None

    @classmethod
    def of(cls, webhook: Webhook) -> HealthFigures:
        """Take the figures from a response of Featurebase."""
        health, last = webhook.health, webhook.last_status
        return cls(
            consecutive_failures=health.consecutive_failures,
            errors_since_last_success=health.errors_since_last_success,
            last_success_at=health.last_success_at.isoformat() if health.last_success_at else None,
            last_code=last.code if last else None,
            last_at=last.timestamp.isoformat() if last else None,
        )


@dataclass(frozen=True, slots=True)
class HalfBaseline:
    """One webhook of a pair, as preflight saw it.

    :param before: fingerprint of its secret.
    :param updated_at: its ``updatedAt`` (ISO 8601), or None if the API gave none.
    """

    before: Text
    status: str
    updated_at: Instant | None = None

    @classmethod
    def of(cls, webhook: Webhook) -> HalfBaseline:
        """Take it from a response of Featurebase.

        :raises SecretMissing: the response contains no secret.
        """
        moment = webhook.updated_at
        return cls(_fingerprint_of(webhook), webhook.status, moment.isoformat() if moment is not None else None)


@dataclass(frozen=True, slots=True)
class PairBaseline:
    """Both webhooks of a pair, as preflight saw them.

    :param webhooks: by webhook id.
    :param was_live: id of the webhook that delivered.
    :param refreshes: id of the webhook whose secret the run refreshes; None if it refreshes none.
    """

    webhooks: Mapping[str, HalfBaseline]
    was_live: Text
    refreshes: Text | None = None


@dataclass(frozen=True, slots=True)
class ThisRun:
    """The running Dag run and try, to decide whether a plan belongs to it.

    :param started: when the Dag run began (ISO 8601), according to Airflow.
    :param run_after: when it was due (ISO 8601).
    :param later_try: whether the task was tried before in this Dag run.
    :param cleared: whether a task of the Dag run was cleared; Airflow then replaces the run's start time.
    """

    dag_id: str
    run_id: str
    started: str | None = None
    run_after: str | None = None
    later_try: bool = False
    cleared: bool = False

    @property
    def name(self) -> str:
        """12 hex digits for Dag and run id."""
        return sha256("\n".join((self.dag_id, self.run_id)).encode()).hexdigest()[:12]

    @property
    def mark(self) -> str:
        """Identifies the Dag run in a history; a run that was deleted and created again has another start time."""
        return f"{self.name} {self.started or ''}"

    def made(self, plan: RotationPlan) -> bool:
        """Whether a try in this Dag run made the plan.

        A run that was deleted and created again can have the same id and the same ``run_after`` (seen on 3.1.8 and
        3.3.2). It has another start time, as a cleared run has, but it begins with a first try.
        """
        if not self.has_id_of(plan):
            return False
        same_start = plan.run_started is not None and plan.run_started == self.started
        return same_start or (self.later_try and (self.cleared or plan.run_started is None))

    def has_id_of(self, plan: RotationPlan) -> bool:
        """Whether the plan's Dag run has the same id; a plan of version 0.1.0 may lack the Dag's id."""
        return plan.run_id == self.run_id and plan.dag_id in ("", self.dag_id)


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """The baseline that limits a run to one refresh: rotate refreshes only while the secret still is ``before``.

    The plan is kept in XCom and, if the run refreshes, in an Airflow Variable, so it holds no secret.

    :param run_id: the Dag run that the plan belongs to.
    :param webhook_id: 24 hex digits.
    :param host: base URL of the Featurebase API.
    :param mode: the run's mode.
    :param before: fingerprint of the secret that Featurebase held.
    :param updated_at: the webhook's ``updatedAt`` (ISO 8601), or None if the API gave none.
    :param status: the webhook's status.
    :param planned_at: server time of the read (ISO 8601).
    :param reason: the reason that the person who triggered the run gave.
    :param known: fingerprints of the webhook's known secrets: from earlier runs, and found in the stores.
    :param drop_previous: whether a previous secret that is in a store has expired.
    :param dag_id: the Dag of the run, since run ids repeat between Dags; empty in old plans of version 0.1.0.
    :param leaked: fingerprints of secrets that emergency runs recorded as leaked; they must not stay in any store.
    :param run_after: when the Dag run was due (ISO 8601).
    :param run_started: when it began (ISO 8601).
    :param stores: targets of the stores that were checked; None in plans of version 0.1.0.
    :param older: fingerprints of secrets that were current before ``before``; Featurebase never returns to one of them.
    :param pair: both webhooks of a pair; ``webhook_id`` is the one to which the deliveries move. None for a single one.
    """

    run_id: str
    webhook_id: Text
    host: str
    mode: Mode
    before: Text
    updated_at: Instant | None
    status: str
    planned_at: Instant
    health: HealthFigures = field(default_factory=HealthFigures)
    reason: str = ""
    known: tuple[str, ...] = ()
    drop_previous: bool = False
    dag_id: str = ""
    leaked: tuple[str, ...] = ()
    run_after: Instant | None = None
    run_started: Instant | None = None
    stores: tuple[str, ...] | None = None
    older: tuple[str, ...] = ()
    pair: PairBaseline | None = None

    def is_of_run_of(self, other: RotationPlan) -> bool:
        """Whether both were made in the same Dag run."""
        return (self.dag_id, self.run_id) == (other.dag_id, other.run_id)

    def doubtful(self, now: datetime) -> frozenset[str]:
        """Those of ``older`` that may be current after all, if Featurebase keeps showing them.

        The plan may be based on a stale read of a secret that no run had seen before; see
        :class:`~.current.SecretOrder`.

        :param now: server time.
        """
        return frozenset(self.older if now - datetime.fromisoformat(self.planned_at) > LONGEST_LAG else ())

    def is_due_after(self, other: RotationPlan | ThisRun) -> bool:
        """Whether its Dag run was due later than the other one."""
        if self.run_after is None or other.run_after is None:
            return False
        return datetime.fromisoformat(self.run_after) > datetime.fromisoformat(other.run_after)

    def is_same_as(self, other: RotationPlan | None) -> bool:
        """Whether another record is a version of this plan; later versions have more information."""
        return other is not None and (self.run_id, self.before, self.planned_at) == (
            other.run_id,
            other.before,
            other.planned_at,
        )

    @property
    def previous(self) -> Previous:
        """What to do with a previous secret that a store keeps."""
        if self.is_emergency:
            return Previous.DROP
        return Previous.EXPIRED if self.drop_previous else Previous.KEEP

    @property
    def is_emergency(self) -> bool:
        """Whether the secret has leaked."""
        return self.mode == "emergency"

    @property
    def refreshes(self) -> bool:
        """Whether the run should refresh the secret."""
        return self.mode == "rotate" or self.is_emergency

    def rule(self, managed_from: str, *, also_known: Iterable[str] = ()) -> WriteRule:
        """The rules by which this Dag run may write stores.

        :param managed_from: which Airflow writes, for the mark.
        :param also_known: fingerprints of further known secrets.
        """
        halves = self.pair.webhooks if self.pair is not None else {}
        return WriteRule(
            webhook_id=self.webhook_id,
            managed_from=managed_from,
            known=frozenset({self.before, *self.known, *also_known, *(half.before for half in halves.values())}),
            previous=self.previous,
            replaces=self.before if self.refreshes else None,
            leaked=frozenset(self.leaked),
            halves=frozenset(halves),
        )

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {
            **asdict(self),
            "known": list(self.known),
            "leaked": list(self.leaked),
            "stores": list(self.stores) if self.stores is not None else None,
            "older": list(self.older),
        }

    @classmethod
    def from_json(cls, raw: object, *, webhook_id: str = "?") -> RotationPlan:
        """Read a plan back; fields of a newer version of this provider are left out.

        :raises PlanUnreadable: the recorded plan is missing or invalid.
        """
        if not isinstance(raw, Mapping):
            raise PlanUnreadable(webhook_id, "this Dag run has no recorded plan; run preflight again")
        plan = read_record(cls, raw)
        if plan is None:
            raise PlanUnreadable(webhook_id, "the recorded plan is invalid; run preflight again")
        return plan


def checked_mode(value: object, webhook_id: str, modes: tuple[Mode, ...] = MODES) -> Mode:
    """Check the ``mode`` param of a Dag run.

    :raises PlanRefused: it is none of ``modes``.
    """
    for mode in modes:
        if value == mode:
            return mode
    shown = one_line(str(value), 60)
    raise PlanRefused(webhook_id, f"mode {shown!r} is not one of {', '.join(modes)}; nothing was changed")


def check_status(webhook: Webhook, mode: Mode, *, allow_inactive: bool) -> None:
    """Check that the webhook is active if its secret is to be refreshed: only deliveries prove the rotation.

    Updating the stores is allowed whatever the status: a webhook may be paused because they are outdated.

    :raises PlanRefused: the webhook is not active, and ``allow_inactive`` is off.
    """
    if webhook.status != "active" and mode == "rotate" and not allow_inactive:
        raise PlanRefused(
            webhook.id,
            f"it is {webhook.status!r}, not active, so no delivery would prove the rotation; nothing was changed. "
            "Set it active in Featurebase, or set allow_inactive: true in the rotation file. If its stores are "
            "outdated, trigger the Dag with mode=distribute first: it updates them whatever the status",
        )


def make_plan(
    webhook: Webhook,
    run: ThisRun,
    *,
    host: str,
    mode: Mode,
    planned_at: str,
    reason: str = "",
    known: Iterable[str] = (),
    drop_previous: bool = False,
    leaked: Iterable[str] = (),
    stores: Iterable[str] = (),
    older: Iterable[str] = (),
    pair: PairBaseline | None = None,
) -> RotationPlan:
    """Make a Dag run's plan from what Featurebase shows.

    In an emergency every secret up to now counts as leaked: it is unknown which of them got out, and none of them must
    be accepted any more.

    :raises SecretMissing: the response contains no secret.
    """
    before = _fingerprint_of(webhook)
    known = tuple(dict.fromkeys(known))
    return RotationPlan(
        run_id=run.run_id,
        webhook_id=webhook.id,
        host=host,
        mode=mode,
        before=before,
        updated_at=webhook.updated_at.isoformat() if webhook.updated_at is not None else None,
        status=webhook.status,
        planned_at=planned_at,
        health=HealthFigures.of(webhook),
        reason=reason,
        known=known,
        drop_previous=drop_previous,
        dag_id=run.dag_id,
        leaked=tuple(sorted({*leaked, *known, before} if mode == "emergency" else {*leaked})),
        run_after=run.run_after,
        run_started=run.started,
        stores=tuple(stores),
        older=tuple(older),
        pair=pair,
    )


def _fingerprint_of(webhook: Webhook) -> str:
    if webhook.secret is None:
        raise SecretMissing(
            webhook.id,
            "Featurebase's response contains no signing secret, so nothing can be compared; nothing was changed. "
            "Check the connection's api_version and the API key's permissions",
        )
    return webhook.secret.fingerprint
