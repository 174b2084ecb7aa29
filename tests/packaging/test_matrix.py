"""The built wheel, installed beside each supported Airflow (`make matrix` makes the environments)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from featurebase_provider import __version__
from tests.world.approving import ApprovingAirflow, check_approvals
from tests.world.wheel_airflow import AUDIT, EMERGENCY, PAIR, ROTATION, WheelAirflow

ROOT = Path(__file__).parents[2]
VERSIONS = sorted(path.stem.removeprefix("airflow-") for path in (ROOT / "constraints").glob("airflow-*.txt"))
NAMED = os.environ.get("FEATUREBASE_MATRIX", "").split()
"""The environments that `make matrix` has made, or could not make as a Python is missing."""
INTEGRITY_TESTS = sorted((ROOT / "tests" / "airflow").glob("test_dag_integrity*.py"))
FORM = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
form = next(meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "featurebase")
print(json.dumps({
    "hook_name": form.hook_name,
    "fields": {
        name: (field["schema"].get("title"), field["value"]) for name, field in form.extra_fields.items()
    },
    "titles": {"host": form.standard_fields.host.title, "password": form.standard_fields.password.title},
    "hidden": [name for name, field in form.standard_fields if field and field.hidden],
}))
"""
SCHEMA_CHECK = """
import json
from pathlib import Path
import airflow, jsonschema
from featurebase_provider.get_provider_info import get_provider_info
schema = json.loads(Path(airflow.__file__).with_name("provider_info.schema.json").read_text())
jsonschema.validate(get_provider_info(), schema)
"""
TAKES_COMMANDS = """
from airflow.providers_manager import ProvidersManager
print(hasattr(ProvidersManager, "cli_command_functions"))
"""
STORES = ("airflow_variable", "object_storage")
FIGURES = {
    *("preflight", "rotate", "push", "distributed", "probe", "verify_delivery", "report", "outcome"),
    *("activate", "cut_over"),
    "store_exposure",
    *("receiver_exposure", "audit.finding", "emergency_plan", "emergency_push"),
    "rotation.rotated",
    *(f"{what}.{store}" for what in ("exposure.readable", "exposure.confirmed", "store_write") for store in STORES),
    *(f"{what}.production" for what in ("secret_age_days", "days_to_max_age", "drifted_stores")),
}


def played(environment: str) -> str:
    """How tests are named: by the Airflow, and by the very Python that is in the environment."""
    airflow, _, python = environment.partition("-python")
    settings = ROOT / ".matrix" / environment / "pyvenv.cfg"
    found = re.search(r"^version_info = (\S+)", settings.read_text(), re.MULTILINE) if settings.exists() else None
    return f"{airflow}-python{found.group(1) if found else python or 'unknown'}"


ENVIRONMENTS = {played(environment): environment for environment in NAMED or VERSIONS}
"""Each once, although the oldest or the newest Python may be the one that is used here."""


@pytest.fixture(params=VERSIONS, ids=played)
def bin_dir(request: pytest.FixtureRequest) -> Path:
    """The bin folder of the bare environment that holds one Airflow and the wheel."""
    folder = ROOT / ".matrix" / request.param / "bin"
    if not (folder.parent / ".setup").exists():
        airflow, _, python = request.param.partition("-python")
        if python and NAMED:
            pytest.skip(
                f"there is no Python {python} here for Airflow {airflow}: install it by `uv python install {python}`, "
                "pyenv or your system's packages, and run `make matrix` again"
            )
        reason = f"no environment for Airflow {request.param}; `make matrix` makes it"
        if NAMED:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def test_a_python_that_is_missing_is_named(tmp_path: Path) -> None:
    """And nothing is made that the tests could take for an environment."""
    command = [
        ROOT / "scripts" / "matrix_venv.sh",
        shutil.which("uv", path=Path(sys.executable).parent),
        sys.executable,
    ]
    done = subprocess.run([*command, "3.3.2-python3.0", "no.whl"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])
    assert done.stderr == "make: no Python 3.0 here, so Airflow 3.3.2 is not tested with it\n"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the source tree's import path and give back what it printed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("bin_dir", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys(), indirect=True)
