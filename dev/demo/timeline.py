"""From the sandbox's journal to what happened to the events, second by second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Journal = Sequence[Mapping[str, Any]]
ACCEPTED = (200, 201, 202, 204)


@dataclass(frozen=True)
class Second:
    """One second of the timeline, counted from the refresh (0 is the second that it began)."""

    offset: int
    emitted: int
    accepted: int
    refused: int
    retried: int


@dataclass(frozen=True)
class Timeline:
    """What the journal shows.

    :param seconds: one row a second.
    :param emitted: events that happened.
    :param accepted: events that were accepted in the end.
    :param refused: first attempts that the receiver refused with 401.
    :param lost: ids of events that were not accepted.
    :param receiver_exposure_ms: from the refresh's commit until the receiver accepted an event signed with the new
        secret; None where that did not happen.
    """

    seconds: tuple[Second, ...]
    emitted: int
    accepted: int
    refused: int
    lost: tuple[str, ...]
    receiver_exposure_ms: int | None


def make_timeline(events: Journal, deliveries: Journal, *, refreshed_at: int, fingerprint: str) -> Timeline:
    """Sum the journal up.

    :param refreshed_at: server time (Unix milliseconds) of the refresh.
    :param fingerprint: of the new secret.
    """

    def second(at: int) -> int:
        return (at - refreshed_at) // 1000

    emitted = Counter(second(event["emittedAt"]) for event in events)
    accepted: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    retried: Counter[int] = Counter()
    first_refused = 0
    for delivery in deliveries:
        at = second(delivery["at"])
        if delivery["statusCode"] in ACCEPTED:
            (accepted if delivery["attempt"] == 1 else retried)[at] += 1
        elif delivery["statusCode"] == 401:
            refused[at] += 1
            first_refused += delivery["attempt"] == 1
    span = sorted({*emitted, *accepted, *refused, *retried})
    rows = (
        tuple(Second(at, emitted[at], accepted[at], refused[at], retried[at]) for at in range(span[0], span[-1] + 1))
        if span
        else ()
    )
    lost = tuple(str(event["id"]) for event in events if not event["delivered"])
    new = [
        delivery["at"]
        for delivery in deliveries
        if delivery["fingerprint"] == fingerprint and delivery["statusCode"] in ACCEPTED
    ]
    return Timeline(
        rows,
        len(events),
        len(events) - len(lost),
        first_refused,
        lost,
        min(new) - refreshed_at if new else None,
    )
