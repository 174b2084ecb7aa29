"""What goes wrong in a pair's rotation, and what people do to its webhooks meanwhile: drawn like the other faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from dev.soak.faults import Fault, Kill, change_fault, read_fault

if TYPE_CHECKING:
    import random

Half = Literal["live", "standby"]
"""As they are when the rotation begins."""
Act = Literal["refresh", "set active", "pause"]
HALVES: tuple[Half, ...] = get_args(Half)

TASKS = (
    "preflight", "rotate", "rotate", "push.object_storage", "probe", "activate", "activate", "cut_over", "cut_over",
    "verify_delivery", "report",
)  # fmt: skip
STEPS = 24
REFUSED = Fault("POST", {"kind": "status", "status": 400})
"""Featurebase refuses to refresh a paused webhook."""


@dataclass(frozen=True)
class ByHand:
    """What a person does to a half while the task is at its ``step``-th step."""

    task_id: str
    step: int
    act: Act
    half: Half

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.act} the {self.half}"


@dataclass(frozen=True)
class PairDisturbance:
    """All that happens in one rotation of a pair.

    :param faults: met by the calls of each half in this order, by method apart.
    :param kill: which process dies, if one does.
    :param clear_all: whether somebody clears all tasks once the run has ended.
    :param by_hand: what a person does meanwhile.
    :param reverts: whether the deliveries are moved back before the drain.
    :param drains: how often ``previous_for`` passes and the stores are updated, before the next rotation.
    """

    faults: tuple[tuple[Half, Fault], ...] = ()
    kill: Kill | None = None
    clear_all: bool = False
    by_hand: ByHand | None = None
    reverts: bool = False
    drains: int = 2

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes wrong, and nobody intervenes."""
        return not self.faults and self.kill is None and self.by_hand is None


def draw_pair(rng: random.Random) -> PairDisturbance:
    """Draw one rotation's share. What a person does always works, so its calls meet no fault."""
    by_hand = None
    if rng.random() < 0.3:
        act: Act = rng.choice(get_args(Act))
        half: Half = {"set active": "standby", "refresh": rng.choice(HALVES), "pause": rng.choice(HALVES)}[act]  # type: ignore[assignment]
        by_hand = ByHand(rng.choice(TASKS), rng.randrange(STEPS), act, half)
    faults: list[tuple[Half, Fault]] = []
    if by_hand is None or by_hand.act != "refresh":
        faults += [("standby", _refresh_fault(rng)) for _ in range(rng.choices((0, 1, 2), (55, 35, 10))[0])]
    if by_hand is None or by_hand.act == "refresh":
        faults += [
            (half, change_fault(rng, method="PATCH"))
            for half in HALVES
            for _ in range(rng.choices((0, 1, 2), (65, 28, 7))[0])
        ]
    faults += [(half, read_fault(rng)) for half in HALVES for _ in range(rng.choices((0, 1, 2), (70, 20, 10))[0])]
    kill = Kill(rng.choice(TASKS), rng.randrange(STEPS)) if rng.random() < 0.3 else None
    return PairDisturbance(
        tuple(faults),
        kill,
        clear_all=by_hand is None and rng.random() < 0.1,
        by_hand=by_hand,
        reverts=by_hand is None and rng.random() < 0.3,
        drains=rng.choice((1, 2)),
    )


def _refresh_fault(rng: random.Random) -> Fault:
    return REFUSED if rng.random() < 0.1 else change_fault(rng)
