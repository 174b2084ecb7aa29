"""An Airflow home of its own for this folder's tests, in place before anything imports Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.world.airflow_home import own_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.pair_stage import PairStage, PairStages
    from tests.faults.runs import FaultyWorld
    from tests.world.in_process_airflow import InProcessAirflow

HOME = own_home("featurebase-fault-tests.")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have cases that share a run, which takes seconds to make, played by one process.

    xdist's own groups (3.8) get lost in pytest 9.2, which ignores the node id that xdist writes them into.
    """
    from xdist.scheduler import LoadScopeScheduling

    from tests.faults.cases import shared_run_of

    class ByCall(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared_run_of(nodeid) or nodeid

    return ByCall(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def airflow() -> InProcessAirflow:
    """Airflow with a migrated metadata database, whose tasks run in this process, and the scripted store type."""
    from tests.faults import store
    from tests.world.in_process_airflow import InProcessAirflow

    store.install(HOME / "plug-in")
    return InProcessAirflow(HOME)


@pytest.fixture
def world(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[FaultyWorld]:
    """A Featurebase with one webhook, and a scripted store that holds its secret."""
    from tests.faults.runs import FaultyWorld

    with FaultyWorld(airflow, tmp_path) as world:
        yield world


@pytest.fixture(scope="session")
def pair_stages(airflow: InProcessAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairStages]:
    """The pair for all cases of a pair."""
    from tests.faults.pair_stage import PairStages

    stages = PairStages(airflow, tmp_path_factory)
    yield stages
    stages.close()


@pytest.fixture
def pair_stage(pair_stages: PairStages) -> PairStage:
    """A pair and its Dag."""
    return pair_stages.current()
