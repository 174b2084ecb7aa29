"""From what was noted in the pairs' year to figures, and to what is not as it must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dev.soak.calendar_findings import judge_held
from dev.soak.judging import attempts_end, what_happened
from dev.soak.pair_deliveries import Deliveries, count_deliveries
from dev.soak.timeline import Timeline, Written, changes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dev.soak.calendar import What
    from dev.soak.calendar_findings import Held, Turn
    from dev.soak.world import SoakWorld

MOVES: frozenset[What] = frozenset({"on schedule", "triggered", "run lost after activate"})
"""After these the other half delivers, with a new secret, and the stores hold both."""
STAYS: frozenset[What] = frozenset(
    {"triggered, then reverted", "standby refreshed at Featurebase", "both set active at Featurebase"}
)
"""After these the same half delivers, with the same secret."""
NO_REFRESH: frozenset[What] = frozenset({"both set active at Featurebase"})
HOLDS_BOTH = MOVES | {"triggered, then reverted", "both set active at Featurebase"}


@dataclass
class PairCalendarFigures(Deliveries):
    """What one combination's year of pairs came to.

    :param both_kept: turns after which the stores held both secrets; ``both_kept_through_retries``: until all retries
        were over; ``half_drained``: then both places held the live secret; ``drained``: then it was left alone.
    """

    days: float = 0.0
    runs: int = 0
    audits: int = 0
    healed: dict[str, int] = field(default_factory=dict)
    rotations: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    both_kept: int = 0
    both_kept_through_retries: int = 0
    half_drained: int = 0
    drained: int = 0
    explained: list[str] = field(default_factory=list)


def judge_pair_calendar(
    world: SoakWorld, turns: Sequence[Turn], writes: Mapping[str, Sequence[Written]]
) -> PairCalendarFigures:
    """Sum a world's year up; call it when all retries are over.

    :param writes: of each pair's store.
    :raises DemoError: deliveries go on for longer than they can.
    """
    happened = what_happened(world, over=attempts_end)
    figures = PairCalendarFigures(world.combination.title)
    changes = changes_of(world.audit_log())
    theirs: set[str] = set()
    for pair in world.pairs:
        own = [change for change in changes if change.webhook_id in pair.ids]
        line = Timeline(pair.ids, own, writes[pair.name]).judge()
        theirs |= line.theirs
        figures.broken += [f"{pair.name}: {problem}" for problem in line.broken]
    drops = world.combination.switches.get("pausing", "drops") == "drops"
    count_deliveries(figures, world.pairs, changes, theirs, **happened, drops=drops)
    judge_turns(figures, turns)
    return figures


def judge_turns(figures: PairCalendarFigures, turns: Sequence[Turn]) -> None:
    """Count what happened, and find what is broken."""
    for turn in turns:
        if turn.happening.rotates:
            _judge_turn(figures, turn)
        else:
            judge_held(turn)
        figures.broken += [f"{turn.happening.name} ({turn.happening.what}): {problem}" for problem in turn.problems]
    rotating = [turn for turn in turns if turn.happening.rotates]
    figures.rotations = dict(Counter(turn.happening.what for turn in rotating))
    figures.held = dict(Counter(turn.happening.what for turn in turns if not turn.happening.rotates))
    figures.audits = sum(turn.audits for turn in turns)
    figures.healed = dict(Counter(kind for turn in turns for kind in turn.healed))


def _judge_turn(figures: PairCalendarFigures, turn: Turn) -> None:
    what, live = turn.happening.what, turn.after
    if turn.refreshes != (what not in NO_REFRESH):
        turn.problems.append(f"a secret was refreshed {turn.refreshes} times")
    if (turn.before == live) is not (what in STAYS):
        turn.problems.append(f"the live secret was {turn.before} and is {live}")
    if what in HOLDS_BOTH:
        current, previous = turn.when_written
        if current == turn.before and previous not in (None, current) and live in turn.when_written:
            figures.both_kept += 1
        else:
            turn.problems.append(f"the store held {turn.when_written}, and not both secrets with {turn.before} first")
        if turn.when_retries_are_over == turn.when_written:
            figures.both_kept_through_retries += 1
        else:
            turn.problems.append(f"the store held {turn.when_retries_are_over} while retries were due")
    _judge_drain(figures, turn, live)


def _judge_drain(figures: PairCalendarFigures, turn: Turn, live: str | None) -> None:
    """First both secrets, then perhaps the live one in both places, then it alone: never back, and never half-way."""
    steps: list[Held] = [turn.when_written, (live, live), (live, None)]
    seen = [step for step in steps if step in turn.drain]
    if turn.drain != sorted(turn.drain, key=lambda held: steps.index(held) if held in steps else -1):
        turn.problems.append(f"the stores forgot in a strange order: {turn.drain}")
    if not set(turn.drain) <= set(seen) or (turn.happening.what in MOVES and (live, live) not in seen):
        turn.problems.append(f"while it was drained, the store held {turn.drain}, live is {live}")
    figures.half_drained += (live, live) in seen
    if turn.at_the_end == (live, None):
        figures.drained += turn.happening.what in HOLDS_BOTH
    else:
        turn.problems.append(f"the store was not drained: it held {turn.at_the_end}, live is {live}")
