"""Another entry that means the same webhook stops a rotation, whichever way either names it."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.config.models import WebhookConfig
from featurebase_provider.operators.one_entry import check_only_entry
from featurebase_provider.rotation.errors import PlanRefused
from tests.world.fakes import WEBHOOK_ID, a_webhook


def other(**named: Any) -> WebhookConfig:
    return WebhookConfig.model_construct(name="other", featurebase_conn_id="main", **named)


@pytest.mark.parametrize(
    ("named", "means"),
    [
        ({"webhook_id": WEBHOOK_ID.upper()}, True),
        ({"webhook_id": "5" * 24}, False),
        ({"webhook_name": "Production Webhook"}, True),
        ({"webhook_name": "Another"}, False),
        ({"webhook_ids": (WEBHOOK_ID, "5" * 24)}, True),
        ({"webhook_ids": ("5" * 24, WEBHOOK_ID.upper())}, True),
        ({"webhook_ids": ("5" * 24, "6" * 24)}, False),
    ],
)
def test_another_entry_that_means_the_webhook(named: dict[str, Any], means: bool) -> None:
    """Called for each half of a pair, so a single webhook's entry that names a half is found too."""
    said: list[str] = []
    if means:
        with pytest.raises(PlanRefused, match="the entry 'other' of the rotation file means this webhook too"):
            check_only_entry(a_webhook(), "main", [other(**named)], say=said.append)
    else:
        check_only_entry(a_webhook(), "main", [other(**named)], say=said.append)
    assert said == []
