"""An Airflow home of its own for this folder's tests, in place before anything imports Airflow."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import own_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.featurebase_world import FeaturebaseWorld
    from tests.support.in_process_airflow import InProcessAirflow
    from tests.support.real_airflow import RealAirflow

ROOT = Path(__file__).parents[2]
WITH_DAEMONS = ("test_demo.py", "test_leaks.py", "test_real_airflow.py", "test_soak.py")

HOME = own_home("featurebase-airflow-tests.")


@pytest.fixture(scope="session")
def dags_folder() -> Path:
    """The Dag files that the project ships."""
    return ROOT / "dags"


@pytest.fixture(scope="session")
def airflow() -> InProcessAirflow:
    """Airflow with a migrated metadata database, whose tasks run in this process."""
    from tests.support.in_process_airflow import InProcessAirflow

    return InProcessAirflow(HOME)


@pytest.fixture
def world(airflow: InProcessAirflow, tmp_path: Path) -> Iterator[FeaturebaseWorld]:
    """A Featurebase with one webhook, and its receiver; Airflow has a connection to it."""
    from tests.support.featurebase_world import FeaturebaseWorld

    with FeaturebaseWorld(tmp_path) as world:
        airflow.connect(world.conn_id, host=world.url, password=world.api_key)
        yield world


@pytest.fixture(scope="session")
def real_airflow(dags_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow]:
    """Airflow with all its daemons and logs at DEBUG, and a webhook for each story that is told with it."""
    from tests.support import leak_plugin, leak_stories
    from tests.support.real_airflow import RealAirflow

    talking = {"timeout": "PT60S", "poll_interval": "PT0.5S"}
    missed = datetime.now(tz=timezone.utc) - timedelta(hours=2)
    stories: dict[str, dict[str, Any]] = {
        "flowing": {"verify": talking, "probe": {"timeout": "PT60S", "interval": "PT0.2S", "steady": "PT1S"}},
        "broken": {"stores": [{"type": "airflow_variable", "name": "broken_signing_secret"}]},
        "restarted": {"verify": talking, "probe": None},
        "missed": {"schedule": f"{missed.minute} {missed.hour} * * *"},
    }
    folder = tmp_path_factory.mktemp("real")
    plugins = folder / "plugins"
    leak_plugin.install(plugins)
    stories.update(leak_stories.entries(folder))
    path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    with RealAirflow(folder, dags_folder, stories, settings={"PYTHONPATH": path}) as real:
        yield real


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have one process run all tests that start Airflow's daemons; the other processes run the rest meanwhile.

    xdist's own groups (3.8) get lost in pytest 9.2, which ignores the node id that xdist writes them into.
    """
    from xdist.scheduler import LoadScopeScheduling

    class DaemonsTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "daemons" if path.endswith(WITH_DAEMONS) else nodeid

    return DaemonsTogether(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with where secrets were looked for, and how many were found."""
    from tests.support.leak_report import SUMMARY

    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    for text in (value for report in reports for name, value in report.user_properties if name == SUMMARY):
        terminalreporter.section("Secrets: places and hits")
        terminalreporter.write_line(str(text))
