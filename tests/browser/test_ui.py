"""What a person sees in Airflow's UI: the Dag, its trigger form, its report, the connection form."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import wait_for
from dev.demo.__main__ import DAG_ID
from featurebase_provider.config.models import EMERGENCY_DAG_ID

pytestmark = [pytest.mark.browser, pytest.mark.airflow]


def shoot(page: Page, images: Path | None, name: str) -> None:
    if images is not None:
        page.mouse.move(700, 5)
        page.wait_for_timeout(2000)  # lets animations end
        page.screenshot(path=images / f"{name}.png")


def manual_run(airflow: LocalAirflow) -> str:
    return next(str(run["dag_run_id"]) for run in airflow.api.runs(DAG_ID) if run["run_type"] == "manual")


def test_graph_shows_the_designed_tasks(page: Page, airflow: LocalAirflow, images: Path | None) -> None:
    """The graph of a run names every task, and the push tasks within their group."""
    page.set_viewport_size({"width": 1800, "height": 560})
    page.goto(f"{airflow.url}/dags/{DAG_ID}/runs/{manual_run(airflow)}")
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Expand all task groups").click()
    for task in (
        "preflight",
        "rotate",
        "airflow_variable",
        "object_storage",
        "distributed",
        "probe",
        "report",
        "outcome",
    ):
        expect(page.get_by_test_id("rf__wrapper").get_by_text(task, exact=True).first).to_be_visible()
    page.get_by_role("button", name="Collapse Details Panel").click()
    page.get_by_role("button", name="Fit View").click()
    shoot(page, images, "graph")


def test_trigger_form_offers_mode_and_reason(page: Page, airflow: LocalAirflow, images: Path | None) -> None:
    page.goto(f"{airflow.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.get_by_role("combobox", name="Mode")).to_be_visible()
    expect(form.get_by_text("Kept in the report.")).to_be_visible()
    expect(form.locator("strong", has_text="dry_run")).to_be_visible()
    shoot(page, images, "trigger-form")


def test_the_reports_log_begins_with_the_outcome(page: Page, airflow: LocalAirflow, images: Path | None) -> None:
    """Then one line per store; the tables are in a group that the reader unfolds."""
    page.goto(f"{airflow.url}/dags/{DAG_ID}/runs/{manual_run(airflow)}/tasks/report")
    expect(page.get_by_text("production: rotated. Nothing to do.").first).to_be_visible()
    expect(page.get_by_text("Store object_storage").first).to_be_visible()
    shoot(page, images, "report")
    page.get_by_text("Details", exact=False).last.click()
    expect(page.get_by_text("secret after").first).to_be_visible()


def test_connection_form_asks_for_key_and_url(page: Page, airflow: LocalAirflow, images: Path | None) -> None:
    """The form names its fields as Featurebase does, and completes the defaults."""
    page.set_viewport_size({"width": 1440, "height": 820})
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill("featurebase_default")
    form.locator("input[role=combobox]").first.focus()
    page.keyboard.type("featurebase")
    page.keyboard.press("Enter")
    expect(form.get_by_text("API key", exact=True)).to_be_visible()
    expect(form.get_by_text("Base URL", exact=True)).to_be_visible()
    form.get_by_text("Extra Fields", exact=True).click()
    expect(form.locator("input[value='2026-01-01.nova']")).to_be_visible()
    form.get_by_text("Standard Fields", exact=True).click()
    shoot(page, images, "connection-form")


def test_the_emergencys_form_names_its_webhooks_as_it_is(page: Page, airflow: LocalAirflow) -> None:
    """A run without a choice is refused, so the form has to send what it shows, also if nobody touched it."""
    airflow.api.unpause(EMERGENCY_DAG_ID)
    page.goto(f"{airflow.url}/dags/{EMERGENCY_DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("production").first).to_be_visible()
    form.get_by_role("button", name="Trigger").last.click()
    wait_for("the run", lambda: bool(airflow.api.runs(EMERGENCY_DAG_ID)), seconds=60)
    (run,) = airflow.api.runs(EMERGENCY_DAG_ID)
    assert run["conf"]["webhooks"] == ["production"]
    assert airflow.api.wait_for_run(EMERGENCY_DAG_ID, run["dag_run_id"], seconds=300) == "success"
