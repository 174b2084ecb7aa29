"""A case of the crash matrix, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.crash.points import Point, Strategy, Way

TASK_WAYS = ("task", "supervisor", "both", "machine")
Orphan = Literal["beside the next try", "after the next refresh", "after the pushes"]
Home = Literal["retry", "clear task", "clear run"]


@dataclass(frozen=True)
class Case:
    """A point, what dies there, and who brings the run home.

    :param orphan: when an orphan's held call goes on.
    :param home: Airflow's own retry, or a person, where the lane allows no retries.
    :param purged: whether all asset events are deleted before the kill, and again before each clear.
    :param says: what a note of the report must say.
    :param goes_back: whether a run with mode=revert follows, and moves the deliveries back.
    """

    point: Point
    way: Way
    home: Home = "retry"
    orphan: Orphan = "beside the next try"
    purged: bool = False
    says: str = ""
    goes_back: bool = False

    @property
    def id(self) -> str:
        """Names the case."""
        parts = [self.point.name, self.way]
        parts += ["pair"] if self.point.strategy == "overlap" else []
        parts += [self.home] if self.home != "retry" else []
        parts += [f"orphan {self.orphan}"] if self.orphan != "beside the next try" else []
        parts += ["asset events purged"] if self.purged else []
        return ", ".join(parts)

    @property
    def plain(self) -> bool:
        """Whether a lane without Variable and probe will do; an orphan shall meet the Variable where it can."""
        return self.point.plain and (self.way != "supervisor" or self.point.name.startswith("answered"))

    @property
    def by_hand(self) -> bool:
        """Whether it is played where tasks have no retries."""
        return self.home != "retry" and self.orphan != "after the pushes" and self.point.strategy == "refresh"

    @property
    def clears(self) -> tuple[Home, ...]:
        """What a person does after the case."""
        if self.point.strategy == "overlap":
            return ("clear task",) if self.way in ("task", "both") else ("clear run",)
        return ("clear task", "clear run") if self.way == "task" else ("clear run",)

    @property
    def disturbs(self) -> bool:
        """Whether it touches other runs, too."""
        return self.purged or self.way in ("triggerer", "scheduler", "machine")

    @property
    def refreshes(self) -> int:
        """How many refreshes the run may make: an orphan that was past its check makes a second one."""
        return 2 if self.orphan != "beside the next try" else self.point.refreshes


@dataclass
class Result:
    """What came of a case; a row of the table."""

    point: str
    killed: str
    home: str
    strategy: Strategy = "refresh"
    reached: bool = False
    tries: int = 0
    refreshes: int = 0
    changes: int = 0
    refused: int = 0
    went_back: bool = False
    converged: bool = False
    events: int = 0
    accepted: int = 0
    cleared: list[str] = field(default_factory=list)
    orphan: str = ""
    notes: list[str] = field(default_factory=list)
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)
