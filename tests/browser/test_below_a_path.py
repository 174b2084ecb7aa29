"""The page where Airflow is served below a path: from a fresh installation to the first run that it starts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.installation import name_of
from tests.browser.seeded import SeededAirflow
from tests.browser.signed_in import ROUTE, signed_in, violations

pytestmark = [pytest.mark.browser, pytest.mark.airflow]

PATH = "/airflow"
OURS = re.compile(r"/featurebase/|/api/v2/(dags|auth)")


@pytest.fixture
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededAirflow]:
    with SeededAirflow(tmp_path_factory.mktemp("below"), webhooks=1, path=PATH) as airflow:
        airflow.serve()
        yield airflow


def test_the_page_grows_with_the_installation(browser: Browser, below: SeededAirflow) -> None:
    """No Dag, then no audit, then one webhook; what it asks for and what it starts is below Airflow's path."""
    asked: list[str] = []
    with signed_in(browser, below, "op") as page:
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page.goto(below.url + ROUTE)
        expect(page.get_by_text("Nothing is set up yet")).to_be_visible()
        assert violations(page) == []

        below.parse_dags()
        page.get_by_role("button", name="Refresh").click()
        expect(page.get_by_text("No audit has ended yet")).to_be_visible()
        expect(page.get_by_role("link", name=name_of(0), exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Run the audit")).to_be_visible()
        assert violations(page) == []

        below.seed(reports=12)
        page.get_by_role("button", name="Refresh").click()
        expect(page.get_by_text("All secrets are as they should be")).to_be_visible()
        expect(page.locator(".fb-cards tbody tr")).to_have_count(1)
        assert violations(page) == []

        page.get_by_role("button", name=f"Rehearse {name_of(0)}").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill("below a path")
        dialog.get_by_role("button", name="Continue").click()
        dialog.get_by_role("button", name="Start the rehearsal").click()
        expect(dialog.get_by_text("The run was started.")).to_be_visible()
        (run,) = (run for run in below.api.runs(f"featurebase_rotate__{name_of(0)}") if run["run_type"] == "manual")
        assert run["conf"] == {"mode": "dry_run", "reason": "below a path"}
        dialog.get_by_role("link", name="Watch it in Airflow").click()
        expect(page.get_by_role("heading", name=run["dag_run_id"])).to_be_visible()
        assert page.url.startswith(f"{below.url}/dags/")

        page.goto(below.url + ROUTE)
        page.locator(".fb-cards tbody tr a[href*='report.html']").click()
        expect(page.get_by_role("heading", name=f"Rotation report: {name_of(0)}")).to_be_visible()
        assert page.url.startswith(f"{below.url}/featurebase/report.html?")
    ours = [path for path in asked if OURS.search(path)]
    assert f"{PATH}/featurebase/page.js" in ours
    assert f"{PATH}/api/v2/dags/featurebase_rotate__{name_of(0)}/dagRuns" in ours
    assert all(path.startswith(f"{PATH}/") for path in ours)
