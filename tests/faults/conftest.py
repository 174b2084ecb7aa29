"""An Airflow home of its own for this folder's tests, in place before anything imports Airflow."""

from __future__ import annotations

import atexit
import base64
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fault_runs import FaultyWorld
    from tests.support.in_process_airflow import InProcessAirflow

if "airflow" in sys.modules:
    raise pytest.UsageError("Airflow was imported before its home was set; run tests/faults by itself")

HOME = Path(tempfile.mkdtemp(prefix="featurebase-fault-tests."))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have cases that share a run, which takes seconds to make, played by one process.

    xdist's own groups (3.8) get lost in pytest 9.2, which ignores the node id that xdist writes them into.
    """
    from xdist.scheduler import LoadScopeScheduling

    from tests.support.fault_cases import shared_run_of

    class ByCall(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared_run_of(nodeid) or nodeid

    return ByCall(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def airflow() -> InProcessAirflow:
    """Airflow with a migrated metadata database, whose tasks run in this process, and the scripted store type."""
    from tests.support import fault_store
    from tests.support.in_process_airflow import InProcessAirflow

    fault_store.install(HOME / "plug-in")
    return InProcessAirflow(HOME)


@pytest.fixture
def world(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[FaultyWorld]:
    """A Featurebase with one webhook, and a scripted store that holds its secret."""
    from tests.support.fault_runs import FaultyWorld

    with FaultyWorld(airflow, tmp_path) as world:
        yield world
