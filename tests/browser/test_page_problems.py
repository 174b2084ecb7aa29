"""What the page, its dialogs and the report say where Airflow refuses or fails, and the way on that they offer."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from dev.airflow.local_airflow import LocalAirflow
from featurebase_provider.config.models import AUDIT_DAG_ID
from tests.browser.installation import name_of
from tests.browser.signed_in import ROUTE, answers, sign_in, signed_in, violations

pytestmark = [pytest.mark.browser, pytest.mark.airflow]

ENDED = "Invalid JWT token"
"""Airflow's text for a session that has ended."""


def test_airflow_answers_so_to_a_session_that_has_ended(crowded: LocalAirflow) -> None:
    """With 403, as it does to those who may not see something: the page goes by the text."""
    answer = httpx.get(f"{crowded.url}/api/v2/dags", cookies={"_token": "a.b.c"}, trust_env=False)
    assert (answer.status_code, answer.json()) == (403, {"detail": ENDED})


@pytest.mark.parametrize(("status", "detail"), [(401, "Not authenticated"), (403, ENDED)])
def test_who_must_sign_in_again_comes_back_to_the_page(
    browser: Browser, crowded: LocalAirflow, status: int, detail: str
) -> None:
    with signed_in(browser, crowded, "viewer") as page:
        answers(page, "**/api/v2/dags?tags=featurebase**", status, {"detail": detail})
        page.goto(crowded.url + ROUTE)
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Your session has ended")
        assert violations(page) == []
        page.unroute_all()
        page.context.clear_cookies()
        alert.get_by_role("link", name="Sign in").click()
        sign_in(page, crowded, "viewer")
        expect(page.get_by_text("3 findings need attention")).to_be_visible()
        assert page.url == crowded.url + ROUTE


@pytest.mark.parametrize(
    ("status", "says"),
    [(403, "You may not see this"), (500, "This page could not be loaded")],
)
def test_a_refusal_or_failure_is_said(browser: Browser, crowded: LocalAirflow, status: int, says: str) -> None:
    """And can be tried again."""
    with signed_in(browser, crowded, "viewer") as page:
        answers(page, "**/api/v2/dags?tags=featurebase**", status)
        page.goto(crowded.url + ROUTE)
        expect(page.get_by_role("alert")).to_contain_text(says)
        assert violations(page) == []
        page.unroute_all()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("3 findings need attention")).to_be_visible()


def test_it_says_that_it_loads(browser: Browser, crowded: LocalAirflow) -> None:
    with signed_in(browser, crowded, "viewer") as page:
        page.route("**/api/v2/dags?tags=featurebase**", lambda route: None)  # no answer
        page.goto(crowded.url + ROUTE)
        expect(page.locator(".fb").get_by_role("status")).to_contain_text("Loading")
        assert violations(page) == []


def test_a_form_that_did_not_load_is_asked_for_again(op: Page) -> None:
    answers(op, "**/details", 500)
    op.get_by_role("button", name="Rehearse customer-008").click()
    dialog = op.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("Airflow answered 500")
    assert violations(op, "dialog.fb-dialog") == []
    op.unroute_all()
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_label("Reason")).to_be_visible()
    expect(dialog.get_by_role("alert")).to_be_empty()


@pytest.mark.parametrize(
    ("status", "detail", "says", "link"),
    [
        (500, "so", "Airflow answered 500: so. It is not known whether the run was started.", "the Dag's runs"),
        (403, ENDED, "Your session has ended.", "Sign in"),
        (409, "a run of this moment exists", "Airflow answered 409: a run of this moment exists", None),
    ],
)
def test_a_run_that_could_not_be_started_is_said(
    op: Page, crowded: LocalAirflow, status: int, detail: str, says: str, link: str | None
) -> None:
    """With the way on. After a failure of Airflow's the run may be there, and a second one would refresh once more."""
    answers(op, "**/featurebase_rotate__customer-009/dagRuns", status, {"detail": detail})
    op.get_by_role("button", name="Rotate customer-009").click()
    dialog = op.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("kept")
    dialog.get_by_role("button", name="Continue").click()
    dialog.get_by_role("button", name="Replace the secret now").click()
    expect(dialog.get_by_role("alert")).to_contain_text(says)
    expect(dialog.get_by_label("Reason")).to_have_value("kept")
    links = dialog.get_by_role("alert").get_by_role("link")
    expect(links).to_have_count(0 if link is None else 1)
    if link is not None:
        expect(links).to_have_text(link)
    assert violations(op, "dialog.fb-dialog") == []


def test_a_report_that_can_not_be_read_is_said(viewer: Page, crowded: LocalAirflow) -> None:
    run = crowded.api.runs(f"featurebase_rotate__{name_of(5)}")[0]
    for status, way_on in ((500, "Try again"), (401, "Sign in")):
        answers(viewer, "**/xcomEntries/return_value?**", status)
        query = f"dag_id={run['dag_id']}&run_id={quote(run['dag_run_id'])}&task_id=report&map_index=-1"
        viewer.goto(f"{crowded.url}/featurebase/report.html?{query}")
        expect(viewer.get_by_role("alert")).to_be_visible()
        assert violations(viewer, "body") == []
        viewer.unroute_all()
        viewer.get_by_role("link", name=way_on).click()
        if status == 401:
            sign_in(viewer, crowded, "viewer")
        expect(viewer.get_by_role("heading", name="Rotation report: crm-sync")).to_be_visible()


def test_a_report_that_is_not_there_is_said(viewer: Page, crowded: LocalAirflow) -> None:
    viewer.goto(f"{crowded.url}/featurebase/report.html?dag_id={AUDIT_DAG_ID}&run_id=none&task_id=report")
    expect(viewer.get_by_role("alert")).to_be_visible()
    assert violations(viewer) == []
