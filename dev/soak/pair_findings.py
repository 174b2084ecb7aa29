"""From what was noted of the pairs and the sandbox's journal to figures, and to what is not as it must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dev.soak.findings import percentiles, where_of
from dev.soak.judging import attempts_end, what_happened
from dev.soak.pair_deliveries import Deliveries, count_deliveries
from dev.soak.timeline import Change, Timeline, Written, changes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dev.soak.findings import Rotation
    from dev.soak.world import SoakedPair, SoakWorld


@dataclass
class PairNotes:
    """What was noted of one pair.

    :param writes: of its store; the first one is what it held at first.
    :param by_hand: what people did.
    :param taken_back: how many runs failed before they set the standby active.
    :param explained: what looks wrong, and why it is not.
    """

    pair: SoakedPair
    writes: list[Written]
    rotations: list[Rotation] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    taken_back: int = 0
    reverted: int = 0
    drains: int = 0
    explained: list[str] = field(default_factory=list)


@dataclass
class PairFigures(Deliveries):
    """What one combination's pairs came to.

    :param both_ms: for how long both halves were active in the rotations that moved the deliveries.
    """

    rotations: int = 0
    undisturbed: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    by_hand: dict[str, int] = field(default_factory=dict)
    clears_of_failed_tasks: int = 0
    runs_cleared_whole: int = 0
    taken_back: int = 0
    reverted: int = 0
    drains: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    refreshes: dict[int, int] = field(default_factory=dict)
    changes: int = 0
    writes: int = 0
    both_ms: dict[str, int | None] = field(default_factory=dict)
    explained: list[str] = field(default_factory=list)


def judge_pairs(world: SoakWorld, notes: Sequence[PairNotes], *, seconds: float) -> PairFigures:
    """Sum a world up; call it when the emission has stopped and the retries are over.

    :raises DemoError: deliveries go on for longer than they can.
    """
    happened = what_happened(world, over=attempts_end)
    figures = sum_up_pairs(
        world.combination.title,
        notes,
        changes=changes_of(world.audit_log()),
        drops=world.combination.switches.get("pausing", "drops") == "drops",
        **happened,
    )
    figures.seconds = round(seconds, 1)
    return figures


def sum_up_pairs(
    title: str,
    notes: Sequence[PairNotes],
    *,
    changes: Sequence[Change],
    drops: bool,
    events: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    received: set[str],
) -> PairFigures:
    """Count, and find what is broken.

    :param changes: of all webhooks, oldest first.
    :param drops: whether a paused webhook's events that wait for an attempt are dropped.
    :param events: the journal of events; ``deliveries`` likewise.
    :param received: ids of the events that the receivers say they accepted.
    """
    figures = PairFigures(title, changes=sum(change.was is not None for change in changes))
    _count_what_happened(figures, notes)
    theirs: set[str] = set()
    both: list[int] = []
    for one in notes:
        own = [change for change in changes if change.webhook_id in one.pair.ids]
        line = Timeline(one.pair.ids, own, one.writes).judge()
        theirs |= line.theirs
        both += _both_active(own)
        figures.broken += [f"{one.pair.name}: {problem}" for problem in line.broken]
        for rotation in one.rotations:
            _judge_refreshes(figures, rotation, own)
            figures.broken += [f"{one.pair.name}, run {rotation.run_id}: {text}" for text in rotation.problems]
        figures.explained += one.explained
    figures.both_ms = percentiles(both)
    pairs = [one.pair for one in notes]
    count_deliveries(figures, pairs, changes, theirs, events, deliveries, received, drops=drops)
    return figures


def _count_what_happened(figures: PairFigures, notes: Sequence[PairNotes]) -> None:
    rotations = [rotation for one in notes for rotation in one.rotations]
    figures.rotations = len(rotations)
    figures.undisturbed = sum(rotation.quiet for rotation in rotations)
    met = Counter(one.name for rotation in rotations for one in rotation.injected if one.met)
    figures.faults = dict(sorted(met.items()))
    figures.kills = dict(sorted(Counter(where_of(step) for rotation in rotations for step in rotation.kills).items()))
    figures.by_hand = dict(sorted(Counter(what for one in notes for what in one.by_hand).items()))
    figures.clears_of_failed_tasks = sum(rotation.clears for rotation in rotations)
    figures.runs_cleared_whole = sum(rotation.cleared_again for rotation in rotations)
    figures.taken_back = sum(one.taken_back for one in notes)
    figures.reverted = sum(one.reverted for one in notes)
    figures.drains = sum(one.drains for one in notes)
    figures.outcomes = dict(sorted(Counter(rotation.outcome for rotation in rotations).items()))
    figures.writes = sum(len(one.writes) - 1 for one in notes)


def _judge_refreshes(figures: PairFigures, rotation: Rotation, changes: Sequence[Change]) -> None:
    """One each; a second one only if the answer of a first one was lost, or it committed late."""
    count = sum(
        change.refreshed and not change.by_hand and rotation.began <= change.at <= rotation.ended for change in changes
    )
    figures.refreshes[count] = figures.refreshes.get(count, 0) + 1
    late = any(one.method == "POST" and one.met and one.delay for one in rotation.injected)
    if count > 1 and not late:
        figures.broken.append(f"{rotation.webhook_id}, run {rotation.run_id}: {count} refreshes without a late one")
    if count == 0 and rotation.outcome == "rotated":
        figures.broken.append(f"{rotation.webhook_id}, run {rotation.run_id}: the secret was not refreshed")


def _both_active(changes: Sequence[Change]) -> list[int]:
    """For how long both halves were active, each time that a run began and ended it."""
    spans = []
    since: Change | None = None
    active: set[str] = set()
    for change in changes:
        active = active - {change.webhook_id} | ({change.webhook_id} if change.status == "active" else set())
        if len(active) == 2 and since is None:
            since = change
        elif len(active) < 2 and since is not None:
            if not (since.by_hand or change.by_hand or since.was is None):
                spans.append(change.at - since.at)
            since = None
    return spans
