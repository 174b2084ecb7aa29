"""What a rotation set out from: recorded once per Dag run, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.rotation.convergence import Previous
from featurebase_provider.rotation.errors import PlanRefused, PlanUnreadable, SecretMissing
from featurebase_provider.rotation.health import one_line
from featurebase_provider.rotation.recorded import Instant, Text, read_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.featurebase.models import Webhook

Mode = Literal["rotate", "distribute", "dry_run", "emergency"]
MODES: tuple[Mode, ...] = ("rotate", "distribute", "dry_run")
"""What a person may ask a rotation Dag for; ``emergency`` belongs to a Dag of its own."""


@dataclass(frozen=True, slots=True)
class HealthFigures:
    """A webhook's delivery health at one moment, None where unknown; Featurebase forgets it when it is set active."""

    consecutive_failures: int | None = None
    errors_since_last_success: int | None = None
    last_success_at: str | None = None
    last_code: int | None = None
    last_at: str | None = None

    @classmethod
    def of(cls, webhook: Webhook) -> HealthFigures:
        """Take the figures that Featurebase shows."""
        health, last = webhook.health, webhook.last_status
        return cls(
            consecutive_failures=health.consecutive_failures,
            errors_since_last_success=health.errors_since_last_success,
            last_success_at=health.last_success_at.isoformat() if health.last_success_at else None,
            last_code=last.code if last else None,
            last_at=last.timestamp.isoformat() if last else None,
        )


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """The baseline that makes a refresh happen once: rotate refreshes only while ``before`` still holds.

    Kept in XCom and as the ``extra`` of an asset event, so it holds no secret.

    :param run_id: the Dag run that the plan belongs to.
    :param webhook_id: 24 hex digits.
    :param host: base URL of the Featurebase API.
    :param mode: what the run was asked to do.
    :param before: fingerprint of the secret that Featurebase held.
    :param updated_at: the webhook's ``updatedAt`` (ISO 8601), or None where the API gave none.
    :param status: the webhook's status.
    :param planned_at: server time of the reading (ISO 8601).
    :param reason: what the person who triggered the run wrote.
    :param known: fingerprints that earlier reports say are ours.
    :param drop_previous: whether the kept previous secret's time is over.
    :param dag_id: the Dag whose run it is, as several Dags share the asset and run ids repeat between Dags; empty in
        plans of version 0.1.0.
    :param leaked: fingerprints of secrets that must be left in no store, as emergency runs say.
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

    @property
    def previous(self) -> Previous:
        """What becomes of a kept previous secret."""
        return Previous.DROP if self.drop_previous or self.is_emergency else Previous.KEEP

    @property
    def is_emergency(self) -> bool:
        """Whether the secret has leaked."""
        return self.mode == "emergency"

    @property
    def refreshes(self) -> bool:
        """Whether the run is to refresh the secret."""
        return self.mode == "rotate" or self.is_emergency

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {**asdict(self), "known": list(self.known), "leaked": list(self.leaked)}

    @classmethod
    def from_json(cls, raw: object, *, webhook_id: str = "?") -> RotationPlan:
        """Read a plan back; fields of a newer version of this provider are left out.

        :raises PlanUnreadable: what was recorded is not a plan.
        """
        if not isinstance(raw, Mapping):
            raise PlanUnreadable(webhook_id, "no plan was recorded; run preflight again")
        plan = read_record(cls, raw)
        if plan is None:
            raise PlanUnreadable(webhook_id, "what was recorded is not a plan of this provider; run preflight again")
        return plan


def is_plan_of(record: Mapping[str, Any], *, dag_id: str, run_id: str) -> bool:
    """Whether a recorded plan is this Dag run's own; one without a ``dag_id`` (version 0.1.0) goes by its run id."""
    return record.get("run_id") == run_id and record.get("dag_id", "") in ("", dag_id)


def leaked_in(records: Iterable[Mapping[str, Any]], webhook_id: str) -> frozenset[str]:
    """Fingerprints that recorded plans and reports of a webhook say have leaked."""
    leaked: set[str] = set()
    for record in records:
        if record.get("webhook_id") == webhook_id:
            leaked.update(_texts(record.get("leaked")))
            leaked.update(_texts([record.get("before")]) if record.get("mode") == "emergency" else ())
    return frozenset(leaked)


def _texts(value: object) -> list[str]:
    """The texts of a recorded list; people can make asset events too, with anything in them."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, (list, tuple)) else []


def checked_mode(value: object, webhook_id: str) -> Mode:
    """Take the ``mode`` param of a Dag run.

    :raises PlanRefused: it is none of :data:`MODES`.
    """
    for mode in MODES:
        if value == mode:
            return mode
    shown = one_line(str(value), 60)
    raise PlanRefused(webhook_id, f"mode {shown!r} is not one of {', '.join(MODES)}; nothing was changed")


def make_plan(
    webhook: Webhook,
    *,
    run_id: str,
    host: str,
    mode: Mode,
    planned_at: str,
    reason: str = "",
    known: tuple[str, ...] = (),
    drop_previous: bool = False,
    allow_inactive: bool = False,
    dag_id: str = "",
    leaked: Iterable[str] = (),
) -> RotationPlan:
    """Turn what Featurebase shows into the baseline of a Dag run.

    In an emergency every secret up to now counts as leaked: which of them got out is not ours to judge, and none of
    them is to be accepted any more.

    :raises SecretMissing: the answer carries no secret.
    :raises PlanRefused: the webhook is not active and ``allow_inactive`` is off.
    """
    if webhook.secret is None:
        raise SecretMissing(
            webhook.id,
            "Featurebase's answer carries no signing secret, so nothing can be compared; nothing was changed. "
            "Check the connection's api_version and the API key's rights",
        )
    if webhook.status != "active" and mode not in ("dry_run", "emergency") and not allow_inactive:
        raise PlanRefused(
            webhook.id,
            f"it is {webhook.status!r}, not active, so no delivery would prove the rotation; nothing was changed. "
            "Set it active in Featurebase, or say allow_inactive: true in the rotation file",
        )
    return RotationPlan(
        run_id=run_id,
        webhook_id=webhook.id,
        host=host,
        mode=mode,
        before=webhook.secret.fingerprint,
        updated_at=webhook.updated_at.isoformat() if webhook.updated_at else None,
        status=webhook.status,
        planned_at=planned_at,
        health=HealthFigures.of(webhook),
        reason=reason,
        known=known,
        drop_previous=drop_previous,
        dag_id=dag_id,
        leaked=tuple(sorted({*leaked, *known, webhook.secret.fingerprint} if mode == "emergency" else {*leaked})),
    )
