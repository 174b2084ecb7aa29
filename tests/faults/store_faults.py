"""What goes wrong with a config store, when, and how the Dag run is to end; for the scripted store."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreRefused
from tests.faults.cases import BY_AIRFLOW, BY_HAND, DONE, NOT_STARTED, PACE
from tests.faults.real_store_faults import FAULTS as REAL_FAULTS
from tests.faults.real_store_faults import SECTION as REAL_SECTION
from tests.faults.store import unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.runs import FaultyWorld
    from tests.faults.store import Place, Slots

THEIRS = "whsec_by_somebody_else_00112233445566"
STORE_TIMEOUT = 0.5 * PACE
NAME = "scripted"


def nothing(world: FaultyWorld) -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class StoreFault:
    """One thing that goes wrong with a store.

    :param pause_after: the task after which it begins; None for before the run.
    :param begin: lets it go wrong.
    :param mend: what a person does before clearing what failed.
    :param task: whose message tells of it.
    :param clear: further tasks that a person clears.
    """

    key: str
    section: str
    words: str
    expected: str
    pause_after: str | None
    begin: Callable[[FaultyWorld], None]
    mend: Callable[[FaultyWorld], None] = nothing
    task: str = "push.scripted"
    clear: tuple[str, ...] = ()
    conditional: bool = True
    changes: dict[str, Any] = field(default_factory=dict)


def down(world: FaultyWorld) -> None:
    """It answers nothing any more."""
    world.place.down = True


def up(world: FaultyWorld) -> None:
    """It answers again."""
    world.place.down = False
    world.place.shows = None
    world.place.read_only = False


def read_only(world: FaultyWorld) -> None:
    """It takes no write any more."""
    world.place.read_only = True


def theirs(world: FaultyWorld) -> None:
    """Somebody writes a value of their own."""
    world.place.put(THEIRS)


def old(world: FaultyWorld) -> None:
    """Somebody writes the secret that was there before the run."""
    world.place.put(world.issued[0])


def slow_reads(world: FaultyWorld) -> None:
    """Two reads in a row take longer than the store may."""
    gate = threading.Event()
    world.place.before["read"] = deque([lambda: hold(gate)] * 2)


def hold(gate: threading.Event) -> None:
    """Wait for longer than the store may take."""
    gate.wait(STORE_TIMEOUT * 2)


def fails(world: FaultyWorld) -> None:
    """A write that does not arrive."""
    raise unreachable(NAME)


def refuses(world: FaultyWorld) -> None:
    """A write that is refused."""
    raise StoreRefused(NAME, "it refused the write and holds what it held", "Allow the write, then clear this task")


def touched(world: FaultyWorld) -> None:
    """Somebody changes something else in the same secret or file."""
    world.place.put(world.place.value)


def slow(world: FaultyWorld) -> None:
    """A write that takes longer than the store may."""
    hold(threading.Event())


def shows_old(world: FaultyWorld) -> None:
    """From now on it shows what it held before the run."""
    first = world.issued[0]
    world.place.shows = lambda _: (first, None)


def shows_old_twice(world: FaultyWorld) -> None:
    """It shows what it held before the run to the next two reads."""
    first, left = world.issued[0], [2]

    def shown(slots: Slots) -> Slots:
        left[0] -= 1
        return (first, None) if left[0] >= 0 else slots

    world.place.shows = shown


def shows_theirs(world: FaultyWorld) -> None:
    """From now on it shows a value of somebody else."""
    world.place.shows = lambda _: (THEIRS, None)


def once(when: str, what: Callable[[FaultyWorld], None], times: int = 1) -> Callable[[FaultyWorld], None]:
    """Let the next writes go wrong, ``before`` or ``after`` they took effect."""

    def begin(world: FaultyWorld) -> None:
        script = getattr(world.place, when)
        script["write"] = deque([lambda: what(world)] * times)

    return begin


BEFORE, BETWEEN, DURING, AFTER = STORE_SECTIONS = (
    "A store, before the run",
    "A store, between preflight and the refresh",
    "A store, while the new secret is written",
    "A store, after the new secret was written",
)
SECTIONS = (*STORE_SECTIONS, REAL_SECTION)
PUSHED = "distributed"
LATER = ("push.scripted", "distributed", "verify_delivery")
FAULTS = (
    StoreFault("down_before", BEFORE, "down", NOT_STARTED, None, down, up, "preflight"),
    StoreFault("slow_before", BEFORE, "slower than its timeout", NOT_STARTED, None, slow_reads, nothing, "preflight"),
    StoreFault("read_only_before", BEFORE, "refuses writes", NOT_STARTED, None, read_only, up, "preflight"),
    StoreFault("theirs_before", BEFORE, "holds a value of somebody else", NOT_STARTED, None, theirs, old, "preflight"),
    StoreFault("down_between", BETWEEN, "goes down", NOT_STARTED, "preflight", down, up, "rotate"),
    StoreFault("slow_between", BETWEEN, "becomes slower than its timeout", NOT_STARTED, "preflight", slow_reads,
               nothing, "rotate"),
    StoreFault("theirs_between", BETWEEN, "is changed by somebody else", NOT_STARTED, "preflight", theirs, old,
               "rotate"),
    StoreFault("down_once", DURING, "down for one write", DONE, "preflight", once("before", fails)),
    StoreFault("down_twice", DURING, "down for two writes", BY_AIRFLOW, "preflight", once("before", fails, 2)),
    StoreFault("down_from_write", DURING, "goes down and stays so", BY_HAND, "rotate", down, up),
    StoreFault("arrived", DURING, "takes the write, its answer is lost", DONE, "preflight", once("after", fails)),
    StoreFault("refuses_once", DURING, "refuses one write", DONE, "preflight", once("before", refuses)),
    StoreFault("refuses", DURING, "refuses every write", BY_HAND, "preflight", read_only, up),
    StoreFault("slow_write", DURING, "slower than its timeout for one write", DONE, "preflight", once("before", slow)),
    StoreFault("slow_answer", DURING, "takes the write, answers after its timeout", DONE, "preflight",
               once("after", slow)),
    StoreFault("shows_old_twice", DURING, "takes the write, shows the old value for a moment", DONE, "preflight",
               once("after", shows_old_twice)),
    StoreFault("shows_old", DURING, "takes every write, goes on showing the old value", BY_HAND, "preflight",
               once("after", shows_old), up),
    StoreFault("shows_theirs", DURING, "takes the write, shows a value of somebody else", BY_HAND, "preflight",
               once("after", shows_theirs), up),
    StoreFault("touched", DURING, "something else in it is changed by somebody else", DONE, "preflight",
               once("before", touched)),
    StoreFault("theirs_during", DURING, "is changed by somebody else", BY_HAND, "preflight", once("before", theirs),
               old),
    StoreFault("theirs_after", AFTER, "is changed by somebody else before its push", BY_HAND, "rotate", theirs, old),
    StoreFault("restored", AFTER, "is restored from a backup before its push", DONE, "rotate", old),
    StoreFault("theirs_last", AFTER, "is changed by somebody else after its push", BY_HAND, PUSHED, theirs, old,
               "verify_delivery", LATER),
    StoreFault("restored_last", AFTER, "is restored from a backup after its push", BY_HAND, PUSHED, old, nothing,
               "verify_delivery", LATER),
    StoreFault("down_last", AFTER, "is down for the last comparison, once", BY_AIRFLOW, PUSHED,
               lambda world: world.place.before.update(arm=deque([lambda: fails(world)])), up, "verify_delivery"),
)  # fmt: skip


def ordered_faults() -> list[tuple[str, str]]:
    """Section and fault of each row of the table, in its order."""
    return [(fault.section, fault.words) for fault in FAULTS] + [
        (REAL_SECTION, f"{place}: {fault.words}") for place, fault in REAL_FAULTS
    ]


def late_writers(place: Place) -> list[threading.Thread]:
    """Threads that still work on a store after its time was over."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"store-{NAME} ")]
