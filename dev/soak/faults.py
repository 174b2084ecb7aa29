"""What goes wrong in a rotation: drawn from a seeded generator, so that a seed tells the whole story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

LATE_IN_WATCH = (0.2, 1.5)
LATE_AFTER_WATCH = (6.0, 7.5)
"""Seconds after which a late refresh commits: while the try that sent it still looks, or after the next one gave up
looking and sent another; see ``core_part.ENTRY`` for the times."""

BROKEN_BODIES = ("truncated", "not_json", "wrong_type", "html")
PASSING = (500, 503, 429)
BUSIEST_TASKS = ("preflight", "rotate", "rotate", "rotate", "push.object_storage", "probe", "verify_delivery")
KILL_STEPS = 20
"""Rotate calls out about ten times, each call with a step before and one after it."""


@dataclass(frozen=True)
class Fault:
    """One call that goes wrong in the sandbox.

    :param how: its kind and the kind's fields, as the sandbox takes them.
    """

    method: str
    how: dict[str, Any]

    @property
    def name(self) -> str:
        """Kind and what matters of it, for the table."""
        what = str(self.how["kind"])
        if what == "status":
            what = f"status {self.how['status']}"
        if self.how.get("commit"):
            what += " after commit"
        return f"{self.method} {what}"

    @property
    def delay(self) -> float:
        """Seconds from the call's arrival to its commit, if it commits."""
        held = self.how["kind"] == "late_commit" or (self.how["kind"] == "latency" and not self.how.get("commit"))
        return float(self.how["seconds"]) if held else 0.0


@dataclass(frozen=True)
class Kill:
    """The task's process dies (SIGKILL) at its ``step``-th step: around a call of API, receiver, store or memory."""

    task_id: str
    step: int


@dataclass(frozen=True)
class Disturbance:
    """All that goes wrong in one rotation.

    :param faults: met by the webhook's calls in this order, refreshes and reads apart.
    :param kill: which process dies, if one does.
    :param clear_all: whether somebody clears all tasks once the run has ended.
    """

    faults: tuple[Fault, ...] = ()
    kill: Kill | None = None
    clear_all: bool = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes wrong."""
        return not self.faults and self.kill is None


def draw(rng: random.Random, *, kills: bool = True, later: bool = True) -> Disturbance:
    """Draw one rotation's share.

    :param kills: whether processes may die and runs may be cleared.
    :param later: whether a refresh may commit so late that a second one is sent.
    """
    refreshes = [change_fault(rng, later=later) for _ in range(rng.choices((0, 1, 2), (50, 40, 10))[0])]
    reads = [read_fault(rng) for _ in range(rng.choices((0, 1, 2, 3), (60, 20, 12, 8))[0])]
    very_late = any(fault.how["kind"] == "late_commit" and fault.delay > LATE_IN_WATCH[1] for fault in refreshes)
    kill = None
    # A secret that only a killed process saw, replaced by a late commit, is in no store: what was signed with it is
    # lost whatever anybody does. So these two do not meet.
    if kills and not very_late and rng.random() < 0.3:
        kill = Kill(rng.choice(BUSIEST_TASKS), rng.randrange(KILL_STEPS))
    return Disturbance((*refreshes, *reads), kill, clear_all=kills and rng.random() < 0.1)


def change_fault(rng: random.Random, *, method: str = "POST", later: bool = True) -> Fault:
    """What goes wrong with a call that changes something.

    :param later: whether it may take effect so late that a second one is sent.
    """
    kind = rng.choice(("status", "reset", "hang", "drop_response", "late_commit", "malformed", "latency"))
    how: dict[str, Any] = {"kind": kind}
    if kind in ("status", "reset", "hang", "latency"):
        how["commit"] = rng.random() < 0.5
    if kind == "status":
        how |= _status(rng, how)
    elif kind == "latency":
        how["seconds"] = round(rng.uniform(0.05, 0.6), 2)
    elif kind == "malformed":
        how["body"] = rng.choice(BROKEN_BODIES)
    elif kind == "late_commit":
        how["seconds"] = round(rng.uniform(*(LATE_AFTER_WATCH if later and rng.random() < 0.4 else LATE_IN_WATCH)), 2)
        how["status"] = 504
    return Fault(method, how)


def read_fault(rng: random.Random) -> Fault:
    """What goes wrong with a read."""
    kind = rng.choice(("status", "reset", "hang", "drop_response", "stale_read", "malformed", "latency"))
    how: dict[str, Any] = {"kind": kind}
    if kind == "status":
        how |= _status(rng, how)
    elif kind == "latency":
        how["seconds"] = round(rng.uniform(0.05, 0.6), 2)
    elif kind == "malformed":
        how["body"] = rng.choice(BROKEN_BODIES)
    return Fault("GET", how)


def _status(rng: random.Random, how: dict[str, Any]) -> dict[str, Any]:
    status = rng.choice(PASSING)
    if status == 429:  # refused means not done
        return {"status": status, "headers": {"Retry-After": "0.3"}, "commit": False}
    return {"status": status, "commit": how.get("commit", False)}
