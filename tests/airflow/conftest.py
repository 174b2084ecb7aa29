"""An Airflow home of its own for this folder's tests, in place before anything imports Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.world.airflow_home import own_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.in_process_airflow import InProcessAirflow


HOME = own_home("featurebase-airflow-tests.")


@pytest.fixture(scope="session")
def airflow() -> InProcessAirflow:
    """Airflow with a migrated metadata database, whose tasks run in this process."""
    from tests.world.in_process_airflow import InProcessAirflow

    return InProcessAirflow(HOME)


@pytest.fixture
def world(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[FeaturebaseWorld]:
    """A Featurebase with one webhook, and its receiver; Airflow has a connection to it."""
    from tests.world.featurebase import FeaturebaseWorld

    with FeaturebaseWorld(tmp_path) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield world
