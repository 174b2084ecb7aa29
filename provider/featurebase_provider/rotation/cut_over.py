"""Decides when the old half of a pair may be paused, after the new one was set active.

No clock, no network, no Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.featurebase.models import ACTIVE, PAUSED
from featurebase_provider.rotation.current import is_older
from featurebase_provider.rotation.errors import HALF_DELETED
from featurebase_provider.rotation.health import HealthWatch, failed, last_result, result_between
from featurebase_provider.rotation.pair_records import pair_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.moves import Moves
    from featurebase_provider.rotation.pair import Pair
    from featurebase_provider.rotation.plan import RotationPlan

StepKind = Literal["wait", "pause_old", "pause_new", "push", "restore_old", "done", "stopped"]
READS_THAT_CONFIRM = 2
"""Number of reads in a row that must ask for a step before it is taken."""
CONFIRM_SECONDS = 1.0
"""Seconds between the two reads that must agree before a step is taken."""
MOST_DOUBLINGS = 10
"""How often the time between two reads is doubled, at most."""


@dataclass(frozen=True, slots=True)
class CutOver:
    """A cut-over that has begun. It holds no secret, so it can be handed to the triggerer.

    :param old: id of the half that delivered before.
    :param new: id of the half that was set active.
    :param old_holds: fingerprint of the old half's secret that the stores hold.
    :param new_holds: fingerprint of the new half's secret, which was probed.
    :param planned_at: server time of the plan by which the cut-over was begun (ISO 8601).
    :param activated_at: server time at which the new half was set active (ISO 8601).
    :param first_delivery: seconds to wait for the new half's first accepted delivery, at most.
    :param pending: seconds to wait for retries of the old half's failed deliveries, at most.
    """

    old: str
    new: str
    old_holds: str
    new_holds: str
    planned_at: str
    activated_at: str
    first_delivery: float
    pending: float

    def ends(self, seconds: float) -> datetime:
        """The server time so many seconds after the activation."""
        return datetime.fromisoformat(self.activated_at) + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next.

    :param kind: ``wait``; ``pause_old``; ``pause_new`` (it fails, or its secret was changed); ``push`` (the old half's
        secret was changed, so the stores need it first); ``restore_old`` (neither half delivers, and this run paused
        the old one); ``done`` (only the new half delivers); ``stopped`` (a person or Featurebase intervened).
    :param why: one sentence for the log and the report.
    """

    kind: StepKind
    why: str = ""


