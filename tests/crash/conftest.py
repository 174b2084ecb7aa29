"""One real Airflow in which all cases are played, several at once, before the first test asks for its result."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.cli.example_dags import DAG_FILES
from tests.crash.airflow import CrashAirflow
from tests.crash.matrix import FULL, FULL_LANES, SHORT, SHORT_LANES, Matrix
from tests.crash.table import as_page, as_text, write_json

if TYPE_CHECKING:
    from tests.crash.case import Case, Result

ROOT = Path(__file__).parents[2]
IS_FULL = os.environ.get("FEATUREBASE_CRASH", "short") == "full"
ONLY = os.environ.get("FEATUREBASE_CRASH_STRATEGY")
"""The one strategy whose cases are played; without it, those of both are."""
CASES = tuple(case for case in (FULL if IS_FULL else SHORT) if ONLY in (None, case.point.strategy))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """What came of each case, by its id; the full matrix also writes crash.json and the documentation's page."""
    folder, start = tmp_path_factory.mktemp("crash"), time.monotonic()
    with ExitStack() as opened:
        lanes = [lane for lane in (FULL_LANES if IS_FULL else SHORT_LANES) if ONLY in (None, lane.strategy)]
        worlds = [opened.enter_context(lane.world(folder)) for lane in lanes]
        airflow = opened.enter_context(CrashAirflow(folder, DAG_FILES, worlds))
        found = Matrix(airflow, CASES).play()
    rows = [found[case.id] for case in CASES]
    print(f"\n{as_text(rows)}")
    if IS_FULL:
        write_json(ROOT / "crash.json", rows, seconds=time.monotonic() - start)
        if all(row.converged for row in rows):
            page = ROOT / "docs" / "crash-matrix.md"
            page.write_text(as_page(rows, page.read_text()))
    return found


@pytest.fixture
def result(results: dict[str, Result], case: Case) -> Result:
    """What came of one case."""
    return results[case.id]
