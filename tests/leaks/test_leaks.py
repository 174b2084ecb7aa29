"""No secret outside Featurebase and the configured stores: not in the database, nor in any file, log or process.

docs/leaks.md says what is run and what is scanned. ``FEATUREBASE_LEAKS=docs/leaks.md`` writes that page's table anew.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from tests.leaks import report
from tests.leaks.api import crawl
from tests.leaks.controls import copy_database, plant_in_every_column
from tests.leaks.scanner import LeakScanner, table_names
from tests.leaks.stories import FOREIGN, OUTCOMES, PAIR, PAIR_REFUSED, SAYS, LeakStories

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.leaks.real_airflow import RealAirflow

pytestmark = pytest.mark.airflow

PAGE = Path(__file__).parents[2] / "docs" / "leaks.md"


@dataclass
class Inspection:
    """What the runs left, and what was found in it."""

    real: RealAirflow
    stories: LeakStories
    scanner: LeakScanner
    shown: dict[str, Any]

    def leaks(self, *kinds: str) -> list[Any]:
        return [leak for place in self.scanner.places if place.kind in kinds for leak in place.leaks]

    def count(self, kind: str) -> int:
        return sum(place.kind == kind for place in self.scanner.places)


def kind_of(path: Path) -> str:
    """What a file below AIRFLOW_HOME is."""
    if path.parts[0] == "component-logs":
        return "component log"
    if path.parts[0] == "logs":
        return "task log" if path.parts[1].startswith("dag_id=") else "Dag processor log"
    return "database file" if path.name.startswith("airflow.db") else "file below AIRFLOW_HOME"


@pytest.fixture(scope="module")
def inspection(real_airflow: RealAirflow) -> Inspection:
    """All stories told, and everything looked through."""
    stories = LeakStories(real_airflow)
    stories.tell()
    scanner = LeakScanner(stories.secrets)
    shown = crawl(real_airflow.airflow, scanner)
    scanner.scan_data("trigger's arguments", "cut_over", stories.trigger)
    scanner.scan_sqlite(real_airflow.airflow.database)
    scanner.scan_folder(real_airflow.airflow.home, kind=kind_of)
    scanner.scan_folder(real_airflow.temporary, kind="temporary file")
    real_airflow.processes.scan(scanner)
    return Inspection(real_airflow, stories, scanner, shown)


def test_every_story_ended_as_it_should(inspection: Inspection, record_property: Callable[[str, object], None]) -> None:
    """And is known to have been told: by the failed task's own words."""
    record_property(report.SUMMARY, report.as_text(inspection.scanner))
    assert inspection.stories.states == OUTCOMES
    runs = inspection.stories.runs
    said = {name: text in inspection.stories.log(name, task_id) for name, (task_id, text) in SAYS.items()}
    assert said == dict.fromkeys(SAYS, True)
    assert (
        inspection.real.airflow.api.tasks(inspection.real.dag_id("crash"), runs["crash"])["rotate"]["try_number"] == 2
    )
    assert inspection.real.worlds["crash"].refreshes() == 1


def test_deliveries_of_a_pair_moved_and_moved_back(inspection: Inspection) -> None:
    """None was refused; where the probe was refused, none moved, and the store forgot the new secret."""
    pair, refused = inspection.real.pairs[PAIR], inspection.real.pairs[PAIR_REFUSED]
    old, new = (pair.secret_of(webhook_id) for webhook_id in pair.ids)
    assert (pair.statuses, pair.held, pair.refused) == (["active", "paused"], (old, new), [])
    report = inspection.real.report(PAIR, inspection.stories.runs[PAIR])
    assert report["pair"]["statuses"] == dict(zip(pair.ids, ["paused", "active"], strict=True))
    assert (refused.statuses, refused.refused) == (["active", "paused"], [])
    assert refused.secret_of(refused.standby_id) not in refused.secret_file.read_text()
    assert [pair.refreshes(), refused.refreshes()] == [1, 1]


def test_no_secret_in_what_the_triggerer_gets(inspection: Inspection) -> None:
    """The arguments of the cut-over's trigger: fingerprints of both secrets, and neither secret."""
    assert inspection.leaks("trigger's arguments") == []
    pair = inspection.real.pairs[PAIR]
    for webhook_id in pair.ids:
        assert fingerprint_of(pair.secret_of(webhook_id)).encode() in inspection.stories.trigger


def test_no_secret_in_the_database(inspection: Inspection) -> None:
    """No column of any table: no XCom, no rendered field, no trigger, no event, no audit log; nor its free pages."""
    assert inspection.leaks("database table", "database file") == []
    with closing(sqlite3.connect(inspection.real.airflow.database)) as connection:
        assert inspection.count("database table") == len(table_names(connection)) > 40
        filled = {"xcom", "rendered_task_instance_fields", "serialized_dag", "asset_event", "log", "task_instance"}
        for table in filled:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() > (0,), table


