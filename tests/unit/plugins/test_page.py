"""The plugin: what Airflow is told about the page, and who gets its files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from featurebase_provider import __version__
from featurebase_provider.operators.links import RotationReportLink, own_address
from featurebase_provider.operators.report import RotationReportOperator
from featurebase_provider.plugins.files import FOLDER, create_app
from featurebase_provider.plugins.page import NAME, FeaturebasePlugin

KEY: Any = SimpleNamespace(dag_id="a dag", run_id="manual__2026-01-01T00:00:00+00:00", task_id="report", map_index=-1)


@pytest.mark.parametrize(
    ("base_url", "prefix"),
    [
        (None, ""),
        ("/", ""),
        ("http://localhost:8080", ""),
        ("https://example.org/team/airflow", "/team/airflow"),
        ("https://example.org/team/airflow/", "/team/airflow"),
    ],
)
def test_addresses_keep_to_airflows_own_path(
    monkeypatch: pytest.MonkeyPatch, base_url: str | None, prefix: str
) -> None:
    """And to the host that the reader's browser is at: Airflow may have several names."""
    if base_url is None:
        monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    else:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    (app,) = FeaturebasePlugin().react_apps
    assert app["bundle_url"] == f"{prefix}/featurebase/page.js?v={__version__}"
    assert (app["destination"], app["url_route"]) == ("nav", "webhook-secrets")
    link = RotationReportLink().get_link(SimpleNamespace(), ti_key=KEY)  # type: ignore[arg-type]
    assert link == (
        f"{prefix}/featurebase/report.html?dag_id=a+dag&run_id=manual__2026-01-01T00%3A00%3A00%2B00%3A00"
        "&task_id=report&map_index=-1"
    )
    assert own_address("x") == f"{prefix}/featurebase/x"


def test_the_report_task_has_the_link() -> None:
    assert [link.name for link in RotationReportOperator.operator_extra_links] == [
        "Webhook in Featurebase",
        "Report as a page",
    ]


def test_the_script_registers_the_page_by_its_name() -> None:
    """Airflow looks for the component under the app's name."""
    (app,) = FeaturebasePlugin().react_apps
    assert app["name"] == NAME
    assert f'globalThis["{NAME}"] = Page;' in (FOLDER / "page.js").read_text()


def test_workers_that_load_the_plugin_load_no_web_framework() -> None:
    probe = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import airflow.sdk\n"
        "from airflow.sdk import BaseOperator\n"
        "known = set(sys.modules)\n"
        "from featurebase_provider.plugins.page import FeaturebasePlugin\n"
        "FeaturebasePlugin()\n"
        "new = set(sys.modules) - known\n"
        "print(*(name for name in new if name.startswith(('featurebase', 'fastapi', 'starlette'))))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", probe], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) - {"featurebase_provider"} == {
        "featurebase_provider.airflow_compat",
        "featurebase_provider.late",
        "featurebase_provider.plugins",
        "featurebase_provider.plugins.page",
    }


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:Using `httpx` with")  # within Airflow
async def test_a_stranger_gets_no_file() -> None:
    """Whatever is asked for, and whether or not it exists."""
    (mounted,) = FeaturebasePlugin().fastapi_apps
    assert mounted["url_prefix"] == "/featurebase"
    transport = httpx.ASGITransport(app=create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        for name in [*(path.name for path in FOLDER.iterdir()), "nothing.js"]:
            assert (await client.get(f"/{name}")).status_code == 401, name
        for name in ("docs", "redoc", "openapi.json"):
            assert (await client.get(f"/{name}")).status_code in (401, 404)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_scripts_ask_nobody_but_airflow(path: Path) -> None:
    """No other host, no markup from text, no code from text; and they import only what the wheel has."""
    text = path.read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|\beval\(|new Function", text)
    for name in re.findall(r'from "\./([^"]+)"', text):
        assert (FOLDER / name).is_file()
    assert len(text.splitlines()) <= 400


def test_every_kind_of_finding_has_a_name() -> None:
    """A new kind would be shown by its bare name."""
    from featurebase_provider.audit.kinds import KINDS

    names = (FOLDER / "words.js").read_text()
    assert [kind for kind in KINDS if f"\n  {kind}: " not in names] == []
