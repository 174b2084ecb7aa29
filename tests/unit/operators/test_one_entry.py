"""No two entries of the rotation file may mean the same webhook, however each of them names it."""

from __future__ import annotations

from typing import Any

import pytest

from featurebase_provider.config import WebhookConfig
from featurebase_provider.operators.one_entry import check_only_entry
from featurebase_provider.rotation.errors import PlanRefused
from tests.world.fakes import WEBHOOK_ID, a_webhook

STORES = [{"type": "object_storage", "path": "/etc/a.env", "key": "A", "previous_key": "B"}]
PAIR = {"strategy": "overlap", "webhook_ids": ["5" * 24, WEBHOOK_ID.upper()], "probe": True}
OTHER_PAIR = {**PAIR, "webhook_ids": ["5" * 24, "6" * 24]}


def check(**entry: Any) -> None:
    other = WebhookConfig.model_validate({"name": "other", "stores": STORES, **entry})
    said: list[str] = []
    check_only_entry(a_webhook("whsec_0"), "featurebase_default", [other], say=said.append)
    assert said == []


@pytest.mark.parametrize("entry", [{"webhook_id": WEBHOOK_ID.upper()}, PAIR], ids=["single", "pair"])
def test_an_entry_that_means_the_webhook_is_named(entry: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused, match="'other'"):
        check(**entry)


@pytest.mark.parametrize("entry", [{"webhook_id": "5" * 24}, OTHER_PAIR], ids=["single", "pair"])
def test_other_webhooks_are_no_obstacle(entry: dict[str, Any]) -> None:
    check(**entry)
