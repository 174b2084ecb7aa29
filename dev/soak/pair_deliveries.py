"""What became of the deliveries of pairs: refused, lost, told twice, and by whose doing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dev.soak.findings import ACCEPTED
from dev.soak.timeline import RACE_MS, Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dev.soak.world import SoakedPair

REFUSED = 401


@dataclass
class Deliveries:
    """Counts of one combination.

    :param refused: attempts that a receiver refused, probes not counted; ``refused_by_hand``: those signed with a
        secret that a person made valid or invalid at once.
    :param accepted_while_paused: attempts of a paused webhook that were accepted.
    :param lost: events that nobody received in the end. Apart from these, ``lost_by_hand``: by a person's doing;
        ``lost_by_pause``: the first attempt failed before the other half was set active, and the pause dropped the
        retries; ``told_to_nobody``: no webhook was active.
    :param twice: events that both halves delivered.
    """

    combination: str
    emitted: int = 0
    accepted: int = 0
    twice: int = 0
    lost: int = 0
    lost_by_hand: int = 0
    lost_by_pause: int = 0
    told_to_nobody: int = 0
    attempts: int = 0
    accepted_while_paused: int = 0
    refused: int = 0
    refused_by_hand: int = 0
    failed_otherwise: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For soak.json."""
        return asdict(self)


def count_deliveries(
    figures: Deliveries,
    pairs: Sequence[SoakedPair],
    changes: Sequence[Change],
    theirs: set[str],
    events: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    received: set[str],
    *,
    drops: bool,
) -> None:
    """Count, and find what is broken.

    :param changes: of all webhooks, oldest first.
    :param theirs: fingerprints of the secrets that a person made valid or invalid at once.
    :param events: the sandbox's journal of events; ``deliveries`` likewise.
    :param received: ids of the events that the receivers say they accepted.
    :param drops: whether a paused webhook's events that wait for an attempt are dropped.
    """
    _count_attempts(figures, deliveries, theirs)
    judging = _Events(pairs, changes, deliveries, theirs, drops=drops)
    judging.count(figures, events)
    figures.accepted_while_paused = sum(
        one["statusCode"] in ACCEPTED and judging.status_of(one["webhookId"], one["at"]) == "paused"
        for one in deliveries
    )
    if {event["id"] for event in events if event["delivered"]} - received:
        figures.broken.append("events count as delivered, and no receiver has them")
    if not events:
        figures.broken.append("no event was emitted")


def _count_attempts(figures: Deliveries, deliveries: Sequence[Mapping[str, Any]], theirs: set[str]) -> None:
    figures.attempts = len(deliveries)
    refused = [one for one in deliveries if one["statusCode"] == REFUSED]
    figures.refused_by_hand = sum(one["fingerprint"] in theirs for one in refused)
    figures.refused = len(refused) - figures.refused_by_hand
    figures.failed_otherwise = sum(one["statusCode"] not in (*ACCEPTED, REFUSED) for one in deliveries)
    for one in [one for one in refused if one["fingerprint"] not in theirs][:3]:
        figures.broken.append(f"a delivery was refused: {one}")


class _Events:
    """Judges what became of each event, whichever half told of it."""

    def __init__(
        self,
        pairs: Sequence[SoakedPair],
        changes: Sequence[Change],
        deliveries: Sequence[Mapping[str, Any]],
        theirs: set[str],
        *,
        drops: bool,
    ) -> None:
        self._theirs, self._drops = theirs, drops
        self._topics = {half.id: half.topic for pair in pairs for half in pair.halves}
        self._others = {one: other for pair in pairs for one, other in (pair.ids, pair.ids[::-1])}
        self._changes: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            self._changes[change.webhook_id].append(change)
        self._attempts: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
        for attempt in deliveries:
            self._attempts[attempt["eventId"], attempt["webhookId"]].append(attempt)

    def count(self, figures: Deliveries, events: Sequence[Mapping[str, Any]]) -> None:
        by_emission: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for event in events:
            by_emission[event["emission"]].append(event)
        figures.emitted = len(by_emission)
        for told in by_emission.values():
            delivered = sum(event["delivered"] for event in told)
            figures.accepted += delivered > 0
            figures.twice += delivered > 1
            if delivered:
                continue
            if all(event["webhookId"] is None for event in told):
                figures.told_to_nobody += 1
                figures.broken += self._why_not_told(told[0])
            elif any(self._is_a_persons_doing(event) for event in told):
                figures.lost_by_hand += 1
            elif self._drops and any(self._was_dropped(event) for event in told):
                figures.lost_by_pause += 1
            else:
                figures.lost += 1
                attempts = [attempt for event in told for attempt in self._of(event)]
                figures.broken.append(f"an event was lost: {told}, {attempts}")

    def _of(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return self._attempts[event["id"], str(event["webhookId"])]

    def _is_a_persons_doing(self, event: Mapping[str, Any]) -> bool:
        if any(attempt["fingerprint"] in self._theirs for attempt in self._of(event)):
            return True
        paused = self._paused_after(event, RACE_MS)
        return self._drops and paused is not None and paused.by_hand

    def _was_dropped(self, event: Mapping[str, Any]) -> bool:
        """Its first attempt failed before the other half was set active, and its webhook was paused after that."""
        paused = self._paused_after(event)
        first = next(iter(self._of(event)), None)
        if paused is None or first is None or first["statusCode"] in (*ACCEPTED, REFUSED):
            return False
        activated = [
            change.at
            for change in self._changes[self._others[event["webhookId"]]]
            if change.activated and change.at <= paused.at
        ]
        return bool(activated) and first["at"] <= max(activated)

    def _why_not_told(self, event: Mapping[str, Any]) -> list[str]:
        """That is a person's doing only if the pair had no active half then."""
        ids = {half for half, topic in self._topics.items() if topic == event["topic"]}
        # Late events go to the webhooks that are active when they are sent.
        times = (event["emittedAt"], event["emittedAt"] + RACE_MS)
        if any(all(self.status_of(half, at) == "active" for at in times) for half in ids):
            return [f"an event was told to nobody, although a webhook was active: {event}"]
        return []

    def status_of(self, webhook_id: str, at: int) -> str | None:
        """A webhook's status at that moment."""
        return next((change.status for change in reversed(self._changes[webhook_id]) if change.at <= at), None)

    def _paused_after(self, event: Mapping[str, Any], tolerance: int = 0) -> Change | None:
        """The pause of the event's webhook that came next."""
        own, since = self._changes[str(event["webhookId"])], event["emittedAt"] - tolerance
        return next((change for change in own if change.paused and change.at >= since), None)
