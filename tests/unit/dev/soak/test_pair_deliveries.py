"""The soak's arithmetic of a pair's deliveries: what it calls refused, lost, or a person's doing must be so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dev.soak.pair_deliveries import Deliveries, count_deliveries
from dev.soak.timeline import Change
from dev.soak.world import SoakedPair, SoakedWebhook

A, B = "507f1f77bcf86cd799439011", "507f1f77bcf86cd799439012"
OLD, NEW = "sha256:1", "sha256:2"
TOPIC = "post.created"
PAIR = SoakedPair(tuple(SoakedWebhook("pair-0", half, TOPIC, Path("file")) for half in (A, B)))  # type: ignore[arg-type]
CHANGES = [
    Change(0, A, True, "active", OLD),
    Change(0, B, True, "paused", NEW),
    Change(10_000, B, False, "active", NEW, ("paused", NEW)),
    Change(12_000, A, False, "paused", OLD, ("active", OLD)),
]
BY_HAND = [*CHANGES[:3], Change(12_000, A, True, "paused", OLD, ("active", OLD))]


def event(name: str, half: str | None = A, *, at: int = 9_000, delivered: bool = True, emission: int = 1) -> Any:
    facts = {"id": name, "topic": TOPIC, "webhookId": half, "emittedAt": at, "emission": emission}
    return {**facts, "delivered": delivered, "attempts": 1}


def attempt(name: str, status: int | None, half: str = A, *, at: int = 9_000, fingerprint: str = OLD) -> Any:
    return {"eventId": name, "webhookId": half, "statusCode": status, "at": at, "fingerprint": fingerprint}


def counted(events: list[Any], deliveries: list[Any], **facts: Any) -> Deliveries:
    figures = Deliveries("drops")
    facts = {"theirs": set(), "changes": CHANGES, "received": {"a", "b", "c"}, "drops": True, **facts}
    count_deliveries(figures, [PAIR], events=events, deliveries=deliveries, **facts)
    return figures


def test_an_event_that_both_halves_told_is_one_event() -> None:
    found = counted([event("a"), event("b", B)], [attempt("a", 200), attempt("b", 200, B)])
    assert (found.emitted, found.accepted, found.twice, found.lost, found.broken) == (1, 1, 1, 0, [])


def test_an_event_that_one_half_delivered_is_not_lost() -> None:
    found = counted([event("a", delivered=False), event("b", B)], [attempt("a", 503), attempt("b", 200, B)])
    assert (found.accepted, found.twice, found.lost, found.failed_otherwise, found.broken) == (1, 0, 0, 1, [])


def test_a_refused_delivery_is_broken_unless_it_is_a_persons_doing() -> None:
    events, deliveries = [event("a")], [attempt("a", 401), attempt("a", 200)]
    found = counted(events, deliveries)
    assert (found.refused, found.refused_by_hand) == (1, 0)
    assert "a delivery was refused" in found.broken[0]
    found = counted(events, deliveries, theirs={OLD})
    assert (found.refused, found.refused_by_hand, found.broken) == (0, 1, [])


@pytest.mark.parametrize(
    ("first_at", "status", "drops", "counts"),
    [
        (9_000, 503, True, "lost_by_pause"),
        (9_000, 503, False, "lost"),
        (11_000, 503, True, "lost"),
        (9_000, 401, True, "lost"),
    ],
)
def test_what_the_pause_drops_is_told_apart(first_at: int, status: int, drops: bool, counts: str) -> None:
    """Only if its first attempt failed before the other half was set active; what was refused is lost."""
    lost = [event("a", at=first_at, delivered=False)]
    found = counted(lost, [attempt("a", status, at=first_at)], drops=drops)
    assert getattr(found, counts) == 1
    assert (found.lost + found.lost_by_pause + found.lost_by_hand, found.accepted) == (1, 0)
    assert bool(found.broken) is (counts == "lost")


def test_what_a_persons_pause_drops_is_theirs() -> None:
    found = counted([event("a", at=11_000, delivered=False)], [attempt("a", 503, at=11_000)], changes=BY_HAND)
    assert (found.lost_by_hand, found.lost, found.broken) == (1, 0, [])


def test_an_event_that_nobody_was_told_is_broken_while_a_half_was_active() -> None:
    """But for a late one: it goes to the webhooks that are active when it is sent."""
    assert "told to nobody" in counted([event("a", None, at=5_000, delivered=False)], []).broken[0]
    paused = Change(5_500, A, True, "paused", OLD, ("active", OLD))
    assert counted([event("a", None, at=5_000, delivered=False)], [], changes=[*CHANGES[:2], paused]).broken == []
    none_active = [*CHANGES[:2], Change(5_000, A, True, "paused", OLD, ("active", OLD))]
    found = counted([event("a", None, delivered=False)], [], changes=none_active)
    assert (found.told_to_nobody, found.broken) == (1, [])


def test_retries_of_a_paused_half_are_counted() -> None:
    found = counted([event("a")], [attempt("a", 503), attempt("a", 200, at=13_000)], drops=False)
    assert (found.accepted_while_paused, found.broken) == (1, [])


def test_a_delivery_that_no_receiver_has_and_a_soak_without_events_are_broken() -> None:
    assert "no receiver has them" in counted([event("z")], [attempt("z", 200)]).broken[0]
    assert counted([], []).broken == ["no event was emitted"]
