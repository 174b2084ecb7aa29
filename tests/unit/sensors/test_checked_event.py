from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.rotation.errors import DeliveryHealthUnreadable
from featurebase_provider.sensors.verdict import (
    KINDS,
    checked_event,
    sentence,
)

WEBHOOK_ID = "507f1f77bcf86cd799439011"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_is_taken(kind: str) -> None:
    event = {"webhook_id": WEBHOOK_ID, "kind": kind}
    assert checked_event(event, webhook_id=WEBHOOK_ID) == event


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        "healthy",
        {"webhook_id": WEBHOOK_ID},
        {"kind": "healthy"},
        {"webhook_id": "5" * 24, "kind": "healthy"},
        {"webhook_id": WEBHOOK_ID, "kind": "wonderful"},
        {"webhook_id": WEBHOOK_ID, "kind": ["healthy"]},
        {"webhook_id": WEBHOOK_ID, "kind": None},
    ],
)
def test_anything_else_is_no_verdict(event: Mapping[str, Any] | None) -> None:
    """A missing event, one of another webhook or of an unknown kind never passes for good news; a retry looks again."""
    with pytest.raises(DeliveryHealthUnreadable) as caught:
        checked_event(event, webhook_id=WEBHOOK_ID)
    assert caught.value.retry_helps
    assert WEBHOOK_ID in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probed", [True, False])
@pytest.mark.parametrize("delivered", [True, False])
def test_every_verdict_has_its_sentence(kind: Any, probed: bool, delivered: bool) -> None:
    """Where deliveries fail it gives Featurebase's code, in words that are safe for a log line."""
    now = datetime(2026, 1, 15, tzinfo=timezone.utc)
    webhook = Webhook.model_validate(
        {
            "object": "webhook",
            "id": WEBHOOK_ID,
            "name": "P",
            "url": "https://example.com",
            "topics": [],
            "status": "paused",
            "requestConfig": {"timeoutMs": 5000, "headers": {"X-Key": SecretStr("the receiver's")}},
            "lastStatus": {"code": 401, "message": "no\n[2026] forged line", "timestamp": now.isoformat()},
            "health": {
                "lastResponseTime": 1,
                "avgResponseTime": 1,
                "lastSuccessAt": None,
                "errorsSinceLastSuccess": 3,
                "consecutiveFailures": 3,
            },
            "createdAt": now.isoformat(),
            "updatedAt": now.isoformat(),
        }
    )
    text = sentence(kind, webhook, probed=probed, delivered=delivered)
    assert "\n" not in text
    assert "the receiver's" not in text
    if kind in ("failing", "inactive"):
        assert "401" in text
        assert "can't be restored" in text
    if kind == "quiet":
        assert ("the probe has passed" in text) == probed
        assert ("no delivery since the push was seen" in text) != delivered
        assert ("401" in text) == delivered
