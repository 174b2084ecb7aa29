"""All cases of the crash matrix, several at once: a lane plays one case after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash import pair_points, points
from tests.crash.case import Case, Result
from tests.crash.pair_world import PairCrashWorld
from tests.crash.play import CaseRun
from tests.crash.world import CrashWorld

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.airflow import CrashAirflow

WAYS: tuple[points.Way, ...] = ("supervisor", "both", "task")  # those that wait for a heartbeat first
POINTS = (
    points.BEFORE,
    points.NOT_COMMITTED,
    points.NOT_ANSWERED,
    points.FIRST_STORE,
    points.BETWEEN,
    points.INSIDE,
    points.RESULT,
    points.PUSH,
    points.PUSH_INSIDE,
    points.PROBE,
    points.SETTLE,
    points.SETTLE_AFTER,
    points.VERIFY,
    points.COMPARE,
)
SECOND_REFRESH = Case(points.NOT_COMMITTED, "supervisor", orphan="after the next refresh", says="second time")

TOO_LATE = Case(
    points.NOT_COMMITTED, "supervisor", home="clear run", orphan="after the pushes", says="It was refreshed again"
)

SHORT_PAIR: tuple[Case, ...] = (
    Case(pair_points.IS_ACTIVE, "both"),
    Case(pair_points.SET_PAUSED, "supervisor"),
    Case(pair_points.ACTIVATED_KEPT, "task"),
    Case(pair_points.WATCHED, "triggerer"),
)
_PAIR: tuple[Case, ...] = (
    *SHORT_PAIR,
    Case(pair_points.IS_PAUSED, "both", goes_back=True),
    Case(pair_points.REVERT_ACTIVE, "both"),
    Case(pair_points.REVERT_PAUSED, "task"),
    Case(pair_points.PLAN, "task"),
    Case(pair_points.PLANNED, "both"),
    Case(pair_points.NOT_COMMITTED, "both"),
    Case(pair_points.NOT_ANSWERED, "task"),
    Case(pair_points.FIRST_STORE, "both"),
    Case(pair_points.BETWEEN, "task"),
    Case(pair_points.INSIDE, "both"),
    Case(pair_points.INSIDE, "supervisor"),
    Case(pair_points.HISTORY, "both"),
    Case(pair_points.HISTORY_KEPT, "task"),
    Case(pair_points.OTHERS, "both"),
    Case(pair_points.PUSH, "supervisor"),
    Case(pair_points.PUSH_INSIDE, "both"),
    Case(pair_points.PROBE, "task"),
    Case(pair_points.ACTIVATED, "both"),
    Case(pair_points.SET_ACTIVE, "task"),
    Case(pair_points.SET_ACTIVE, "supervisor"),
    Case(pair_points.SET_ACTIVE_LATE, "both"),
    Case(pair_points.IS_ACTIVE, "supervisor"),
    Case(pair_points.SAW_ACTIVE, "both"),
    Case(pair_points.ABOUT_TO_PAUSE, "both"),
    Case(pair_points.WILL_PAUSE, "both"),
    Case(pair_points.SET_PAUSED, "both"),
    Case(pair_points.SET_PAUSED_LATE, "both"),
    Case(pair_points.IS_PAUSED, "supervisor"),
    Case(pair_points.SAW_PAUSED, "both"),
    Case(pair_points.PAUSED, "both"),
    Case(pair_points.PAUSED_KEPT, "task"),
    Case(pair_points.TAKE_BACK, "both"),
    Case(pair_points.TAKEN_BACK, "both", home="clear run"),
    Case(pair_points.DRAIN, "both"),
    Case(pair_points.DRAINED, "both"),
    Case(pair_points.DRAINED_KEPT, "task"),
    Case(pair_points.WATCHED, "scheduler"),
    Case(pair_points.IS_ACTIVE, "machine"),
    Case(pair_points.IS_PAUSED, "machine"),
)
_SHORT: tuple[Case, ...] = (
    SECOND_REFRESH,
    Case(points.NOT_ANSWERED, "both"),
    Case(points.NOT_COMMITTED, "supervisor"),
    Case(points.BETWEEN, "task"),
    Case(points.RESULT, "task"),
    Case(points.NOT_ANSWERED, "task", home="clear run"),
    Case(points.WAITING, "triggerer"),
)
_FULL: tuple[Case, ...] = (
    *_SHORT,
    TOO_LATE,
    *(Case(point, way) for way in WAYS for point in POINTS),
    Case(points.LATE, "both"),
    Case(points.LATE, "task"),
    Case(points.NOT_ANSWERED, "both", home="clear task"),
    Case(points.NOT_ANSWERED, "task", home="clear run"),
    Case(points.INSIDE, "task", home="clear task"),
    Case(points.PUSH, "both", home="clear run"),
    Case(points.BY_HAND, "nothing", says="This try refreshes nothing and writes the current secret"),
    Case(points.EMERGENCY, "nothing", says="second time"),
    Case(points.EMERGENCY, "both", says="This try refreshes nothing and writes the current secret"),
    Case(points.WAITING, "triggerer"),
    Case(points.WAITING, "scheduler"),
    Case(points.NOT_ANSWERED, "machine"),
    Case(points.NOT_ANSWERED, "task", purged=True),
)
SHORT = (*_SHORT, *SHORT_PAIR)
FULL = tuple(dict.fromkeys((*_FULL, *_PAIR)))


@dataclass(frozen=True)
class Lane:
    """What a lane is made of.

    :param plain: without Variable and probe.
    :param retries: of its tasks; 0 leaves it to a person.
    :param strategy: ``overlap``: with a pair of webhooks.
    """

    name: str
    plain: bool = False
    retries: int = 3
    strategy: points.Strategy = "refresh"

    def world(self, folder: Path) -> CrashWorld:
        """What surrounds the lane's Dag."""
        if self.strategy == "overlap":
            return PairCrashWorld(folder / self.name, self.name, retries=self.retries)
        return CrashWorld(folder / self.name, self.name, plain=self.plain, retries=self.retries)


