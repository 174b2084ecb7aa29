"""The records of a pair: when a run set a half active, paused the other one, and let the stores forget its secret."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from featurebase_provider.rotation.records import Instant, Text, read_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featurebase_provider.rotation.memory import WebhookMemory
    from featurebase_provider.rotation.plan import RotationPlan

What = Literal["activated", "paused", "drained"]


def pair_id(ids: Iterable[str]) -> str:
    """Names a pair's records, whatever the order in which the rotation file lists its webhooks."""
    return "+".join(sorted(webhook_id.lower() for webhook_id in ids))


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a cut-over; holds no secret.

    :param webhook_id: the half that was set active or paused, or whose secret the stores forget.
    :param at: when, by Featurebase's clock (ISO 8601).
    :param planned_at: when the run's plan was made (ISO 8601).
    :param dag_id: the run's Dag.
    :param done: False if the run was about to take the step; it may or may not have taken it.
    """

    webhook_id: Text
    at: Instant
    planned_at: str = ""
    dag_id: str = ""
    run_id: str = ""
    done: bool = True

    @classmethod
    def of(cls, plan: RotationPlan, webhook_id: str, at: str, *, done: bool = True) -> Move:
        """A step of this plan's run."""
        return cls(webhook_id, at, plan.planned_at, plan.dag_id, plan.run_id, done)

    @property
    def moment(self) -> datetime:
        """When, as a datetime."""
        return datetime.fromisoformat(self.at)

    def is_of(self, plan: RotationPlan) -> bool:
        """Whether a run took this step by this plan."""
        return (self.planned_at, self.dag_id, self.run_id) == (plan.planned_at, plan.dag_id, plan.run_id)


@dataclass(frozen=True, slots=True)
class Moves:
    """The newest step of each kind; None if no run recorded one.

    Each is written by one task only: ``activated`` by activate, ``paused`` by cut_over, and ``drained`` by rotate, when
    all stores hold the live half's secret twice.
    """

    activated: Move | None = None
    paused: Move | None = None
    drained: Move | None = None

    @property
    def open(self) -> Move | None:
        """The step that set a half active, if no run has paused a half since."""
        begun, ended = self.activated, self.paused
        if begun is not None and ended is not None and ended.done and ended.moment >= begun.moment:
            return None
        return begun

    def activated_by(self, plan: RotationPlan) -> Move | None:
        """The step with which a run by this plan set a half active, or was about to."""
        return self.activated if self.activated is not None and self.activated.is_of(plan) else None

    def paused_by(self, plan: RotationPlan, webhook_id: str) -> Move | None:
        """The step with which a run by this plan paused this half, or was about to."""
        step = self.paused
        is_own = step is not None and step.is_of(plan) and step.webhook_id.lower() == webhook_id.lower()
        return step if is_own else None

    def drained_to(self, webhook_id: str) -> Move | None:
        """The step with which the stores forgot all but this half's secret, if deliveries have not moved since."""
        step = self.drained
        if step is None or step.webhook_id.lower() != webhook_id.lower():
            return None
        return None if self.paused is not None and self.paused.moment >= step.moment else step

    @classmethod
    def read(cls, memory: WebhookMemory) -> Moves:
        """Read the records of a pair.

        :raises MemoryUnknown: one of them can't be read.
        """
        kinds: tuple[What, ...] = ("activated", "paused", "drained")
        return cls(**{what: read_record(Move, (memory.read(what) or {}).get("move")) for what in kinds})


def keep_move(memory: WebhookMemory, what: What, move: Move) -> None:
    """Record a step.

    :raises MemoryUnknown: it is unknown whether it was recorded.
    """
    memory.write(what, {"move": asdict(move)})
