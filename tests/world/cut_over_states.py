"""Every state of a cut-over, and the step that :class:`~rotation.cut_over.CutOverWatch` takes in it.

Half B was set active; half A delivered before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.cut_over import READS_THAT_CONFIRM, CutOver, CutOverWatch
from featurebase_provider.rotation.pair import Pair
from tests.world.fakes import START, a_webhook, fingerprint
from tests.world.pair_states import GONE, STATUSES, A, B

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.rotation.cut_over import StepKind

SECRETS = ("as probed", "changed")
PAUSED_BY = ("no", "yes")
DELIVERIES = ("none", "accepted", "one failed", "three failed")
OLD_FAILED = ("no", "yes")
TIMES = {"in first_delivery": 60.0, "in pending": 600.0, "after both": 4000.0}
"""And how many seconds after the activation that is."""
FIRST_DELIVERY, PENDING = 300.0, 3600.0

COLUMNS = ("A", "A's secret", "A paused by this run", "B", "B's secret", "B's deliveries", "A's failed", "time")
VALUES = (STATUSES, SECRETS, PAUSED_BY, STATUSES, SECRETS, DELIVERIES, OLD_FAILED, tuple(TIMES))
COUNT = 1
for _values in VALUES:
    COUNT *= len(_values)


@dataclass(frozen=True)
class CutOverState:
    """One state.

    :param a: status of the half that delivered before, or ``gone``; ``b`` of the one that was set active.
    :param a_secret: whether its secret is the one with which the receiver was probed.
    :param by_us: whether this run paused half A.
    :param b_delivers: how deliveries of half B ended.
    :param a_failed: whether a delivery of half A failed since the plan.
    :param time: a name in :data:`TIMES`.
    """

    a: str
    a_secret: str
    by_us: str
    b: str
    b_secret: str
    b_delivers: str
    a_failed: str
    time: str

    @property
    def key(self) -> tuple[str, ...]:
        """Its values, one a column."""
        return self.a, self.a_secret, self.by_us, self.b, self.b_secret, self.b_delivers, self.a_failed, self.time

    @property
    def pair(self) -> Pair:
        """What Featurebase shows at last."""
        return self._pair(0 if self.b_delivers != "three failed" else 3)

    @property
    def step(self) -> StepKind:
        """The step that is taken after enough reads."""
        cut_over = CutOver(
            old=A,
            new=B,
            old_holds=fingerprint("a"),
            new_holds=fingerprint("b"),
            planned_at=(START - timedelta(minutes=5)).isoformat(),
            activated_at=START.isoformat(),
            first_delivery=FIRST_DELIVERY,
            pending=PENDING,
        )
        watch = CutOverWatch(cut_over, paused_by_us=self.by_us == "yes")
        now = START + timedelta(seconds=TIMES[self.time])
        for failures in (1, 3):  # failures are counted from the first one seen
            watch.observe(self._pair(failures), now=now)
        for _ in range(READS_THAT_CONFIRM):
            step = watch.observe(self.pair, now=now)
        return step.kind

    def _pair(self, failures: int) -> Pair:
        return Pair.of((A, B), [half for half in (self._a(), self._b(failures)) if half is not None])

    def _a(self) -> Webhook | None:
        failed = self.a_failed == "yes"
        return (
            None if self.a == GONE else _webhook(A, self.a, "a", self.a_secret, **_result(401 if failed else 200, -60))
        )

    def _b(self, failures: int) -> Webhook | None:
        facts: dict[str, Any] = {}
        if self.b_delivers == "accepted":
            at = (START + timedelta(seconds=30)).isoformat()
            facts = {**_result(200, 30), "health": {"last_success_at": at, "consecutive_failures": 0}}
        elif self.b_delivers != "none":
            shown = min(failures, 1) if self.b_delivers == "one failed" else failures
            facts = {**_result(401, 30 + shown), "health": {"consecutive_failures": max(shown, 1)}}
        return None if self.b == GONE else _webhook(B, self.b, "b", self.b_secret, **facts)


def _webhook(webhook_id: str, status: str, name: str, which: str, **facts: Any) -> Webhook:
    value = f"whsec_{name}" if which == "as probed" else f"whsec_{name}_by_hand"
    return a_webhook(value, id=webhook_id, status=status, **facts)


def _result(code: int, seconds: float) -> dict[str, Any]:
    at = (START + timedelta(seconds=seconds)).isoformat()
    return {"last_status": {"code": code, "message": "", "timestamp": at}}


def all_states() -> Iterator[CutOverState]:
    """Every state."""
    for values in product(*VALUES):
        yield CutOverState(*values)
