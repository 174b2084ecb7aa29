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

ENTRY_POINTS = "[featurebase_provider.stores]\nscripted = tests.faults.store:ScriptedStore\n"
METADATA = "Metadata-Version: 2.1\nName: scripted-store\nVersion: 1.0\n"


@dataclass
class Place:
    """Where one scripted store writes.

    :param conditional: whether a write notices that the value changed since it was read.
    """

    value: str | None = None
    conditional: bool = True
    version: int = 0
    history: list[str | None] = field(default_factory=list)
    """What the store wrote here, oldest first; not what others put."""
    shows: Callable[[str | None], str | None] | None = None
    """What reading shows instead of the value."""
    down: bool = False
    read_only: bool = False
    before: dict[Operation, deque[Callable[[], None]]] = field(default_factory=dict)
    after: dict[Operation, deque[Callable[[], None]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, value: str | None) -> None:
        """Write, as somebody else would."""
        with self.lock:
            self._put(value)

    def put_if(self, value: str | None, held: object) -> bool:
        """Write if the place still is as it was read, where it can tell."""
        with self.lock:
            if self.conditional and held != self.version:
                return False
            self._put(value)
            self.history.append(value)
            return True

    def _put(self, value: str | None) -> None:
        self.value = value
        self.version += 1

    def then(self, when: dict[Operation, deque[Callable[[], None]]], operation: Operation) -> None:
        """Do what the script says of this operation's next call."""
        acts = when.get(operation)
        if acts:
            acts.popleft()()


PLACES: dict[str, Place] = {}


class ScriptedStore(StoreConfig):
    """A place of this process.

    :param place: its name in :data:`PLACES`.
    """

    type: Literal["scripted"] = "scripted"
    place: str

    @property
    def target(self) -> str:
        return f"scripted:{self.place}"

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
        value = self._place.value if self._place.shows is None else self._place.shows(self._place.value)
        held = StoredValue(secret_or_none(value), version=self._place.version)
        self._end("read")
        return held

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        self._begin("write")
        if self._place.read_only:
            raise self._refusal()
        if not self._place.put_if(pair.current.reveal(), held.version):
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
