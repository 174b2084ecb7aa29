"""Who approved a rotation, and what the approver is asked. Holds no secret."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.notice import Notice
from featurebase_provider.rotation.records import Instant, Text, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featurebase_provider.rotation.plan import RotationPlan


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of one Dag run's plan.

    :param by: the approver's name in Airflow.
    :param at: when (ISO 8601).
    :param before: fingerprint of the secret that was to be replaced.
    """

    by: Text
    at: Instant
    before: Text

    @classmethod
    def from_json(cls, raw: object) -> Approval | None:
        """Read an approval back; None for anything else."""
        return read_record(cls, raw)

    def as_json(self) -> dict[str, str]:
        """A JSON-ready mapping."""
        return asdict(self)

    @property
    def moment(self) -> datetime:
        """When it was given."""
        return datetime.fromisoformat(self.at)

    def __str__(self) -> str:
        return f"{self.by} at {self.at}"


def name_of(user: Mapping[str, Any] | None) -> str:
    """A user of Airflow as the report names them."""
    user = user or {}
    return one_line(str(user.get("name") or user.get("id") or "somebody whom Airflow does not name"), 100)


def plan_in_lines(plan: RotationPlan, webhook: str) -> list[str]:
    """What a rotation by this plan would do, a fact in each line.

    :param webhook: the webhook's name in the rotation file.
    """
    if plan.pair is None:
        effect = "The secret is replaced at once and for good. Receivers refuse deliveries until they have the new one."
    else:
        effect = (
            "The paused webhook's secret is replaced, then the deliveries move to it. No delivery should be refused."
        )
    lines = [
        f"Webhook: {webhook} ({plan.webhook_id} at {plan.host}), {plan.status or 'status unknown'}",
        f"Secret to be replaced: {plan.before}",
        effect,
        *(f"Store: {target}" for target in plan.stores or ()),
    ]
    if plan.reason:
        lines.append(f"Reason: {plan.reason}")
    return [one_line(line, 600) for line in lines]


def approval_notice(plan: RotationPlan, webhook: str, *, until: str, link: str | None) -> Notice:
    """The notice that somebody must approve a rotation.

    :param until: when the run ends unchanged otherwise (ISO 8601).
    :param link: address of the page in Airflow's UI where it is approved, if Airflow knows its own address.
    """
    lines = [*plan_in_lines(plan, webhook), f"Without an answer the run ends unchanged at {until}."]
    if link:
        lines.append(f"Approve or reject: {link}")
    return Notice("approval_needed", f"Webhook {webhook}: a rotation waits for approval", "\n".join(lines))
