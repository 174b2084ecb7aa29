"""What one rotation cost, from the sandbox's journal and the receiver's list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dev.demo.timeline import ACCEPTED, Journal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Figures:
    """What one rotation cost.

    :param happened: how many things happened; of each one, one or two webhooks told.
    :param lost: how many of them the receiver never accepted.
    :param refused: delivery attempts that the receiver did not accept.
    :param duplicates: verified deliveries of something that the receiver had accepted before.
    :param known_after_ms: milliseconds from the moment from which Featurebase signed with the new secret, until the
        receiver accepted that secret; negative if it accepted it before. None if it never did.
    :param api_calls: calls of Featurebase's API during the run.
    :param seconds: duration of the Dag run.
    """

    happened: int
    lost: int
    refused: int
    duplicates: int
    known_after_ms: int | None
    api_calls: int
    seconds: float

    @property
    def exposure(self) -> str:
        """How long deliveries were signed with a secret that the receiver did not accept."""
        if self.known_after_ms is None:
            return "not over"
        if self.known_after_ms > 0:
            return f"{self.known_after_ms} ms"
        return f"0 (accepted {-self.known_after_ms / 1000:.1f} s before its first use)"


def make_figures(
    *,
    events: Journal,
    deliveries: Journal,
    received: Journal,
    used_at: int,
    fingerprint: str,
    api_calls: int,
    seconds: float,
) -> Figures:
    """Sum up.

    :param events: the journal's events of this rotation's webhooks.
    :param deliveries: the attempts to deliver them.
    :param received: what the receiver lists as accepted.
    :param used_at: server time (Unix milliseconds) from which Featurebase signed with the new secret.
    :param fingerprint: of the new secret.
    """
    happened: dict[int, bool] = {}
    for event in events:
        happened[event["emission"]] = happened.get(event["emission"], False) or bool(event["delivered"])
    known_at = [at for entry in received for at in _acceptances(entry, fingerprint)]
    return Figures(
        happened=len(happened),
        lost=list(happened.values()).count(False),
        refused=sum(attempt["statusCode"] not in ACCEPTED for attempt in deliveries),
        duplicates=sum(int(entry["duplicates"]) for entry in received),
        known_after_ms=min(known_at) - used_at if known_at else None,
        api_calls=api_calls,
        seconds=seconds,
    )


def _acceptances(entry: Mapping[str, Any], fingerprint: str) -> list[int]:
    return [int(one["at"]) for one in (entry, *entry["repeats"]) if one["fingerprint"] == fingerprint]
