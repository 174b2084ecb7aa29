"""What goes wrong with a store of a pair, and with the memory of its runs, and when."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.faults.memory_faults import MemoryFault
from tests.faults.store_faults import AFTER, BEFORE, BETWEEN, DURING, down, fails, old, theirs, up
from tests.faults.store_faults import FAULTS as STORE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.pair_world import FaultyPair

_WORDS = {
    BEFORE: "A pair's store, before the run",
    BETWEEN: "A pair's store, between preflight and the refresh",
    DURING: "A pair's store, while both secrets are written",
    AFTER: "A pair's store, after both secrets were written",
}
TO_ACTIVATE = "A pair's store, between the probe and activate"
TO_CUT_OVER = "A pair's store, while both webhooks deliver"
MEMORY = "The memory of a pair's runs in Airflow's Variables"
SECTIONS = (*_WORDS.values(), TO_ACTIVATE, TO_CUT_OVER, MEMORY)


@dataclass(frozen=True)
class PairStoreFault:
    """One thing that goes wrong with a store; see :class:`~tests.faults.store_faults.StoreFault`."""

    key: str
    section: str
    words: str
    pause_after: str | None
    begin: Callable[[FaultyPair], None]
    mend: Callable[[FaultyPair], None]
    task: str


def restored(world: FaultyPair) -> None:
    """Somebody restores what the store held before the run: the live secret alone."""
    old(world)  # type: ignore[arg-type]


def mended(world: FaultyPair) -> None:
    """A person puts both secrets right again, and the store answers."""
    up(world)  # type: ignore[arg-type]
    if world.place.value not in world.issued_of[world.webhook_id] + world.issued_of[world.standby_id]:
        restored(world)


def _later(key: str, section: str, pause_after: str, task: str) -> tuple[PairStoreFault, ...]:
    def down_once(world: FaultyPair) -> None:
        world.place.before.update(arm=deque([lambda: fails(world)]))  # type: ignore[arg-type]

    what: tuple[tuple[str, str, Callable[[FaultyPair], None]], ...] = (
        ("down", "goes down and stays so", down),  # type: ignore[assignment]
        ("down_once", "is down for one try", down_once),
        ("theirs", "is changed by somebody else", theirs),  # type: ignore[assignment]
        ("restored", "is restored from a backup", restored),
    )
    return tuple(
        PairStoreFault(f"{name}_{key}", section, words, pause_after, begin, mended, task) for name, words, begin in what
    )


FAULTS: tuple[PairStoreFault, ...] = (
    *(
        PairStoreFault(
            fault.key,
            _WORDS[fault.section],
            fault.words,
            fault.pause_after,
            fault.begin,  # type: ignore[arg-type]
            mended,
            fault.task,
        )
        for fault in STORE_FAULTS
    ),
    *_later("activate", TO_ACTIVATE, "probe", "activate"),
    *_later("cut_over", TO_CUT_OVER, "activate", "verify_delivery"),
)

_M = MemoryFault("", MEMORY, "", "", "activate", "read")
MEMORY_FAULTS = (
    replace(_M, key="moves_at_preflight", words="preflight can't read the moves of earlier runs", task="preflight",
            record="paused", pause_after=None),
    replace(_M, key="history_at_preflight", words="preflight can't read what earlier runs left", task="preflight",
            record="history", pause_after=None),
    replace(_M, key="plan_unwritten", words="preflight can't write the plan", task="preflight", verb="write",
            record="plan_", pause_after=None),
    replace(_M, key="leaked_at_rotate", words="rotate can't read what has leaked", task="rotate", record="leaked"),
    replace(_M, key="plan_at_rotate", words="rotate can't read the plan directly before the refresh", task="rotate",
            record="plan_"),
    replace(_M, key="history_unwritten", words="rotate can't write what it did", task="rotate", verb="write",
            record="history"),
    replace(_M, key="at_push", words="push can't read what other runs left", task="push.scripted", record="",
            pause_after="rotate"),
    replace(_M, key="at_probe", words="probe can't read what other runs left", task="probe", record="",
            pause_after="distributed"),
    replace(_M, key="plan_at_activate", words="activate can't read the plan", record="plan_", pause_after="probe"),
    replace(_M, key="leaked_at_activate", words="activate can't read what has leaked", record="leaked",
            pause_after="probe"),
    replace(_M, key="activated_unwritten", words="activate can't write that it moves the deliveries", verb="write",
            record="activated", pause_after="probe"),
    replace(_M, key="activated_once", words="activate can't write that it moves the deliveries, once", verb="write",
            record="activated", pause_after="probe", times=1),
    replace(_M, key="at_cut_over", words="cut_over can't read what activate wrote", task="cut_over", record="",
            pause_after="activate"),
    replace(_M, key="paused_unwritten", words="cut_over can't write that it pauses the old webhook", task="cut_over",
            verb="write", record="paused", pause_after="activate"),
    replace(_M, key="paused_once", words="cut_over can't write that it pauses the old webhook, once", task="cut_over",
            verb="write", record="paused", pause_after="activate", times=1),
    replace(_M, key="at_report", words="report can't read what the run did", task="report", record="",
            pause_after="verify_delivery"),
)  # fmt: skip


def ordered_faults() -> list[tuple[str, str]]:
    """Section and fault of each row of the table, in its order."""
    return [(fault.section, fault.words) for fault in (*FAULTS, *MEMORY_FAULTS)]
