"""Watches a tree of processes: the arguments and the environment of each, as everybody on the machine can see them."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.leaks.scanner import Leak, LeakScanner

PROC = Path("/proc")


@dataclass(frozen=True)
class Stat:
    """A process as the system lists it; a pid is used again, so a process is a pid and its start."""

    pid: int
    parent: int
    session: int
    start: int


@dataclass
class Seen:
    """What a process showed: each different text once, and how often it was looked at."""

    arguments: set[bytes] = field(default_factory=set)
    environment: set[bytes] = field(default_factory=set)
    looks: int = 0


class ProcessWatch:
    """A context manager; looks from a thread, over and over, until it is left.

    What is gone within ``every`` seconds may never be seen. Once seen, a process and what it starts are watched
    even when its parent dies.

    :param roots: tells the ids of the processes whose trees are watched, at each look.
    :param every: seconds between two looks.
    """

    def __init__(self, roots: Callable[[], Iterable[int]], *, every: float = 0.1) -> None:
        self.seen: dict[tuple[int, int], Seen] = defaultdict(Seen)
        self.looks = 0
        self._roots, self._every = roots, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-watch", daemon=True)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.look()

    def look(self) -> None:
        """Look once at every process of the trees."""
        self.looks += 1
        for stat in self._tree():
            seen = self.seen[stat.pid, stat.start]
            seen.looks += 1
            # The arguments change when a process gives itself a title, or becomes another program.
            for name, texts in (("cmdline", seen.arguments), ("environ", seen.environment)):
                with suppress(OSError):
                    texts.add((PROC / str(stat.pid) / name).read_bytes())

    def _tree(self) -> list[Stat]:
        stats = _stats()
        members = set(self._roots())
        members |= {stat.pid for stat in stats if (stat.pid, stat.start) in self.seen}
        grown = True
        while grown:
            more = {stat.pid for stat in stats if stat.parent in members or stat.session in members} - members
            members |= more
            grown = bool(more)
        return [stat for stat in stats if stat.pid in members]

    def scan(self, scanner: LeakScanner) -> list[Leak]:
        """Look for secrets in all that was seen."""
        found: list[Leak] = []
        for (pid, _), seen in sorted(self.seen.items()):
            title = min(seen.arguments, default=b"").replace(b"\0", b" ").decode(errors="replace").strip()[:60]
            for kind, texts in (("process arguments", seen.arguments), ("process environment", seen.environment)):
                found += scanner.scan_data(kind, f"{pid} {title}", b"\0\0".join(sorted(texts)))
        return found


def _stats() -> list[Stat]:
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                # What follows the name in brackets, which may hold anything.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found.append(Stat(int(entry.name), int(fields[1]), int(fields[3]), int(fields[19])))
    return found