FULL_LANES = (
    *(Lane(f"lane-{number}") for number in range(1, 5)),
    *(Lane(f"plain-{number}", plain=True) for number in range(1, 4)),
    Lane("by-hand", plain=True, retries=0),
    *(Lane(f"pair-{number}", strategy="overlap") for number in range(1, 6)),
)
SHORT_LANES = (
    *(Lane(f"lane-{number}") for number in range(1, 4)),
    *(Lane(f"plain-{number}", plain=True) for number in range(1, 3)),
    Lane("by-hand", plain=True, retries=0),
    *(Lane(f"pair-{number}", strategy="overlap") for number in range(1, 4)),
)


def fits(case: Case, world: CrashWorld) -> bool:
    """Whether a lane can play a case."""
    if case.point.strategy != world.strategy:
        return False
    if case.by_hand != (world.retries == 0):
        return False
    return world.strategy == "overlap" or case.plain == world.plain


class Matrix:
    """Plays cases in lanes.

    :param say: takes a sentence about each case that has ended.
    """

    def __init__(self, airflow: CrashAirflow, cases: Sequence[Case], say: Callable[[str], None] = print) -> None:
        self._airflow, self._left, self._say = airflow, list(cases), say
        self._lock = threading.Lock()
        self.results: dict[str, Result] = {}

    def play(self) -> dict[str, Result]:
        """Play all of them; what touches every lane comes last, one by one."""
        alone = [case for case in self._left if case.disturbs]
        self._left = [case for case in self._left if not case.disturbs]
        with ThreadPoolExecutor(len(self._airflow.worlds)) as lanes:
            for done in [lanes.submit(self._lane, world) for world in self._airflow.worlds]:
                done.result()
        unfit = [*self._left]
        for case in alone:
            self._left = [case]
            for world in self._airflow.worlds:
                self._lane(world)
            unfit += self._left
        for case in unfit:
            self.results[case.id] = Result(
                case.point.name, case.way, case.home, case.point.strategy, problem="no lane could play it"
            )
        return self.results

    def _lane(self, world: CrashWorld) -> None:
        while (case := self._next(world)) is not None:
            start = time.monotonic()
            result = CaseRun(self._airflow, world, case).play()
            self.results[case.id] = result
            self._say(f"{world.name}: {case.id}: {result.problem or 'converged'} ({time.monotonic() - start:.0f} s)")

    def _next(self, world: CrashWorld) -> Case | None:
        with self._lock:
            fitting = [case for case in self._left if fits(case, world)]
            if not fitting:
                return None
            self._left.remove(fitting[0])
            return fitting[0]
