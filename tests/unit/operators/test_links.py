"""A task's link never fails, whatever the operator knows: Airflow asks it of every task that has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from featurebase_provider.operators.links import FeaturebaseWebhookLink

PAGE = "https://acme.example/w/{webhook_id}"


@pytest.mark.parametrize(
    ("known", "link"),
    [
        ({}, ""),
        ({"dashboard_url": None}, ""),
        ({"dashboard_url": PAGE}, "https://acme.example/w/"),
        ({"dashboard_url": PAGE, "webhook_id": None}, "https://acme.example/w/"),
        ({"dashboard_url": PAGE, "webhook_id": "5a"}, "https://acme.example/w/5a"),
    ],
)
def test_a_link_of_what_is_known(known: dict[str, Any], link: str) -> None:
    operator: Any = SimpleNamespace(**known)
    assert FeaturebaseWebhookLink().get_link(operator, ti_key=None) == link  # type: ignore[arg-type]
