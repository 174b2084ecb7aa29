"""When an inactive webhook is the rotation's to set active again, and when it is somebody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.reactivation import why_not_ours
from featurebase_provider.rotation.rotate import RotationOutcome
from tests.world.fakes import START, a_plan, a_webhook

OUTCOME = RotationOutcome(
    plan=a_plan(), how="answered", after="sha256:1", refreshed_at=START.isoformat(), updated_at=START.isoformat()
)
"""Refreshed at START; the receiver accepted the new secret 20 seconds later, and it is now a minute later."""


def inactive(
    code: int | None = 401,
    *,
    failed_at: float | None = 15.0,
    changed_at: float | None = 15.2,
    failures: int | None = 7,
    **changes: Any,
) -> Webhook:
    """A paused webhook; times are seconds after the refresh."""

    def at(seconds: float | None) -> str | None:
        return None if seconds is None else (START + timedelta(seconds=seconds)).isoformat()

    return a_webhook(
        **{
            "status": "paused",
            "updated_at": at(changed_at),
            "last_status": {"code": code, "message": "m", "timestamp": at(failed_at)},
            "health": {"consecutive_failures": failures},
            "request_config": {"timeoutMs": 5000},
            **changes,
        }
    )


def why_not(webhook: Webhook, outcome: RotationOutcome | None = OUTCOME, **facts: Any) -> str | None:
    usual = {"probe_passed": True, "exposure_ms": 20_000.0, "now": START + timedelta(minutes=1)}
    return why_not_ours(webhook, outcome, **{**usual, **facts})


@pytest.mark.parametrize(
    "webhook",
    [
        inactive(),
        inactive(changed_at=20.0),
        inactive(changed_at=13.0),  # whole seconds
        inactive(changed_at=2.0),  # the refresh itself
        inactive(failed_at=25.0, changed_at=25.0),  # under way when the receiver began to accept
        inactive(changed_at=0.0),  # Featurebase does not date its own pause
        inactive(changed_at=-86400.0),  # nor the refresh
        inactive(failures=3),
        inactive(code=None),  # no answer
        inactive(code=302),
    ],
)
def test_a_pause_that_follows_a_failure_of_the_rotations_making_is_undone(webhook: Webhook) -> None:
    assert why_not(webhook) is None


@pytest.mark.parametrize("changed_at", [None, 15.0, 50.0])
def test_a_suspension_is_undone_whenever_it_came(changed_at: float | None) -> None:
    """No person suspends a webhook."""
    webhook = inactive(status="suspended", changed_at=changed_at, failures=None)
    assert why_not(webhook, exposure_ms=None) is None


@pytest.mark.parametrize(
    ("webhook", "says"),
    [
        (inactive(changed_at=20.1), "it was changed at 2026-01-15T10:30:20.100000+00:00"),
        (inactive(changed_at=45.0), "a person may have paused it"),
        (inactive(changed_at=2.1), "a person may have paused it"),
        (inactive(changed_at=12.9), "a person may have paused it"),  # a delivery under way at the pause failed later
        (inactive(changed_at=None), "does not show when it was changed"),
        (inactive(failures=2), "failures in a row is 2"),
        (inactive(failures=0), "failures in a row is 0"),
        (inactive(failures=None), "failures in a row is unknown"),
        (inactive(failed_at=25.1, changed_at=25.2), "after the receiver had the new secret"),
        (inactive(failed_at=55.0, changed_at=55.1), "after the receiver had the new secret"),
    ],
)
def test_a_pause_that_may_be_a_persons_stays(webhook: Webhook, says: str) -> None:
    assert says in str(why_not(webhook))


def test_an_exposure_that_is_not_known_explains_no_failure() -> None:
    assert "after the receiver had the new secret" in str(why_not(inactive(), exposure_ms=None))
    assert why_not(inactive(changed_at=0.0), exposure_ms=None) is None


def test_after_a_refresh_whose_answer_was_lost_an_early_change_may_be_a_persons() -> None:
    """Then the time of the refresh is that of its discovery, perhaps a minute later than itself."""
    found = replace(OUTCOME, how="found_after_lost_answer")
    assert "a person may have paused it" in str(why_not(inactive(changed_at=0.0), found))
    assert why_not(inactive(), found) is None


@pytest.mark.parametrize("status", ["paused", "suspended"])
@pytest.mark.parametrize(
    ("changes", "outcome", "facts", "says"),
    [
        ({}, None, {}, "did not refresh"),
        ({}, replace(OUTCOME, refreshed_at=None, how="already_done"), {}, "did not refresh"),
        ({}, replace(OUTCOME, plan=replace(OUTCOME.plan, status="paused")), {}, "before the rotation"),
        ({}, OUTCOME, {"probe_passed": False}, "no probe"),
        ({"last_status": None}, OUTCOME, {}, "no delivery failed since"),
        ({"code": 200}, OUTCOME, {}, "no delivery failed since"),
        ({"failed_at": -1.0}, OUTCOME, {}, "no delivery failed since"),
        ({"failed_at": 3600.0, "changed_at": 3600.0}, OUTCOME, {}, "no delivery failed since"),
    ],
    ids=[
        "no rotation", "refreshed by another", "inactive before", "no probe", "no result", "success", "before it",
        "in the future",
    ],
)  # fmt: skip
def test_anything_else_is_left_alone(
    status: str, changes: dict[str, Any], outcome: RotationOutcome | None, facts: dict[str, Any], says: str
) -> None:
    assert says in str(why_not(inactive(status=status, **changes), outcome, **facts))


def test_a_status_that_nobody_knows_is_left_alone() -> None:
    assert "is unknown" in str(why_not(inactive(status="archived")))
