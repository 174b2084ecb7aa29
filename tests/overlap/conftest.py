"""An Airflow home of its own for this folder's tests, in place before anything imports Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.world.airflow_home import own_home

if TYPE_CHECKING:
    from tests.world.in_process_airflow import InProcessAirflow

HOME = own_home("featurebase-overlap-tests.")


@pytest.fixture(scope="session")
def airflow() -> InProcessAirflow:
    """Airflow with a migrated metadata database, whose tasks run in this process."""
    from tests.world.in_process_airflow import InProcessAirflow

    return InProcessAirflow(HOME)