def test_it_rotates_audits_and_meets_an_emergency(bin_dir: Path, tmp_path: Path) -> None:
    """With all daemons: each refresh is the only one, the stores hold what it gave, and StatsD hears of each task.

    A pair's deliveries move, and none is refused.
    """
    with WheelAirflow(bin_dir / "python", tmp_path) as real:
        first = real.world.webhook()["secret"]
        rotation = real.run(ROTATION, reason="matrix")
        second = real.world.webhook()["secret"]
        assert rotation.tasks == dict.fromkeys(rotation.tasks, "success")
        assert rotation.state == "success"
        assert ("verify_delivery", "deferred") in rotation.seen
        assert (len(real.world.refreshes()), real.held()) == (1, {second})
        assert second != first

        real.api.pause(ROTATION)
        real.world.secret_file.write_text(real.world.secret_file.read_text().replace(second, first))
        audit = real.run(AUDIT, heal=True)
        assert audit.tasks == {"audit": "success", "drifted": "success", "heal": "success", "findings": "failed"}
        assert [run["conf"]["mode"] for run in real.api.runs(ROTATION) if run["state"] == "queued"] == ["distribute"]
        says_paused = "is paused: its run waits" in real.api.log(AUDIT, audit.run_id, "drifted")
        assert says_paused is not bin_dir.parent.name.startswith("3.1.")  # which doesn't tell tasks

        emergency = real.run(EMERGENCY, webhooks=["production"], reason="matrix")
        third = real.world.webhook()["secret"]
        assert emergency.tasks == dict.fromkeys(emergency.tasks, "success")
        assert emergency.state == "success"
        assert (len(real.world.refreshes()), real.held()) == (2, {third})
        assert third not in (first, second)

        old = real.pair.secret_of(real.pair.webhook_id)
        moved = real.run(PAIR, reason="matrix")
        assert moved.tasks == dict.fromkeys(moved.tasks, "success")
        assert moved.state == "success"
        assert ("cut_over", "deferred") in moved.seen
        assert real.pair.statuses == ["paused", "active"]
        assert real.pair.held == (old, real.pair.secret_of(real.pair.standby_id))
        assert real.pair.refused == []
        reverted = real.run(PAIR, mode="revert", reason="matrix")
        assert (reverted.state, real.pair.statuses) == ("success", ["active", "paused"])
        assert real.pair.refused == []

        assert real.stats.names >= FIGURES
        _check_pages(real, rotation.run_id)


def _check_pages(real: WheelAirflow, run_id: str) -> None:
    """The page and the report's link are there, and their files are for those who have signed in."""
    plugins = real.api.call("GET", "/plugins")["plugins"]
    (app,) = (app for plugin in plugins if plugin["name"] == "featurebase" for app in plugin["react_apps"])
    assert (app["name"], app["destination"], app["url_route"]) == ("Webhook secrets", "nav", "webhook-secrets")
    links = real.api.call("GET", f"/dags/{ROTATION}/dagRuns/{run_id}/taskInstances/report/links")["extra_links"]
    for path, part in ((app["bundle_url"], 'globalThis["Webhook secrets"]'), (links["Report as a page"], "report.js")):
        assert real.api.page(path, signed_in=False).status_code == 401
        served = real.api.page(path)
        assert served.status_code == 200
        assert part in served.text
    for module in re.findall(r'from "\./([^"]+)"', real.api.page(app["bundle_url"]).text):
        assert "javascript" in real.api.page(f"/featurebase/{module}").headers["content-type"]


def test_rotations_wait_for_an_approval(bin_dir: Path, tmp_path: Path) -> None:
    """By each minor's own human-in-the-loop operator, which differ."""
    with ApprovingAirflow(tmp_path, python=str(bin_dir / "python")) as airflow:
        check_approvals(airflow)


def test_the_wheel_is_what_is_imported(bin_dir: Path, tmp_path: Path) -> None:
    """Nothing below comes from the source tree."""
    where = run(bin_dir / "python", "-c", "import featurebase_provider as p; print(p.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(bin_dir.parent)


def test_airflow_shows_the_provider(bin_dir: Path, tmp_path: Path) -> None:
    """`airflow providers get` names the distribution and its version."""
    answer = run(
        bin_dir / "airflow",
        "providers",
        "get",
        "airflow-provider-featurebase",
        "--output",
        "json",
        cwd=tmp_path,
    )
    provider = json.loads(answer[answer.index("[{") :])[0]
    assert {name.lower(): value for name, value in provider.items()} == {
        "provider": "airflow-provider-featurebase",
        "version": __version__,
    }


def test_info_follows_this_airflows_schema(bin_dir: Path, tmp_path: Path) -> None:
    run(bin_dir / "python", "-c", SCHEMA_CHECK, cwd=tmp_path)


def test_connection_form_has_its_fields(bin_dir: Path, tmp_path: Path) -> None:
    """The UI's own answer for the form: labels, the three extra fields, their defaults, what is hidden."""
    printed = run(bin_dir / "python", "-W", "ignore", "-c", FORM, cwd=tmp_path)
    form = json.loads(printed.splitlines()[-1])
    assert form["hook_name"] == "Featurebase"
    assert form["titles"] == {"host": "Base URL", "password": "API key"}
    assert form["fields"] == {
        "api_version": ["API version", "2026-01-01.nova"],
        "timeout": ["Timeout (seconds)", 10],
        "max_retries": ["Retries of a read", 4],
    }
    assert sorted(form["hidden"]) == ["login", "port", "url_schema"]


def test_check_stores_is_a_command(bin_dir: Path, tmp_path: Path) -> None:
    """The console script has it everywhere, and `airflow` where Airflow takes commands from providers (3.2)."""
    words = ("check-stores", "--help")
    assert "Connects to every store in the rotation file" in run(bin_dir / "featurebase", *words, cwd=tmp_path)
    if run(bin_dir / "python", "-W", "ignore", "-c", TAKES_COMMANDS, cwd=tmp_path).split()[-1] == "True":
        assert "Connects to every store in the rotation file" in run(
            bin_dir / "airflow", "featurebase", *words, cwd=tmp_path
        )
    else:
        assert bin_dir.parent.name.startswith("3.1.")


def test_dags_load(bin_dir: Path) -> None:
    """The Dag integrity tests pass with this Airflow and the installed wheel."""
    run(
        bin_dir / "python",
        *("-m", "pytest", "-p", "no:cacheprovider", "-o", "pythonpath=.", "-q"),
        *INTEGRITY_TESTS,
        cwd=ROOT,
    )
