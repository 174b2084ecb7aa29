"""The demo's own arithmetic: what it says of lost and refused events must be true."""

from __future__ import annotations

from typing import Any

from dev.demo.timeline import Second, make_timeline

OLD, NEW = "sha256:0000000000000000", "sha256:1111111111111111"
REFRESHED_AT = 1_000_000


def event(name: str, at: int, *, delivered: bool = True) -> dict[str, Any]:
    return {"id": name, "emittedAt": REFRESHED_AT + at, "delivered": delivered}


def attempt(name: str, at: int, status: int | None, *, number: int = 1, fingerprint: str = NEW) -> dict[str, Any]:
    return {
        "eventId": name,
        "attempt": number,
        "at": REFRESHED_AT + at,
        "statusCode": status,
        "fingerprint": fingerprint,
    }


def test_events_are_counted_in_the_second_in_which_they_happened() -> None:
    """Before the refresh, in the exposure window, and retried; a lost event is named."""
    timeline = make_timeline(
        [event("a", -500), event("b", 20), event("c", 1500, delivered=False)],
        [
            attempt("a", -490, 200, fingerprint=OLD),
            attempt("b", 30, 401),
            attempt("b", 2030, 204, number=2),
            attempt("c", 1510, 500),
        ],
        refreshed_at=REFRESHED_AT,
        fingerprint=NEW,
    )
    assert timeline.seconds == (
        Second(-1, emitted=1, accepted=1, refused=0, retried=0),
        Second(0, emitted=1, accepted=0, refused=1, retried=0),
        Second(1, emitted=1, accepted=0, refused=0, retried=0),
        Second(2, emitted=0, accepted=0, refused=0, retried=1),
    )
    assert (timeline.emitted, timeline.accepted, timeline.refused, timeline.lost) == (3, 2, 1, ("c",))
    assert timeline.receiver_exposure_ms == 2030


def test_an_empty_journal_says_nothing() -> None:
    timeline = make_timeline([], [], refreshed_at=REFRESHED_AT, fingerprint=NEW)
    assert (timeline.seconds, timeline.emitted, timeline.receiver_exposure_ms) == ((), 0, None)
