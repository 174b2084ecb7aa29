"""When an inactive webhook is the rotation's to set active again, and when it is somebody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.operators.settle import why_not_ours
from featurebase_provider.rotation.plan import RotationPlan
from featurebase_provider.rotation.rotate import RotationOutcome

REFRESHED = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)
PLAN = RotationPlan(
    run_id="r",
    webhook_id="507f1f77bcf86cd799439011",
    host="https://do.featurebase.app",
    mode="rotate",
    before="sha256:0",
    updated_at=None,
    status="active",
    planned_at=REFRESHED.isoformat(),
)
OUTCOME = RotationOutcome(plan=PLAN, how="answered", after="sha256:1", refreshed_at=REFRESHED.isoformat())


def webhook(code: int | None = 401, after: float = 5.0) -> Webhook:
    """A paused webhook with a last result so many seconds after the refresh."""
    at = (REFRESHED + timedelta(seconds=after)).isoformat()
    return Webhook.model_validate(
        {
            "object": "webhook",
            "id": PLAN.webhook_id,
            "name": "P",
            "url": "https://example.com",
            "topics": [],
            "status": "paused",
            "requestConfig": {"timeoutMs": 5000, "headers": {}},
            "lastStatus": None if code is None else {"code": code, "message": "m", "timestamp": at},
            "health": {
                "lastResponseTime": 1,
                "avgResponseTime": 1,
                "lastSuccessAt": None,
                "errorsSinceLastSuccess": 3,
                "consecutiveFailures": 3,
            },
            "createdAt": at,
            "updatedAt": at,
        }
    )


def test_failure_after_the_refresh_is_ours() -> None:
    assert why_not_ours(webhook(), OUTCOME, probe_passed=True) is None


@pytest.mark.parametrize(
    ("last", "outcome", "probe_passed", "says"),
    [
        (webhook(), None, True, "did not refresh"),
        (webhook(), replace(OUTCOME, refreshed_at=None, how="already_done"), True, "did not refresh"),
        (webhook(), replace(OUTCOME, plan=replace(PLAN, status="paused")), True, "before the rotation"),
        (webhook(), OUTCOME, False, "no probe"),
        (webhook(code=None), OUTCOME, True, "no delivery failed since"),
        (webhook(code=200), OUTCOME, True, "no delivery failed since"),
        (webhook(after=-1), OUTCOME, True, "no delivery failed since"),
    ],
    ids=["no rotation", "refreshed by another", "inactive before", "no probe", "no result", "success", "before it"],
)
def test_anything_else_is_left_alone(
    last: Webhook, outcome: RotationOutcome | None, probe_passed: bool, says: str
) -> None:
    assert says in (why_not_ours(last, outcome, probe_passed=probe_passed) or "")