def test_what_the_database_must_hold_is_encrypted(inspection: Inspection) -> None:
    """The Variables that are stores, and each connection's password and extra."""
    with closing(sqlite3.connect(inspection.real.airflow.database)) as connection:
        variables = dict(connection.execute("SELECT key, is_encrypted FROM variable").fetchall())
        connections = connection.execute(
            "SELECT conn_id, is_encrypted, is_extra_encrypted, extra IS NOT NULL FROM connection"
        ).fetchall()
    assert set(variables) >= {"broken_signing_secret", "echo_signing_secret", "crash_secret", FOREIGN}
    assert set(variables.values()) == {1}
    assert len(connections) >= 2 + len(inspection.real.worlds)
    assert [row for row in connections if not row[1] or (row[3] and not row[2])] == []


def test_no_secret_in_any_log(inspection: Inspection) -> None:
    """Task logs and component logs at DEBUG: httpx's, httpcore's and a careless store's own among them."""
    kinds = ("task log", "component log", "Dag processor log")
    assert inspection.leaks(*kinds) == []
    logs = [path.read_text(errors="replace") for path in inspection.real.airflow.home.rglob("*.log")]
    for written in ("httpcore", "receive_response_headers", "careless.client", "urllib3"):
        assert any(written in text for text in logs), written
    assert all(inspection.count(kind) for kind in kinds)


def test_no_secret_in_any_other_file(inspection: Inspection) -> None:
    assert inspection.leaks("file below AIRFLOW_HOME", "temporary file") == []


def test_no_secret_in_any_process(inspection: Inspection) -> None:
    """Arguments and environment of every process of Airflow, tasks among them."""
    assert inspection.leaks("process arguments", "process environment") == []
    shown = [b" ".join(seen.arguments) for seen in inspection.real.processes.seen.values()]
    supervisor, task = rb"LocalExecutor: [0-9a-f]{8}-", rb"worker -- [0-9a-f]{8}-"
    for title in (rb"airflow api", rb"scheduler", rb"triggerer", rb"dag-processor", supervisor, task):
        assert any(re.search(title, text) for text in shown), title
    assert len(shown) > 30


def test_no_secret_in_what_the_api_shows(inspection: Inspection) -> None:
    """Nor in the UI, which shows what the REST API answers: rendered fields, XComs, logs, Dag source, events."""
    assert inspection.leaks("REST API answer") == []
    calls = {place.name for place in inspection.scanner.places if place.kind == "REST API answer"}
    tasks = "GET /dags/.../dagRuns/.../taskInstances"
    assert calls >= {tasks, f"{tasks}/.../xcomEntries/...", f"{tasks}/.../logs/...", "GET /dagSources/..."}
    connections = inspection.shown["connections"]
    assert {connection["password"] for connection in connections} == {"***"}
    variables = {variable["key"]: variable["value"] for variable in inspection.shown["variables"]}
    assert variables["echo_signing_secret"] == variables[FOREIGN] == "***"


def test_the_same_scan_finds_what_is_planted_in_each_column_of_the_database(
    inspection: Inspection, tmp_path: Path
) -> None:
    """The control: in a copy, each table gets a row with a secret in each of its columns; each of them is found."""
    copy = tmp_path / "airflow.db"
    copy_database(inspection.real.airflow.database, copy)
    planted = plant_in_every_column(copy, inspection.real.worlds["flowing"].secret)
    scanner = LeakScanner(inspection.stories.secrets)
    assert {leak.place.split(",")[0] for leak in scanner.scan_sqlite(copy)} == planted
    assert len({column.partition(".")[0] for column in planted}) == len(scanner.places)
    assert scanner.scan_folder(tmp_path)


def test_the_page_tells_what_is_scanned(inspection: Inspection) -> None:
    if os.environ.get("FEATUREBASE_LEAKS"):
        with closing(sqlite3.connect(inspection.real.airflow.database)) as connection:
            tables = len(table_names(connection))
        said = (
            f"{inspection.scanner.secrets} secrets were looked for after {len(inspection.stories.runs)} runs. For the "
            f"control one was planted in every column of a copy of the database, and found in each of {tables} tables."
        )
        Path(os.environ["FEATUREBASE_LEAKS"]).write_text(report.rewritten(PAGE.read_text(), inspection.scanner, said))
    assert report.kinds_in(PAGE.read_text()) == {row[0] for row in report.rows(inspection.scanner)}
