"""A store in memory that misbehaves on request and remembers every write; its type ``scripted`` comes as a plug-in.

The Dag runs of these tests happen in this process, so a test reaches a store's place by its name.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable
from featurebase_provider.rotation.store import ArmedStore, SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import StoreConfig, secret_or_none

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Operation = Literal["arm", "read", "prove", "write"]
Slots = tuple[str | None, str | None]
"""The current and the previous value."""

ENTRY_POINTS = "[featurebase_provider.stores]\nscripted = tests.faults.store:ScriptedStore\n"
METADATA = "Metadata-Version: 2.1\nName: scripted-store\nVersion: 1.0\n"


@dataclass
class Place:
    """Where one scripted store writes.

    :param conditional: whether a write notices that the value changed since it was read.
    :param previous: the second slot, where the store keeps two secrets.
    """

    value: str | None = None
    previous: str | None = None
    conditional: bool = True
    version: int = 0
    history: list[str | None] = field(default_factory=list)
    """What the store wrote here, oldest first; not what others put."""
    on_change: Callable[[Place], None] | None = None
    """Told of each change, by the store or by others, once it is readable."""
    theirs: bool = False
    """Whether the change that :attr:`on_change` is told of was made by others."""
    shows: Callable[[Slots], Slots] | None = None
    """What reading shows instead of both slots."""
    down: bool = False
    read_only: bool = False
    before: dict[Operation, deque[Callable[[], None]]] = field(default_factory=dict)
    after: dict[Operation, deque[Callable[[], None]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def slots(self) -> Slots:
        """Both slots."""
        return self.value, self.previous

    def put(self, value: str | None, previous: str | None = None) -> None:
        """Write, as somebody else would."""
        with self.lock:
            self.theirs = True
            self._put(value, previous)

    def put_if(self, value: str | None, previous: str | None, held: object) -> bool:
        """Write if the place still is as it was read, where it can tell."""
        with self.lock:
            if self.conditional and held != self.version:
                return False
            self.theirs = False
            self.history.append(value)
            self._put(value, previous)
            return True

    def _put(self, value: str | None, previous: str | None) -> None:
        self.value, self.previous = value, previous
        self.version += 1
        if self.on_change is not None:
            self.on_change(self)

    def then(self, when: dict[Operation, deque[Callable[[], None]]], operation: Operation) -> None:
        """Do what the script says of this operation's next call."""
        acts = when.get(operation)
        if acts:
            acts.popleft()()


PLACES: dict[str, Place] = {}


class ScriptedStore(StoreConfig):
    """A place of this process.

    :param place: its name in :data:`PLACES`.
    :param previous_secret: whether it keeps two secrets.
    """

    type: Literal["scripted"] = "scripted"
    place: str
    previous_secret: bool = False

    @property
    def target(self) -> str:
        return f"scripted:{self.place}"

    @property
    def previous_target(self) -> str | None:
        return f"{self.target}#previous" if self.previous_secret else None

    def arm(self) -> ArmedStore:
        return _Armed(self.full_name, PLACES[self.place])


class _Armed(ArmedStore):
    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name)
        self._place = place
        self._begin("arm")
        self._end("arm")

    def prove_writable(self) -> Writability:
        self._begin("prove")
        if self._place.read_only:
            raise self._refusal()
        self._end("prove")
        return Writability(proven=True, detail="it says so")

    def read(self) -> StoredValue:
        self._begin("read")
        slots = self._place.slots if self._place.shows is None else self._place.shows(self._place.slots)
        value, previous = map(secret_or_none, slots)
        held = StoredValue(value, previous=previous, version=self._place.version)
        self._end("read")
        return held

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        self._begin("write")
        if self._place.read_only:
            raise self._refusal()
        previous = pair.previous.reveal() if pair.previous is not None else None
        if not self._place.put_if(pair.current.reveal(), previous, held.version):
            raise StoreConflict(self.name, "it changed since it was read; nothing was written", "A retry reads again")
        self._end("write")

    def _begin(self, operation: Operation) -> None:
        if self._place.down:
            raise unreachable(self.name)
        self._place.then(self._place.before, operation)

    def _end(self, operation: Operation) -> None:
        self._place.then(self._place.after, operation)

    def _refusal(self) -> StoreRefused:
        return StoreRefused(self.name, "it is read-only; nothing was written", "Allow the write, then clear this task")


def unreachable(name: str) -> StoreUnreachable:
    """What a store that is down raises."""
    return StoreUnreachable(name, "it does not answer; whether a write arrived is not known", "A retry reads first")


def install(folder: Path) -> None:
    """Make the store type known in this process, as an installed plug-in is."""
    info = folder / "scripted_store-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    sys.path.insert(0, str(folder))
