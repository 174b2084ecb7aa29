"""What people see of runs in Airflow's UI that wait for them, or that failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.world import World
from tests.browser.conftest import ASKED, UNWRITABLE
from tests.world.approving import asks

pytestmark = [pytest.mark.browser, pytest.mark.airflow, pytest.mark.usefixtures("further")]


def question(page: Page, airflow: LocalAirflow, run_id: str) -> Locator:
    """What a person finds behind the run's button."""
    page.goto(f"{airflow.url}/dags/{ASKED}/runs/{run_id}")
    page.get_by_role("button", name="Required Action").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Rotate the signing secret of webhook asked?")
    return dialog


def log_of(page: Page, airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str) -> None:
    page.goto(f"{airflow.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}")


def test_a_rotation_is_approved_in_the_ui(page: Page, airflow: LocalAirflow, world: World, images: Path | None) -> None:
    """The question says which secret, where it goes, and why; the run goes on, and its report names who approved."""
    run_id = airflow.api.trigger(ASKED, {"reason": "quarterly rotation"})
    asks(airflow.api, ASKED, run_id)
    dialog = question(page, airflow, run_id)
    for part in ("Secret to be replaced: sha256:", "webhook.env", "quarterly rotation", "at once and for good"):
        expect(dialog).to_contain_text(part)
    if images is not None:
        page.wait_for_timeout(1000)
        page.screenshot(path=images / "approval.png")
    dialog.get_by_role("button", name="Approve").click()
    assert airflow.api.wait_for_run(ASKED, run_id, seconds=300) == "success"
    assert airflow.api.xcom(ASKED, run_id, "report")["outcome"] == "rotated"
    log_of(page, airflow, ASKED, run_id, "approve")
    expect(page.get_by_text("Approved by admin").first).to_be_visible()


def test_a_rotation_is_rejected_in_the_ui(page: Page, airflow: LocalAirflow, world: World) -> None:
    """Nothing is refreshed, the run ends green, and its report says who rejected it."""
    run_id = airflow.api.trigger(ASKED, {"reason": "quarterly rotation"})
    asks(airflow.api, ASKED, run_id)
    before = [call for call in world.requests() if call["method"] == "POST"]
    question(page, airflow, run_id).get_by_role("button", name="Reject").click()
    assert airflow.api.wait_for_run(ASKED, run_id, seconds=300) == "success"
    assert [call for call in world.requests() if call["method"] == "POST"] == before
    log_of(page, airflow, ASKED, run_id, "report")
    expect(page.get_by_text("asked: skipped.").first).to_be_visible()
    expect(page.get_by_text("admin rejected the rotation; nothing was changed").first).to_be_visible()


def test_a_failed_run_says_what_to_do(page: Page, airflow: LocalAirflow) -> None:
    """In the task that failed, once and without our frames; and at the top of the report, with the cause."""
    run_id = airflow.api.trigger(UNWRITABLE, {})
    assert airflow.api.wait_for_run(UNWRITABLE, run_id, seconds=300) == "failed"
    log_of(page, airflow, UNWRITABLE, run_id, "preflight")
    expect(page.get_by_text("Create it, or mount the volume").first).to_be_visible()
    lines = page.get_by_text("featurebase_provider/")
    expect(lines).to_have_count(1)
    log_of(page, airflow, UNWRITABLE, run_id, "report")
    expect(page.get_by_text("unwritable: nothing changed.").first).to_be_visible()
    expect(page.get_by_text("Cause: preflight: ").first).to_be_visible()
    log_of(page, airflow, UNWRITABLE, run_id, "outcome")
    expect(page.get_by_text("this run's outcome is nothing_changed").first).to_be_visible()
