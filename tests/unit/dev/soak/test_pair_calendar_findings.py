"""What the pairs' calendar calls kept, drained or broken must be so."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from dev.soak.calendar import Happening, What
from dev.soak.calendar_findings import Turn
from dev.soak.pair_calendar_findings import PairCalendarFigures, judge_turns

OLD, NEW, OTHER = "sha256:1", "sha256:2", "sha256:3"
AT = datetime(2026, 3, 1, 6, tzinfo=timezone.utc)
BOTH, HALF, ALONE = (OLD, NEW), (NEW, NEW), (NEW, None)


def turn(what: What = "on schedule", **changes: Any) -> Turn:
    """A rotation as it should be."""
    facts: dict[str, Any] = {
        "before": OLD,
        "after": NEW,
        "refreshes": 1,
        "when_written": BOTH,
        "when_retries_are_over": BOTH,
        "drain": [HALF, ALONE, ALONE],
        "at_the_end": ALONE,
        **changes,
    }
    return Turn(Happening(AT, "monthly", what), **facts)


def figures(*turns: Turn) -> PairCalendarFigures:
    found = PairCalendarFigures("drops")
    judge_turns(found, turns)
    return found


@pytest.mark.parametrize("drain", [[HALF, ALONE, ALONE], [BOTH, HALF, ALONE]])
def test_a_rotation_that_is_drained_in_two_steps_is_fine(drain: list[Any]) -> None:
    """The second one begins later, as a retry was delivered after the pause."""
    found = figures(turn(drain=drain))
    assert (found.broken, found.both_kept, found.both_kept_through_retries) == ([], 1, 1)
    assert (found.half_drained, found.drained, found.rotations) == (1, 1, {"on schedule": 1})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"refreshes": 2}, "refreshed 2 times"),
        ({"after": OLD, "drain": [(OLD, OLD), (OLD, None), (OLD, None)], "at_the_end": (OLD, None)}, "is sha256:1"),
        ({"when_written": (NEW, OLD), "when_retries_are_over": (NEW, OLD)}, "not both secrets"),
        ({"when_written": (OLD, None)}, "not both secrets"),
        ({"when_retries_are_over": HALF}, "while retries were due"),
        ({"drain": [ALONE, ALONE, ALONE]}, "while it was drained"),
        ({"drain": [HALF, BOTH, ALONE]}, "strange order"),
        ({"drain": [HALF, (NEW, OTHER), ALONE]}, "while it was drained"),
        ({"drain": [BOTH, BOTH, HALF], "at_the_end": HALF}, "was not drained"),
        ({"problems": ["a task crashed: boom"]}, "a task crashed: boom"),
    ],
)
def test_a_rotation_that_is_not_as_it_must_be_is_broken(changes: dict[str, Any], problem: str) -> None:
    broken = figures(turn(**changes)).broken
    assert any(problem in one and "monthly__2026-03-01T06 (on schedule)" in one for one in broken), broken


STAYS: dict[str, Any] = {
    "after": OLD,
    "drain": [(OLD, None)] * 3,
    "at_the_end": (OLD, None),
}


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("triggered, then reverted", STAYS),
        ("both set active at Featurebase", {**STAYS, "refreshes": 0}),
        (
            "standby refreshed at Featurebase",
            {**STAYS, "when_written": (OLD, None), "when_retries_are_over": (OLD, None)},
        ),
        (
            "at Featurebase, found by the audit",
            {"when_written": ALONE, "when_retries_are_over": ALONE, "drain": [ALONE] * 3},
        ),
        ("run lost after activate", {}),
    ],
)
def test_what_else_happens_to_a_pair(what: What, changes: dict[str, Any]) -> None:
    assert figures(turn(what, **changes)).broken == []
    assert figures(turn(what, **{**changes, "refreshes": 3})).broken
    assert figures(turn(what, **{**changes, "at_the_end": (NEW, OTHER)})).broken


def test_a_run_that_is_held_changes_nothing() -> None:
    held = Turn(Happening(AT, "monthly", "tick came late"), before=OLD, after=OLD, held_by="skipped")
    held.when_written = held.at_the_end = (OLD, None)
    found = figures(held)
    assert (found.broken, found.held) == ([], {"tick came late": 1})
    held.refreshes = 1
    assert figures(held).broken
