"""The lanes of `make cluster`: what the rotation file says of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dev.cluster.lanes import PairLane, lanes
from dev.cluster.vendors import VENDORS, Vendor
from featurebase_provider.config import load_rotation_config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_second_secret_is_for_pairs_only(vendor: type[Vendor]) -> None:
    assert "previous_key" in vendor("one", keeps_previous=True).entry()
    assert "previous_key" not in vendor("one", keeps_previous=False).entry()


def test_the_rotation_file_is_right_and_no_store_is_a_file(tmp_path: Path) -> None:
    """Hosts share no folder. Each vendor has its turn, with both strategies."""
    made = [*lanes(tmp_path, refreshes=len(VENDORS), pairs=len(VENDORS))]
    for number, lane in enumerate(made):
        lane.webhook_id = f"{number:024x}"
        if isinstance(lane, PairLane):
            lane.other_id = f"{number + 100:024x}"
    file = tmp_path / "rotation.yaml"
    file.write_text(json.dumps({"webhooks": [lane.entry() for lane in made]}))
    webhooks = load_rotation_config(file).webhooks
    assert [webhook.strategy for webhook in webhooks] == ["refresh"] * len(VENDORS) + ["overlap"] * len(VENDORS)
    for webhook, lane in zip(webhooks, made, strict=True):
        types = {store.type for store in webhook.stores}
        assert types - {"airflow_variable"} == {"http", lane.vendor.type}
    assert {lane.vendor.type for lane in made} == {vendor.type for vendor in VENDORS}
