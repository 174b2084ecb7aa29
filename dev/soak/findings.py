"""From what was noted and the sandbox's journal to figures, and to what is not as it must be."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dev.soak.combinations import Combination

ACCEPTED = (200, 201, 202, 204)
CHECK_MS = 300
"""How old the comparison before a refresh may be when the refresh arrives."""


@dataclass
class Injected:
    """A fault that was given to the sandbox.

    :param added: Unix milliseconds.
    :param delay: seconds from the arrival of the call that meets it to its commit.
    :param met: whether a call of the rotation met it.
    """

    id: int
    method: str
    name: str
    added: int
    delay: float
    met: bool = False


@dataclass
class Rotation:
    """What was noted of one rotation; times in Unix milliseconds.

    :param quiet: whether nothing was made to go wrong.
    :param kills: the steps at which task processes died.
    :param clears: how often somebody had to clear failed tasks.
    :param cleared_again: whether all tasks of the finished run were cleared.
    :param healed: how many ``distribute`` runs the stores needed afterwards.
    :param sent: when refreshes were sent.
    :param writes: when which fingerprint was written.
    :param after: fingerprint in the store at the end.
    :param told_ms: the exposure by the rotation's own report, where nobody watches the store.
    :param problems: what is not as it must be.
    """

    webhook_id: str
    run_id: str
    began: int
    quiet: bool
    ended: int = 0
    outcome: str = ""
    injected: list[Injected] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    clears: int = 0
    cleared_again: bool = False
    healed: int = 0
    errors: list[str] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    writes: list[tuple[int, str]] = field(default_factory=list)
    after: str | None = None
    previous: str | None = None
    told_ms: float | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def commits_expected(self) -> list[int]:
        """When each refresh that was sent has committed at the latest."""
        longest = max((one.delay for one in self.injected if one.method == "POST"), default=0.0)
        return [at + int(longest * 1000) for at in self.sent]


@dataclass(frozen=True)
class Refresh:
    """A refresh that took effect; arrival and the latest moment of its commit in Unix milliseconds."""

    arrived: int
    committed: int


@dataclass
class Figures:
    """What one combination came to."""

    combination: str
    rotations: int = 0
    undisturbed: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    clears_of_failed_tasks: int = 0
    runs_cleared_whole: int = 0
    healed_by_distribute: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    refreshes: dict[int, int] = field(default_factory=dict)
    explained: list[str] = field(default_factory=list)
    emitted: int = 0
    accepted: int = 0
    lost: int = 0
    lost_first_refused: int = 0
    lost_first_failed_otherwise: int = 0
    first_attempts: int = 0
    first_attempts_refused: int = 0
    hiccups: int = 0
    exposure_ms: dict[str, int | None] = field(default_factory=dict)
    exposure_undisturbed_ms: dict[str, int | None] = field(default_factory=dict)
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For soak.json."""
        return asdict(self)


def sum_up(
    combination: Combination,
    rotations: Sequence[Rotation],
    *,
    requests: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    received: set[str],
    current: Mapping[str, str],
    seconds: float,
) -> Figures:
    """Count, and find what is broken.

    :param requests: the journal of API calls; ``events`` and ``deliveries`` likewise.
    :param received: ids of the events that the receivers say they accepted.
    :param current: Featurebase's fingerprints at the end, by webhook id.
    """
    figures = Figures(combination.title, rotations=len(rotations), seconds=round(seconds, 1))
    refreshes = refreshes_of(rotations, requests)
    exposures: dict[bool, list[int]] = {True: [], False: []}
    counts: Counter[int] = Counter()
    for rotation in rotations:
        own = refreshes[rotation.webhook_id, rotation.run_id]
        counts[len(own)] += 1
        _judge_refreshes(figures, rotation, own)
        exposure = exposure_of(rotation, own)
        if exposure is not None:
            exposures[rotation.quiet].append(exposure)
        figures.broken += [f"{_name(rotation)}: {problem}" for problem in rotation.problems]
    figures.refreshes = dict(sorted(counts.items()))
    figures.exposure_ms = percentiles(exposures[True] + exposures[False])
    figures.exposure_undisturbed_ms = percentiles(exposures[True])
    _count_what_happened(figures, rotations)
    _count_events(figures, events, deliveries, received)
    _judge_the_end(figures, rotations, current)
    if figures.lost and not combination.may_lose:
        figures.broken.append(
            f"{figures.lost} events were lost; the longest exposure was {figures.exposure_ms['max']} ms. If that comes "
            "near the time that an event's retries last, the machine was too slow for this --speed"
        )
    return figures


def refreshes_of(
    rotations: Sequence[Rotation], requests: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], list[Refresh]]:
    """The refreshes that took effect, by rotation: by the time at which the calls arrived.

    The sandbox's faults for a webhook's refreshes are met in the order in which they were given, one by each call.
    """
    found: dict[tuple[str, str], list[Refresh]] = {(one.webhook_id, one.run_id): [] for one in rotations}
    by_webhook: dict[str, list[Rotation]] = defaultdict(list)
    for rotation in rotations:
        by_webhook[rotation.webhook_id].append(rotation)
    for webhook_id, own in by_webhook.items():
        own.sort(key=lambda rotation: rotation.began)
        faults = [one for rotation in own for one in rotation.injected if one.method == "POST"]
        for call in requests:
            if call["method"] != "POST" or not call["path"].endswith(f"/{webhook_id}/secret"):
                continue
            delay = faults.pop(0).delay if faults and faults[0].added <= call["at"] else 0.0
            begun = [rotation for rotation in own if rotation.began <= call["at"]]
            if call["committed"] and begun:
                key = (webhook_id, begun[-1].run_id)
                found[key].append(Refresh(call["at"], call["at"] + int(delay * 1000)))
    return found


