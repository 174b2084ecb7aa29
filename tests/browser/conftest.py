"""A real Airflow with the demo's rotation Dag, and a headless Chromium signed in to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import wait_for
from dev.airflow.world import API_KEY, World
from dev.demo.__main__ import DAG_ID, ROTATION_FILE
from featurebase_provider.cli.example_dags import DAG_FILES
from tests.browser.seeded import an_installation, rotation_file
from tests.browser.signed_in import USERS, signed_in

expect.set_options(timeout=60_000)
ROOT = Path(__file__).parents[2]
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
    airflow = LocalAirflow(folder / "airflow", dags=DAG_FILES, settings=settings)
    try:
        airflow.start()
        airflow.api.add_connection("featurebase_default", conn_type="featurebase", host=world.url, password=API_KEY)
        airflow.wait_for_dag(DAG_ID)
        airflow.api.unpause(DAG_ID)
        world.emit(per_second=5, seconds=200)
        run_id = airflow.api.trigger(DAG_ID, {"mode": "rotate", "reason": "quarterly rotation"})
        assert airflow.api.wait_for_run(DAG_ID, run_id, seconds=180) == "success"
        yield airflow
    finally:
        airflow.stop()


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
    folder = tmp_path_factory.mktemp("crowded")
    file, seed = folder / "rotation.yaml", folder / "seed.json"
    file.write_text(rotation_file(100))
    seed.write_text(json.dumps(an_installation(100, reports=1000)))
    settings = {
        "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(file),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    }
    airflow = LocalAirflow(folder / "airflow", dags=DAG_FILES, settings=settings)
    try:
        airflow.migrate()
        airflow.run("dags", "reserialize")
        module = ("-W", "ignore", "-m", "tests.browser.seeded", str(seed))
        subprocess.run([sys.executable, *module], env=airflow.env, cwd=ROOT, check=True)
        airflow.start_component("api-server")
        watched = list(airflow.processes.values())
        wait_for("the API server", airflow.api.answers, seconds=180, watched=watched)
        airflow.api.sign_in()
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture(scope="session")
def images() -> Path | None:
    """Where screenshots go; only if asked for, as they differ a little each time."""
    folder = os.environ.get("FEATUREBASE_SCREENSHOTS")
    return Path(folder) if folder else None
