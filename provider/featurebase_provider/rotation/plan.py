"""What a rotation set out from: recorded once per Dag run, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.rotation.convergence import Previous
from featurebase_provider.rotation.errors import PlanRefused, PlanUnreadable, SecretMissing

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook

Mode = Literal["rotate", "distribute", "dry_run"]
MODES: tuple[Mode, ...] = ("rotate", "distribute", "dry_run")


@dataclass(frozen=True, slots=True)
class HealthFigures:
    """A webhook's delivery health at one moment; Featurebase forgets it when the webhook is set active."""

    consecutive_failures: int = 0
    errors_since_last_success: int = 0
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
    """

    run_id: str
    webhook_id: str
    host: str
    mode: Mode
    before: str
    updated_at: str | None
    status: str
    planned_at: str
    health: HealthFigures = field(default_factory=HealthFigures)
    reason: str = ""
    known: tuple[str, ...] = ()
    drop_previous: bool = False

    @property
    def previous(self) -> Previous:
        """What becomes of a kept previous secret."""
        return Previous.DROP if self.drop_previous else Previous.KEEP

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that :meth:`from_json` reads back."""
        return {**asdict(self), "known": list(self.known)}

    @classmethod
    def from_json(cls, raw: object, *, webhook_id: str = "?") -> RotationPlan:
        """Read a plan back; fields of a newer version of this provider are left out.

        :raises PlanUnreadable: what was recorded is not a plan.
        """
        if not isinstance(raw, Mapping):
            raise PlanUnreadable(webhook_id, "no plan was recorded; run preflight again")
        values = _known_fields(cls, raw)
        try:
            values["health"] = HealthFigures(**_known_fields(HealthFigures, dict(values.get("health", {}))))
            values["known"] = tuple(values.get("known", ()))
            plan = cls(**values)
        except TypeError:
            raise PlanUnreadable(
                webhook_id, "what was recorded is not a plan of this provider; run preflight again"
            ) from None
        if plan.mode not in MODES or not plan.before or not plan.webhook_id:
            raise PlanUnreadable(webhook_id, "the recorded plan is incomplete; run preflight again")
        return plan


def _known_fields(kind: type[RotationPlan | HealthFigures], raw: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {key: value for key, value in raw.items() if key in names}


def checked_mode(value: object, webhook_id: str) -> Mode:
    """Take the ``mode`` param of a Dag run.

    :raises PlanRefused: it is none of :data:`MODES`.
    """
    for mode in MODES:
        if value == mode:
            return mode
    raise PlanRefused(webhook_id, f"mode {value!r} is not one of {', '.join(MODES)}; nothing was changed")


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
) -> RotationPlan:
    """Turn what Featurebase shows into the baseline of a Dag run.

    :raises SecretMissing: the answer carries no secret.
    :raises PlanRefused: the webhook is not active and ``allow_inactive`` is off.
    """
    if webhook.secret is None:
        raise SecretMissing(
            webhook.id,
            "Featurebase's answer carries no signing secret, so nothing can be compared; nothing was changed. "
            "Check the connection's api_version and the API key's rights",
        )
    if webhook.status != "active" and mode != "dry_run" and not allow_inactive:
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
        updated_at=webhook.updated_at.isoformat(),
        status=webhook.status,
        planned_at=planned_at,
        health=HealthFigures.of(webhook),
        reason=reason,
        known=known,
        drop_previous=drop_previous,
    )
