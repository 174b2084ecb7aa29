"""One Airflow with all its daemons for this folder's tests, and what was looked through at the end."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.cli.example_dags import DAG_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.leaks.real_airflow import RealAirflow


@pytest.fixture(scope="session")
def real_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow]:
    """Airflow with all its daemons and logs at DEBUG, and a webhook for each story that is told with it."""
    from tests.leaks import plugin
    from tests.leaks.real_airflow import RealAirflow
    from tests.leaks.stories import entries, pair_entries

    talking = {"timeout": "PT60S", "poll_interval": "PT0.5S"}
    missed = datetime.now(tz=timezone.utc) - timedelta(hours=2)
    stories: dict[str, dict[str, Any]] = {
        "flowing": {
            "schedule": None,
            "verify": talking,
            "probe": {"timeout": "PT60S", "interval": "PT0.2S", "steady": "PT1S"},
        },
        "broken": {"schedule": None, "stores": [{"type": "airflow_variable", "name": "broken_signing_secret"}]},
        "restarted": {"schedule": None, "verify": talking, "probe": None},
        "missed": {"schedule": f"{missed.minute} {missed.hour} * * *"},
    }
    folder = tmp_path_factory.mktemp("real")
    plugins = folder / "plugins"
    plugin.install(plugins)
    stories.update(entries(folder))
    path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
    with RealAirflow(folder, DAG_FILES, stories, pairs=pair_entries(folder), settings={"PYTHONPATH": path}) as real:
        yield real


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with where secrets were looked for, and how many were found."""
    from tests.leaks.report import SUMMARY

    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    for text in (value for report in reports for name, value in report.user_properties if name == SUMMARY):
        terminalreporter.section("Secrets: places and hits")
        terminalreporter.write_line(str(text))
