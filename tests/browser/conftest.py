"""A real Airflow with the demo's rotation Dag, and a headless Chromium signed in to it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.world import API_KEY, SECRET_KEY, World
from dev.demo.__main__ import DAG_ID, ROTATION_FILE
from featurebase_provider.cli.example_dags import DAG_FILES
from tests.browser.seeded import SeededAirflow, python_of_airflow
from tests.browser.signed_in import opened, signed_in

expect.set_options(timeout=60_000)
ASKED, UNWRITABLE = "featurebase_rotate__asked", "featurebase_rotate__unwritable"
FURTHER_DAGS = '''"""Further Airflow Dags."""

from featurebase_provider.dag_factory import rotation_dags

for dag in rotation_dags({file!r}):
    globals()[dag.dag_id] = dag
'''
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short path, as it shows in screenshots."""
    with tempfile.TemporaryDirectory(prefix="featurebase-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def world(folder: Path) -> Iterator[World]:
    world = World(folder)
    try:
        world.start()
        yield world
    finally:
        world.stop()


@pytest.fixture(scope="session")
def airflow(world: World, folder: Path) -> Iterator[LocalAirflow]:
    """Airflow with one rotation that has run."""
    rotation_file = folder / "rotation.yaml"
    rotation_file.write_text(ROTATION_FILE.format(webhook_id=world.webhook_id, secret_file=world.secret_file))
    settings = {"AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file)}
    dags = shutil.copytree(DAG_FILES, folder / "dags")
    python = python_of_airflow()
    airflow = LocalAirflow(folder / "airflow", dags=dags, settings=settings, python=python, api_timeout=120)
    try:
        airflow.start(seconds=300)
        airflow.api.add_connection("featurebase_default", conn_type="featurebase", host=world.url, password=API_KEY)
        airflow.wait_for_dag(DAG_ID)
        airflow.api.unpause(DAG_ID)
        world.emit(per_second=5, seconds=200)
        run_id = airflow.api.trigger(DAG_ID, {"mode": "rotate", "reason": "quarterly rotation"})
        assert airflow.api.wait_for_run(DAG_ID, run_id, seconds=300) == "success"
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture(scope="session")
def further(airflow: LocalAirflow, world: World, folder: Path) -> None:
    """Two more webhooks in the same Airflow: ``asked`` needs an approval, the store of ``unwritable`` has no folder.

    They have a Dag file and a rotation file of their own, which the page's and the emergency's tests don't see.
    """
    pair = world.add_pair()
    store = {"type": "object_storage", "format": "dotenv", "key": SECRET_KEY}
    usual = {"schedule": None, "retries": 0, "verify": {"timeout": "PT1S", "poll_interval": "PT1S"}}
    asked, unwritable = (
        {**usual, "name": name, "webhook_id": webhook_id, "stores": [{**store, "path": str(path)}]}
        for name, webhook_id, path in (
            ("asked", pair.webhook_ids[0], pair.secret_file),
            ("unwritable", pair.webhook_ids[1], folder / "not-there" / "webhook.env"),
        )
    )
    asked |= {"approval": "always", "probe": {"timeout": "PT1M", "interval": "PT1S", "steady": "PT1S"}}
    unwritable |= {"allow_inactive": True}
    file = folder / "further.yaml"
    file.write_text(json.dumps({"webhooks": [asked, unwritable]}))
    (folder / "dags" / "further.py").write_text(FURTHER_DAGS.format(file=str(file)))
    for dag_id in (ASKED, UNWRITABLE):
        airflow.wait_for_dag(dag_id, seconds=180)
        airflow.api.unpause(dag_id)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            raise RuntimeError("CI has no Chromium; scripts/apt-packages.txt must install it")
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, airflow: LocalAirflow) -> Iterator[Page]:
    """A page signed in as admin."""
    with signed_in(browser, airflow) as page:
        yield page


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """An API server with 100 webhooks and 1,000 reports. Nothing runs: what is triggered stays queued."""
    with SeededAirflow(tmp_path_factory.mktemp("crowded"), webhooks=100) as airflow:
        airflow.parse_dags()
        airflow.seed(reports=1000)
        airflow.serve()
        yield airflow


@pytest.fixture(scope="session")
def images() -> Path | None:
    """Where screenshots go; only if asked for, as they differ a little each time."""
    folder = os.environ.get("FEATUREBASE_SCREENSHOTS")
    return Path(folder) if folder else None


@pytest.fixture
def viewer(browser: Browser, crowded: LocalAirflow) -> Iterator[Page]:
    with signed_in(browser, crowded, "viewer") as page:
        yield opened(page, crowded)


@pytest.fixture
def op(browser: Browser, crowded: LocalAirflow) -> Iterator[Page]:
    with signed_in(browser, crowded, "op") as page:
        yield opened(page, crowded)
