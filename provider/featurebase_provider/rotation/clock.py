"""A process's clock, and points in time that another process can measure from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import FiniteFloat  # noqa: TC002 - read_record resolves it

from featurebase_provider.rotation.records import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that another process can measure from.

    :param monotonic: ``time.monotonic()`` seconds; comparable between processes of one boot of one machine.
    :param wall: Unix seconds.
    :param boot: identifies the boot of the machine, or None if the system does not provide that.
    """

    monotonic: FiniteFloat
    wall: FiniteFloat
    boot: str | None = None

    @classmethod
    def from_json(cls, raw: object) -> Moment | None:
        """Read a moment back from its ``asdict`` form; None for anything else."""
        return read_record(cls, raw)


class Clock:
    """The clock that a task uses.

    :param wall: Unix seconds, by another clock than the machine's.
    """

    def __init__(self, wall: Callable[[], float] | None = None) -> None:
        self._wall = wall

    def monotonic(self) -> float:
        """Seconds of a clock that is never set or adjusted."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return self._wall() if self._wall is not None else time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def moment(self) -> Moment:
        """The present moment."""
        return Moment(self.monotonic(), self.wall(), boot_id())

    def moment_at(self, monotonic: float) -> Moment:
        """An earlier moment of this process.

        :param monotonic: what :meth:`monotonic` said then.
        """
        now = self.moment()
        return Moment(monotonic, now.wall - (now.monotonic - monotonic), now.boot)


SYSTEM_CLOCK = Clock()


def boot_id() -> str | None:
    """The running kernel's boot id (Linux, proc(5)), or None."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return None


def milliseconds_between(start: Moment, end: Moment) -> float:
    """Milliseconds from ``start`` to ``end``, by the monotonic clock where both share it, else by wall clock."""
    if start.boot is not None and start.boot == end.boot:
        return max((end.monotonic - start.monotonic) * 1000, 0.0)
    return max((end.wall - start.wall) * 1000, 0.0)
