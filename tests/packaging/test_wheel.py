"""What the built distributions hold, and what they leave out."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "provider" / "featurebase_provider"


def built(pattern: str) -> Path:
    """The newest distribution in dist/; packaging tests need `make wheel` before them."""
    found = sorted((ROOT / "dist").glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.fail(f"dist/ has no {pattern}; run `make wheel`")
    return found[-1]


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    """The built wheel, open for reading."""
    return zipfile.ZipFile(built("*.whl"))


def metadata_file(wheel: zipfile.ZipFile, name: str) -> str:
    """A file of the wheel's dist-info folder."""
    return wheel.read(next(entry for entry in wheel.namelist() if entry.endswith(f".dist-info/{name}"))).decode()


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Every file of the package, py.typed, the JSON Schema and the Dag files among them; no tests, no caches."""
    sources = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
    assert packed == sources
    assert {
        "featurebase_provider/py.typed",
        "featurebase_provider/rotation_config.schema.json",
        "featurebase_provider/dags/featurebase_rotation.py",
        "featurebase_provider/dags/rotation.yaml",
        "featurebase_provider/plugins/static/page.js",
        "featurebase_provider/plugins/static/report.html",
    } <= packed


def test_wheel_names_its_entry_points(wheel: zipfile.ZipFile) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(metadata_file(wheel, "entry_points.txt"))
    assert dict(entry_points["apache_airflow_provider"]) == {
        "provider_info": "featurebase_provider.get_provider_info:get_provider_info"
    }
    assert dict(entry_points["airflow.plugins"]) == {
        "featurebase": "featurebase_provider.plugins.page:FeaturebasePlugin"
    }
    assert dict(entry_points["console_scripts"]) == {
        "featurebase": "featurebase_provider.cli.console:main",
        "featurebase-sandbox": "featurebase_provider.sandbox.cli:main",
    }


def test_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    """License, Python range and Airflow's lower bound are in the metadata; development tools are not."""
    metadata = message_from_string(metadata_file(wheel, "METADATA"))
    # The newest that the release workflow's upload knows, and with it installers of some age.
    assert metadata["Metadata-Version"] == "2.4"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.15"}
    needed = metadata.get_all("Requires-Dist") or []
    assert any(line.startswith("apache-airflow>=3.1") for line in needed)
    assert not any(line.startswith(("pytest", "mypy", "ruff")) for line in needed)
    assert "Apache License" in metadata_file(wheel, "licenses/LICENSE")


LOADED = """
import json, sys
from tests.world.dag_bag import DagBag
import featurebase_provider
bag = DagBag(sys.argv[1])
print(json.dumps([featurebase_provider.__file__, bag.import_errors, sorted(bag.dags)]))
"""


def test_the_installed_wheel_hands_out_dag_files_that_load(tmp_path: Path) -> None:
    """`featurebase example-dags` of the wheel copies them, and Airflow finds no fault in what it copied."""
    site, dags = tmp_path / "site", tmp_path / "dags"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--offline", "--python", sys.executable, "--target", site,
         built("*.whl")],
        check=True,
    )  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": f"{site}:{ROOT}",
        "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(dags / "rotation.yaml"),
    }
    subprocess.run([site / "bin" / "featurebase", "example-dags", dags], env=environment, check=True)
    loaded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED, dags],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported, errors, dag_ids = json.loads(loaded.stdout.splitlines()[-1])
    assert Path(imported).is_relative_to(site)
    assert errors == {}
    assert dag_ids == ["featurebase_audit", "featurebase_emergency_rotation", "featurebase_rotate__production"]


def test_sdist_holds_what_a_packager_builds_from() -> None:
    with tarfile.open(built("*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "provider/featurebase_provider/__init__.py"} <= names
    assert not any("__pycache__" in name or name.startswith((".venv", ".matrix", ".git/")) for name in names)


def test_no_committed_file_names_a_package_index() -> None:
    """A clone works with whatever index its machine is set up for."""
    hosts = ["py" + "pi.org", "files.python" + "hosted.org", "registry.npm" + "js.org", "deb.debian" + ".org"]
    command = [
        "git",
        "grep",
        "--untracked",
        "-I",
        "-l",
        "-F",
        *(part for host in hosts for part in ("-e", host)),
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    assert found.stdout == ""
