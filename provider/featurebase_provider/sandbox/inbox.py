"""What the sample receiver has accepted and refused, and which deliveries told it something again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PROBE_PREFIX = "notif_probe_"
"""How the ids of a rotation's probe events begin. Two probes can have the same content without being duplicates."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A verified delivery of an event that was accepted before.

    :param by: how it was recognised: by the event's id, or by the content of an event with another id.
    """

    id: str
    webhook_id: str | None
    at_ms: int
    fingerprint: str
    by: Literal["id", "content"]

    def as_json(self) -> dict[str, Any]:
        """The entry in ``GET /received``."""
        return {
            "id": self.id,
            "webhookId": self.webhook_id,
            "at": self.at_ms,
            "fingerprint": self.fingerprint,
            "by": self.by,
        }


@dataclass(slots=True)
class Accepted:
    """An event as it was accepted first, and its repeats."""

    id: str
    topic: str | None
    webhook_id: str | None
    at_ms: int
    fingerprint: str
    repeats: list[Repeat] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The entry in ``GET /received``."""
        return {
            "id": self.id,
            "topic": self.topic,
            "webhookId": self.webhook_id,
            "at": self.at_ms,
            "fingerprint": self.fingerprint,
            "duplicates": len(self.repeats),
            "repeats": [repeat.as_json() for repeat in self.repeats],
        }


class Inbox:
    """The recorded deliveries: accepted events in their order, and the times of refusals by reason.

    An event is a duplicate if its id is known. Two active webhooks with one url may tell of the same happening under
    two ids. So an event is also a duplicate if another webhook has told of the same content: topic, ``createdAt``,
    organization and data. What one webhook tells under two ids has happened twice. Hence the n-th event with a content
    that a webhook tells is the n-th happening with this content, whichever webhook is first. Where webhooks share ids,
    two happenings with one content can be taken for one.
    """

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.refused: dict[str, list[int]] = {}
        self._by_id: dict[str, Accepted] = {}
        self._by_happening: dict[tuple[str, int], Accepted] = {}
        self._told: Counter[tuple[str, str]] = Counter()

    def accept(self, event: Mapping[str, Any], at_ms: int, fingerprint: str) -> None:
        """Record a verified event, which has an id, or a repeat of one."""
        event_id, webhook_id = event["id"], _text(event, "webhookId")
        if known := self._by_id.get(event_id):
            known.repeats.append(Repeat(event_id, webhook_id, at_ms, fingerprint, by="id"))
            return
        happening = self._happening(event, webhook_id)
        if happening and (known := self._by_happening.get(happening)):
            known.repeats.append(Repeat(event_id, webhook_id, at_ms, fingerprint, by="content"))
        else:
            known = Accepted(event_id, _text(event, "topic"), webhook_id, at_ms, fingerprint)
            self.accepted.append(known)
        self._by_id[event_id] = known
        if happening:
            self._by_happening[happening] = known

    def refuse(self, reason: str, at_ms: int) -> None:
        """Record a refusal."""
        self.refused.setdefault(reason, []).append(at_ms)

    def _happening(self, event: Mapping[str, Any], webhook_id: str | None) -> tuple[str, int] | None:
        """What a new event tells of: a content, and the number of the happening with this content."""
        content = _content(event)
        if content is None or webhook_id is None or event["id"].startswith(PROBE_PREFIX):
            return None
        self._told[content, webhook_id] += 1
        return content, self._told[content, webhook_id]


def _content(event: Mapping[str, Any]) -> str | None:
    """A digest of what an event says of the happening, and not of its delivery; None if a field is missing."""
    told = [event.get(name) for name in ("topic", "createdAt", "organizationId", "data")]
    if None in told:
        return None
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _text(event: Mapping[str, Any], name: str) -> str | None:
    value = event.get(name)
    return value if isinstance(value, str) else None
