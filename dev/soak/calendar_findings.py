"""From what was noted in the calendar's year to figures, and to what is not as it must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dev.soak.findings import ACCEPTED
from dev.soak.judging import what_happened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dev.soak.calendar import Happening
    from dev.soak.combinations import Combination
    from dev.soak.world import SoakWorld

Held = tuple["str | None", "str | None"]
"""Fingerprints of the current and the previous secret in a store."""


@dataclass
class Turn:
    """What was noted of one happening.

    :param before: fingerprint that Featurebase held; ``after`` likewise.
    :param previous_before: the previous secret that the store still kept when it began.
    :param when_written: what the store held directly after the run that wrote it, or, where nothing may change, before.
    :param drain: what a pair's store held after each audit that was to let it forget a secret.
    :param held_by: state of preflight where the run must be held.
    :param healed: kinds of the findings for which audits had the stores mended.
    """

    happening: Happening
    before: str | None = None
    after: str | None = None
    previous_before: str | None = None
    refreshes: int = 0
    when_written: Held = (None, None)
    when_retries_are_over: Held = (None, None)
    drain: list[Held] = field(default_factory=list)
    at_the_end: Held = (None, None)
    held_by: str | None = None
    audits: int = 0
    healed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class CalendarFigures:
    """What one combination's year came to."""

    combination: str
    days: float = 0.0
    runs: int = 0
    audits: int = 0
    healed: dict[str, int] = field(default_factory=dict)
    rotations: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    previous_kept: int = 0
    previous_kept_through_retries: int = 0
    previous_dropped: int = 0
    emitted: int = 0
    accepted_with_replaced: int = 0
    refused: int = 0
    lost: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    explained: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For soak.json."""
        return asdict(self)


def judge_calendar(
    world: SoakWorld, turns: Sequence[Turn], *, days: float, runs: int, seconds: float
) -> CalendarFigures:
    """Sum a world's year up; call it when all retries are over.

    :raises DemoError: deliveries go on for longer than they can.
    """
    happened = what_happened(world)
    figures = sum_up_calendar(
        world.combination,
        turns,
        events=happened["events"],
        deliveries=happened["deliveries"],
        received=happened["received"],
        secrets=world.control("GET", "/secrets"),
    )
    figures.days, figures.runs, figures.seconds = round(days, 1), runs, round(seconds, 1)
    return figures


def sum_up_calendar(
    combination: Combination,
    turns: Sequence[Turn],
    *,
    events: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    received: set[str],
    secrets: Sequence[Mapping[str, Any]],
) -> CalendarFigures:
    """Count, and find what is broken.

    :param events: the sandbox's journal of events; ``deliveries`` and ``secrets`` likewise.
    :param received: ids of the events that the receivers say they accepted.
    """
    figures = CalendarFigures(combination.title)
    for turn in turns:
        if turn.happening.rotates:
            _judge_rotation(figures, turn, keeps=combination.keeps_previous)
        else:
            judge_held(turn)
        figures.broken += [f"{turn.happening.name} ({turn.happening.what}): {problem}" for problem in turn.problems]
    rotating = [turn for turn in turns if turn.happening.rotates]
    figures.rotations = dict(Counter(turn.happening.what for turn in rotating))
    figures.held = dict(Counter(turn.happening.what for turn in turns if not turn.happening.rotates))
    figures.audits = sum(turn.audits for turn in turns)
    figures.healed = dict(Counter(kind for turn in turns for kind in turn.healed))
    _count_deliveries(figures, combination, events, deliveries, received, secrets, rotations=len(rotating))
    return figures


def _judge_rotation(figures: CalendarFigures, turn: Turn, *, keeps: bool) -> None:
    current = turn.after
    if turn.refreshes != 1 or turn.before == turn.after:
        turn.problems.append(f"the secret was refreshed {turn.refreshes} times")
    for when, held in (("was written", turn.when_written), ("was audited last", turn.at_the_end)):
        if held[0] != current:
            turn.problems.append(f"when it {when}, the store held {held[0]}, and Featurebase {current}")
    if not keeps:
        return
    if turn.when_written[1] == turn.before:
        figures.previous_kept += 1
    else:
        turn.problems.append(f"the previous secret {turn.before} was not kept (the store holds {turn.when_written[1]})")
    if turn.when_retries_are_over == (current, turn.before):
        figures.previous_kept_through_retries += 1
    elif turn.when_written[1] == turn.before:
        turn.problems.append("the previous secret was dropped while retries that it signed were due")
    if turn.at_the_end[1] is None:
        figures.previous_dropped += turn.when_written[1] is not None
    else:
        turn.problems.append("the previous secret was kept for longer than previous_for, an audit notwithstanding")


def judge_held(turn: Turn) -> None:
    """Find what a run changed that had to be held back."""
    if turn.refreshes or turn.before != turn.after:
        turn.problems.append("the secret was refreshed")
    if turn.when_written != turn.at_the_end:
        turn.problems.append(f"the store was changed from {turn.when_written} to {turn.at_the_end}")
    wanted = {"tick came late": "skipped", "tick while the webhook was paused": "failed"}.get(turn.happening.what)
    if turn.held_by != wanted:
        turn.problems.append(f"preflight was {turn.held_by}, not {wanted}")


def _count_deliveries(
    figures: CalendarFigures,
    combination: Combination,
    events: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    received: set[str],
    secrets: Sequence[Mapping[str, Any]],
    *,
    rotations: int,
) -> None:
    figures.emitted = len(events)
    figures.lost = sum(not event["delivered"] for event in events)
    figures.refused = sum(one["statusCode"] == 401 for one in deliveries)
    figures.accepted_with_replaced = sum(
        one["statusCode"] in ACCEPTED and one["fingerprint"] != _in_force(one, secrets) for one in deliveries
    )
    if figures.lost and not combination.may_lose:
        lost = next(str(event["id"]) for event in events if not event["delivered"])
        figures.broken.append(f"{figures.lost} events were lost; the first: {_story(lost, deliveries, secrets)}")
    if {event["id"] for event in events if event["delivered"]} - received:
        figures.broken.append("events count as delivered, and no receiver has them")
    last = {one["eventId"]: one["statusCode"] for one in deliveries}
    otherwise = sum(last.get(event["id"]) != 401 for event in events if not event["delivered"])
    if otherwise:
        figures.broken.append(f"{otherwise} lost events were refused for another reason than their signature")
    tried = combination.keeps_previous and combination.retry_signing == "first"
    if not figures.broken and tried and figures.accepted_with_replaced < rotations:
        figures.broken.append("too few deliveries were signed with a secret that was replaced: nothing was tried")


def _story(event_id: str, deliveries: Sequence[Mapping[str, Any]], secrets: Sequence[Mapping[str, Any]]) -> str:
    """What became of an event's attempts."""
    lines = []
    for one in deliveries:
        if one["eventId"] == event_id:
            at = datetime.fromtimestamp(one["at"] / 1000, tz=timezone.utc)
            valid = "the secret in force" if one["fingerprint"] == _in_force(one, secrets) else "a replaced secret"
            lines.append(f"{at:%Y-%m-%d %H:%M:%S} {one['statusCode'] or one['error']}, signed with {valid}")
    return "; ".join(lines)


def _in_force(attempt: Mapping[str, Any], secrets: Sequence[Mapping[str, Any]]) -> str | None:
    """Fingerprint of the webhook's secret at the time of an attempt; secrets are listed in the order of their issue."""
    in_force = None
    for issued in secrets:
        if issued["webhookId"] == attempt["webhookId"] and issued["at"] <= attempt["at"]:
            in_force = str(issued["fingerprint"])
    return in_force