@dataclass
class CutOverWatch:
    """Turns successive reads of both halves into the next step.

    A step other than to wait is taken only if two reads in a row ask for it, since one may be stale.

    :param replaced: fingerprints of secrets that were replaced; a read that shows one is stale.
    :param paused_by_us: whether this run has paused the old half, or was about to.
    :param old_failed: whether a delivery of the old half failed since the plan, as far as earlier reads saw.
    :param polls: number of reads so far.
    :param refused: number of failed deliveries that these reads saw. Featurebase shows only the last one of each half,
        so there may have been more.
    :param activated_at: from when an earlier watch counted; default: as the cut-over says.
    """

    cut_over: CutOver
    replaced: frozenset[str] = frozenset()
    paused_by_us: bool = False
    old_failed: bool = False
    polls: int = 0
    refused: int = 0
    activated_at: str = ""
    _asked: StepKind = field(default="wait", init=False)
    _times: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.activated_at = self.activated_at or self.cut_over.activated_at
        self._watch = HealthWatch(datetime.fromisoformat(self.cut_over.activated_at))
        self._newest: dict[str, datetime] = {}
        self._failures: set[tuple[str, datetime]] = set()

    @property
    def is_unsure(self) -> bool:
        """Whether the last read asked for a step that the next read must confirm."""
        return self._asked != "wait"

    def next_read_in(self, poll_interval: float) -> float:
        """Seconds until the next read. The first ones are short: while both halves deliver, each event comes twice.

        :param poll_interval: the longest pause.
        """
        doublings = 0 if self.is_unsure else min(self.polls, MOST_DOUBLINGS)
        return min(CONFIRM_SECONDS * 2.0**doublings, poll_interval)

    @property
    def state(self) -> dict[str, Any]:
        """What a watch that goes on in another process needs to know; JSON-ready."""
        names = ("paused_by_us", "old_failed", "polls", "refused", "activated_at")
        return {name: getattr(self, name) for name in names}

    def observe(self, pair: Pair, *, now: datetime) -> Step:
        """Evaluate one read of both halves.

        :param now: server time.
        """
        self.polls += 1
        if self._is_stale(pair):
            return Step("wait", "Featurebase showed an older state of a webhook")
        step = self._next(pair, now)
        self._times = self._times + 1 if step.kind == self._asked else 1
        self._asked = step.kind
        return step if step.kind == "wait" or self._times >= READS_THAT_CONFIRM else Step("wait", step.why)

    def _is_stale(self, pair: Pair) -> bool:
        shown = {half.id: half.updated_at for half in pair.webhooks if half.updated_at is not None}
        stale = any(is_older(moment, self._newest.get(half_id)) for half_id, moment in shown.items())
        for half_id, moment in shown.items():
            self._newest[half_id] = max(moment, self._newest.get(half_id, moment))
        return stale or any(half.fingerprint is None or half.fingerprint in self.replaced for half in pair.webhooks)

    def _next(self, pair: Pair, now: datetime) -> Step:
        plan = self.cut_over
        old, new = pair.get(plan.old), pair.get(plan.new)
        old_delivers = old is not None and old.status == ACTIVE
        self._count_failures(pair, now)
        # A half whose secret is not in the stores must neither go on delivering nor be set active.
        may_deliver = old_delivers or (old is not None and self._restorable(old, new))
        if old is not None and may_deliver and old.fingerprint != plan.old_holds:
            return Step("push", f"the secret of webhook {old.id} was refreshed by somebody else: {old.fingerprint}")
        if new is None or new.status != ACTIVE:
            return self._without_new(old, new)
        if new.fingerprint != plan.new_holds:
            return self._changed_new(new, old_delivers=old_delivers)
        if old is None or not old_delivers:
            return Step("done", f"only webhook {new.id} delivers")
        return self._failing(new, now) or self._pause_when_due(old, new, now)

    def _restorable(self, old: Webhook, new: Webhook | None) -> bool:
        """Whether this run paused the old half, and the new one does not deliver after all."""
        return self.paused_by_us and old.status == PAUSED and (new is None or new.status != ACTIVE)

    def _without_new(self, old: Webhook | None, new: Webhook | None) -> Step:
        state = "no longer exists" if new is None else f"is {new.status!r}{last_result(new)}"
        what = f"webhook {self.cut_over.new}, which this run had set active, {state}"
        then = f". If it was deleted, {HALF_DELETED}" if new is None else ""
        if old is not None and old.status == ACTIVE:
            return Step(
                "stopped",
                f"{what}: a person or Featurebase did that, so it stays so. Webhook {self.cut_over.old} delivers as "
                f"before, and the stores hold its secret{then}",
            )
        if old is not None and self._restorable(old, new):
            return Step("restore_old", f"{what}, and this run paused webhook {self.cut_over.old}")
        return Step(
            "stopped",
            f"{what}, and webhook {self.cut_over.old} does not deliver either: a person or Featurebase did that, so no "
            f"webhook is set active{then}",
        )

    def _changed_new(self, new: Webhook, *, old_delivers: bool) -> Step:
        what = (
            f"the secret of webhook {new.id} was refreshed by somebody else while the deliveries moved to it: it is "
            f"{new.fingerprint}, and {self.cut_over.new_holds} was proven"
        )
        return Step("pause_new" if old_delivers else "push", what)

    def _count_failures(self, pair: Pair, now: datetime) -> None:
        for half in pair.webhooks:
            last = result_between(half, datetime.fromisoformat(self.cut_over.planned_at), now)
            if last is None or not failed(last):
                continue
            self.old_failed = self.old_failed or half.id.lower() == self.cut_over.old.lower()
            if (half.id, last.timestamp) not in self._failures:
                self._failures.add((half.id, last.timestamp))
                self.refused += 1

    def _failing(self, new: Webhook, now: datetime) -> Step | None:
        in_time = now < self.cut_over.ends(self.cut_over.first_delivery)
        verdict = self._watch.observe(new, now=now) if in_time else self._watch.conclude(new, now=now)
        if verdict is None or verdict.kind != "failing":
            return None
        return Step("pause_new", f"deliveries of webhook {new.id} fail: {verdict.detail}")

    def _pause_when_due(self, old: Webhook, new: Webhook, now: datetime) -> Step:
        begun = datetime.fromisoformat(self.cut_over.activated_at)
        delivered = (success := new.health.last_success_at) is not None and success > begun
        if not delivered and now < self.cut_over.ends(self.cut_over.first_delivery):
            return Step("wait")
        if self.old_failed and now < self.cut_over.ends(self.cut_over.pending):
            return Step("wait")
        proof = "has delivered" if delivered else "had nothing to deliver in the time for its first delivery"
        lost = (
            f". Deliveries of webhook {old.id} failed since the plan{last_result(old)}: retries of them that are still "
            "due may be lost, which Featurebase does not document"
            if self.old_failed
            else ""
        )
        return Step("pause_old", f"webhook {new.id} {proof}{lost}")


def watch_of(
    plan: RotationPlan,
    moves: Moves,
    proven: Mapping[str, str],
    *,
    now: datetime,
    first_delivery: timedelta,
    pending: timedelta,
    watched: Mapping[str, Any],
) -> CutOverWatch:
    """Begin to watch the cut-over of a run, or go on.

    :param moves: what runs recorded about cut-overs.
    :param proven: fingerprints of the secrets with which the receiver was probed, by webhook id.
    :param now: server time.
    :param first_delivery: how long to wait for the new half's first accepted delivery.
    :param pending: how long to wait for retries of failed deliveries of the old half.
    :param watched: the state of an earlier watch, or empty.
    """
    old, new = pair_of(plan).was_live, plan.webhook_id.lower()
    activated = moves.activated
    if activated is not None and activated.webhook_id.lower() != new:
        activated = None
    begun = activated.at if activated is not None else None
    # The cut-over may have been begun by another run's plan, and failures since then count.
    planned = (activated.planned_at or activated.at) if activated is not None else plan.planned_at
    cut_over = CutOver(
        old=old,
        new=new,
        old_holds=str(proven.get(old)),
        new_holds=str(proven.get(new)),
        planned_at=min(planned, plan.planned_at, key=datetime.fromisoformat),
        # Without a record, the first watch counts from now, and a later one goes on: the wait must end.
        activated_at=watched.get("activated_at") or begun or now.isoformat(),
        first_delivery=first_delivery.total_seconds(),
        pending=pending.total_seconds(),
    )
    by_us = moves.paused_by(plan, old) is not None
    replaced = frozenset({plan.before} if plan.refreshes else ())
    return CutOverWatch(cut_over, replaced, **{"paused_by_us": by_us, **watched})
