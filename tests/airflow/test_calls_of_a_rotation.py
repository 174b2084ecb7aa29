"""How many calls of the Featurebase API a rotation makes; docs/running.md shows them by task."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from dev.bench.api_calls import path_of

if TYPE_CHECKING:
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow

ONE, SECRET, LOG = "/v2/webhooks/{id}", "/v2/webhooks/{id}/secret", "/v2/audit-logs"


@pytest.mark.parametrize("stores", [1, 2])
@pytest.mark.parametrize("probe", [True, False])
def test_a_rotation_reads_little(airflow: InProcessAirflow, world: FeaturebaseWorld, stores: int, probe: bool) -> None:
    """One refresh; two reads for each store's push task, one or two for each other task, and ``verify_delivery``'s."""
    entry = world.entry(
        stores=[world.variable_store(), world.file_store()][-stores:],
        verify={"timeout": "PT1S", "poll_interval": "PT1S"},
        **({} if probe else {"probe": False}),
    )
    before = len(world.sandbox.state.journal.calls)
    run = airflow.start(airflow.load(entry))
    assert run.state == "success", run.errors
    made = Counter((call.method, path_of(call.path)) for call in world.sandbox.state.journal.calls[before:])
    preflight, rotate, verify, report = 1, 2, 2, 1
    polls = made.pop(("GET", ONE)) - (preflight + rotate + 2 * stores + probe + verify + report)
    assert 0 <= polls <= 3
    assert made == {("POST", SECRET): 1, ("GET", LOG): 1}
