"""What the tasks of a Dag run left for its report. Holds no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.refresh_count import RefreshCount

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from featurebase_provider.rotation.all_stores import StoreOutcome
    from featurebase_provider.rotation.approval import Approval
    from featurebase_provider.rotation.found import Found
    from featurebase_provider.rotation.pair_report import PairFacts
    from featurebase_provider.rotation.plan import RotationPlan
    from featurebase_provider.rotation.refresh_log import RefreshesSincePlan
    from featurebase_provider.rotation.rotate import RotationOutcome


@dataclass(frozen=True, slots=True)
class EndState:
    """The webhook's state when the report is made; None for what could not be read.

    :param gone: whether the webhook no longer exists in Featurebase.
    :param failing: how many deliveries in a row have failed.
    :param log: the refreshes since the plan that Featurebase's audit log shows; None if it was not asked.
    """

    at: datetime
    fingerprint: str | None = None
    status: str | None = None
    gone: bool = False
    failing: int | None = None
    log: RefreshesSincePlan | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The results of a Dag run's tasks.

    :param plan: preflight's plan, or None if it made none.
    :param rotation: rotate's result, or None.
    :param pushed: the push tasks' results, by store label; they replace rotate's.
    :param probe: the probe task's result, or None.
    :param delivery: the verdict on real deliveries, or None.
    :param current: fingerprint of Featurebase's secret at the end, or None if it could not be read.
    :param gone: whether it could not be read because the webhook no longer exists.
    :param receiver_exposure_ms: see ``rotation.clock``.
    :param status: the webhook's status at the end, or None if it could not be read.
    :param found: what preflight found, or None if it found nothing.
    :param refreshes: how often the secret was refreshed; by default the run could not refresh it.
    :param pair: both halves of a pair at the end; None for a single webhook.
    :param failing: how many deliveries in a row have failed at the end, as Featurebase shows; None if unknown.
    :param approval: who approved the run, if that was needed and happened.
    """

    plan: RotationPlan | None
    rotation: RotationOutcome | None
    pushed: Mapping[str, StoreOutcome]
    probe: Mapping[str, Any] | None = None
    delivery: Mapping[str, Any] | None = None
    current: str | None = None
    gone: bool = False
    receiver_exposure_ms: float | None = None
    status: str | None = None
    found: Found | None = None
    refreshes: RefreshCount = field(default_factory=RefreshCount)
    pair: PairFacts | None = None
    failing: int | None = None
    approval: Approval | None = None

    @property
    def refusals_seen(self) -> int | None:
        """How many failed deliveries the run saw: for a pair while both delivered, else in a row at the end."""
        if self.pair is not None:
            return self.pair.refused
        if self.rotation is None or self.failing is None:
            return None
        before = self.rotation.plan.health.consecutive_failures or 0
        return self.failing - before if self.failing >= before else self.failing

    @property
    def proven(self) -> bool:
        """Whether a probe passed or a delivery succeeded."""
        probed = self.probe is not None and self.probe.get("result") == "accepted"
        return probed or (self.delivery is not None and self.delivery.get("kind") == "healthy")
