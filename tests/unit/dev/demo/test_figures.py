"""What the demo says of two strategies side by side must be true."""

from __future__ import annotations

from typing import Any

import pytest

from dev.demo.figures import Figures, make_figures

OLD, NEW = "sha256:0000000000000000", "sha256:1111111111111111"
USED_AT = 1_000_000


def event(emission: int, *, delivered: bool = True) -> dict[str, Any]:
    return {"emission": emission, "delivered": delivered}


def accepted(at: int, fingerprint: str, *repeats: int) -> dict[str, Any]:
    told_again = [{"at": USED_AT + moment, "fingerprint": NEW} for moment in repeats]
    return {"at": USED_AT + at, "fingerprint": fingerprint, "duplicates": len(repeats), "repeats": told_again}


def figures(**changes: Any) -> Figures:
    facts: dict[str, Any] = {
        "events": [event(1)],
        "deliveries": [{"statusCode": 200}],
        "received": [accepted(0, OLD)],
        "used_at": USED_AT,
        "fingerprint": NEW,
        "api_calls": 9,
        "seconds": 12.5,
    }
    return make_figures(**{**facts, **changes})


def test_two_events_of_one_happening_count_once_and_one_accepted_delivery_is_enough() -> None:
    found = figures(events=[event(1), event(1, delivered=False), event(2), event(3, delivered=False)])
    assert (found.happened, found.lost) == (3, 1)


@pytest.mark.parametrize("status", [401, 503, None])
def test_each_attempt_that_was_not_accepted_is_a_refusal(status: int | None) -> None:
    assert figures(deliveries=[{"statusCode": 200}, {"statusCode": status}, {"statusCode": 204}]).refused == 1


def test_duplicates_are_those_that_the_receiver_recognised() -> None:
    assert figures(received=[accepted(0, OLD, 10, 20), accepted(5, OLD, 30)]).duplicates == 3


def test_exposure_lasts_from_the_first_use_of_the_secret_until_its_first_acceptance() -> None:
    assert figures(received=[accepted(-50, OLD), accepted(120, NEW)]).exposure == "120 ms"


def test_there_is_no_exposure_if_the_receiver_accepted_the_secret_before() -> None:
    found = figures(received=[accepted(-50, OLD, -2500), accepted(120, NEW)])
    assert found.known_after_ms == -2500
    assert found.exposure == "0 (accepted 2.5 s before its first use)"


def test_exposure_is_not_over_if_the_receiver_never_accepted_the_secret() -> None:
    assert figures().exposure == "not over"