def exposure_of(rotation: Rotation, refreshes: Sequence[Refresh]) -> int | None:
    """Milliseconds from the last commit until the store was written with that secret, watched from outside."""
    if not refreshes or rotation.told_ms is not None:
        return None if rotation.told_ms is None else round(rotation.told_ms)
    last = max(refresh.committed for refresh in refreshes)
    written = [at for at, fingerprint in rotation.writes if fingerprint == rotation.after]
    return max(0, min(written) - last) if written else None


def percentiles(values: Iterable[float]) -> dict[str, int | None]:
    """p50, p90, p99 and max by nearest rank; None each where there is no value."""
    ranked = sorted(values)
    if not ranked:
        return {"p50": None, "p90": None, "p99": None, "max": None}
    marks = {f"p{share}": ranked[max(0, -(-len(ranked) * share // 100) - 1)] for share in (50, 90, 99)}
    return {name: round(value) for name, value in {**marks, "max": ranked[-1]}.items()}


def _judge_refreshes(figures: Figures, rotation: Rotation, refreshes: Sequence[Refresh]) -> None:
    if not refreshes:
        figures.broken.append(f"{_name(rotation)}: the secret was not refreshed; {rotation.errors[-2:]}")
    for before, refresh in zip(refreshes, refreshes[1:], strict=False):
        late = max(one.committed for one in refreshes if one.arrived <= before.arrived)
        if late > refresh.arrived - CHECK_MS:
            figures.explained.append(
                f"{_name(rotation)}: refreshed again {(refresh.arrived - before.arrived) / 1000:.1f} s after a refresh "
                f"that committed only {(late - before.arrived) / 1000:.1f} s after it was sent"
            )
        else:
            figures.broken.append(f"{_name(rotation)}: an unexplained second refresh; {rotation.errors[-3:]}")


def _count_what_happened(figures: Figures, rotations: Sequence[Rotation]) -> None:
    figures.undisturbed = sum(rotation.quiet for rotation in rotations)
    met = Counter(one.name for rotation in rotations for one in rotation.injected if one.met)
    figures.faults = dict(sorted(met.items()))
    figures.kills = dict(sorted(Counter(where_of(step) for rotation in rotations for step in rotation.kills).items()))
    figures.clears_of_failed_tasks = sum(rotation.clears for rotation in rotations)
    figures.runs_cleared_whole = sum(rotation.cleared_again for rotation in rotations)
    figures.healed_by_distribute = sum(rotation.healed for rotation in rotations)
    figures.outcomes = dict(sorted(Counter(rotation.outcome for rotation in rotations).items()))


def _count_events(
    figures: Figures,
    events: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    received: set[str],
) -> None:
    first = {one["eventId"]: one["statusCode"] for one in deliveries if one["attempt"] == 1}
    lost = [event["id"] for event in events if not event["delivered"]]
    figures.emitted, figures.lost = len(events), len(lost)
    figures.accepted = len(events) - len(lost)
    figures.lost_first_refused = sum(first.get(event_id) == 401 for event_id in lost)
    figures.lost_first_failed_otherwise = len(lost) - figures.lost_first_refused
    figures.first_attempts = len(first)
    figures.first_attempts_refused = sum(status == 401 for status in first.values())
    figures.hiccups = sum(status == 503 for status in first.values())
    last = {one["eventId"]: one["statusCode"] for one in deliveries}
    otherwise = [event_id for event_id in lost if last.get(event_id) != 401]
    if otherwise:
        figures.broken.append(f"{len(otherwise)} lost events were refused for another reason than their signature")
    unseen = {event["id"] for event in events if event["delivered"]} - received
    if unseen:
        figures.broken.append(f"{len(unseen)} events count as delivered, and no receiver has them")
    if not events:
        figures.broken.append("no event was emitted")


def _judge_the_end(figures: Figures, rotations: Sequence[Rotation], current: Mapping[str, str]) -> None:
    last = {rotation.webhook_id: rotation for rotation in sorted(rotations, key=lambda one: one.began)}
    for webhook_id, rotation in last.items():
        if rotation.after != current.get(webhook_id):
            figures.broken.append(f"{_name(rotation)}: the store does not hold Featurebase's secret at the end")


def where_of(step: str) -> str:
    """A step without the ids in it."""
    words = step.split("/")
    if len(words) == 1:
        return step
    if "v2" not in words:
        return f"{words[0]}the receiver"
    if words[0].endswith("PATCH "):
        return f"{words[0]}a webhook"
    return f"{words[0]}the refresh" if words[-1] == "secret" else f"{words[0]}a read"


def _name(rotation: Rotation) -> str:
    return f"webhook {rotation.webhook_id}, run {rotation.run_id}"
