"""The page and the report of one webhook, from the first rotation on, with nothing stood in for."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import wait_for
from dev.airflow.world import World
from dev.demo.__main__ import DAG_ID
from featurebase_provider.config.models import AUDIT_DAG_ID
from tests.browser.signed_in import ROUTE, violations

pytestmark = [pytest.mark.browser, pytest.mark.airflow]


def rotation(airflow: LocalAirflow) -> str:
    return next(str(run["dag_run_id"]) for run in airflow.api.runs(DAG_ID) if run["conf"].get("reason"))


def test_the_first_audit_is_started_from_the_page(page: Page, airflow: LocalAirflow) -> None:
    """Before it there is little to see; after it, the webhook with its rotation: when, by whom, why, exposure."""
    page.goto(airflow.url + ROUTE)
    expect(page.get_by_text("No audit has ended yet")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Run the audit").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("This Dag is paused")).to_be_visible()
    dialog.get_by_role("button", name="Continue").click()
    dialog.get_by_role("button", name="Start the audit").click()
    expect(dialog.get_by_text("The run was started.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    airflow.api.unpause(AUDIT_DAG_ID)
    wait_for(
        "the audit",
        lambda: all(run["state"] in ("success", "failed") for run in airflow.api.runs(AUDIT_DAG_ID)),
        seconds=300,
    )
    page.get_by_role("button", name="Refresh").click()
    row = page.locator(".fb-cards tbody tr", has=page.get_by_role("link", name="production", exact=True))
    expect(row).to_contain_text("rotated")
    expect(row).to_contain_text("by admin: quarterly rotation")
    expect(row).to_contain_text(re.compile(r"exposure \d+ ms|exposure [\d.]+ s"))
    expect(row).to_contain_text("accepted")
    assert violations(page) == []


@pytest.mark.parametrize(
    ("button", "confirm", "mode", "outcome"),
    [
        ("Rehearse", "Start the rehearsal", "dry_run", "dry_run"),
        ("Distribute", "Write the stores now", "distribute", "distributed"),
    ],
)
def test_the_second_press_starts_a_run_that_does_what_it_says(
    page: Page, airflow: LocalAirflow, world: World, button: str, confirm: str, mode: str, outcome: str
) -> None:
    """Without the second press nothing is sent. Neither run refreshes the secret."""
    refreshes = world.refreshes()
    known = {run["dag_run_id"] for run in airflow.api.runs(DAG_ID)}
    page.goto(airflow.url + ROUTE)
    page.get_by_role("button", name=f"{button} production").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(f"{button} of one webhook")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_text("Nothing has been sent yet.")).to_be_visible()
    assert {run["dag_run_id"] for run in airflow.api.runs(DAG_ID)} == known
    dialog.get_by_role("button", name=confirm).click()
    expect(dialog.get_by_text("The run was started.")).to_be_visible()
    (run,) = (run for run in airflow.api.runs(DAG_ID) if run["dag_run_id"] not in known)
    assert run["conf"] == {"mode": mode, "reason": f"{button} of one webhook"}
    assert airflow.api.wait_for_run(DAG_ID, run["dag_run_id"], seconds=300) == "success"
    assert airflow.api.xcom(DAG_ID, run["dag_run_id"], "report")["outcome"] == outcome
    assert world.refreshes() == refreshes


def test_the_report_task_links_to_the_report_as_a_page(page: Page, airflow: LocalAirflow) -> None:
    """It stands alone, says the outcome first, and can be printed."""
    task = f"/dags/{DAG_ID}/dagRuns/{rotation(airflow)}/taskInstances/report"
    page.goto(airflow.url + airflow.api.call("GET", f"{task}/links")["extra_links"]["Report as a page"])
    expect(page.get_by_role("heading", name="Rotation report: production")).to_be_visible()
    expect(page.locator(".fb-verdict")).to_contain_text("Rotated")
    for text in ("quarterly rotation", "admin", "object_storage", "Timeline", "verify_delivery", "Secret after"):
        expect(page.get_by_text(text).first).to_be_visible()
    assert violations(page) == []
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    page.set_viewport_size({"width": 360, "height": 800})
    page.emulate_media(media="screen")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
