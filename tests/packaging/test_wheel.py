"""What the built distributions hold, and what they leave out."""

from __future__ import annotations

import configparser
import subprocess
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
    """Every file of the package, py.typed and the JSON Schema among them; no tests, no caches, no Dags."""
    sources = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
    assert packed == sources
    assert {"featurebase_provider/py.typed", "featurebase_provider/rotation_config.schema.json"} <= packed


def test_wheel_names_its_entry_points(wheel: zipfile.ZipFile) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(metadata_file(wheel, "entry_points.txt"))
    assert dict(entry_points["apache_airflow_provider"]) == {
        "provider_info": "featurebase_provider.get_provider_info:get_provider_info"
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
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    needed = metadata.get_all("Requires-Dist") or []
    assert any(line.startswith("apache-airflow>=3.1") for line in needed)
    assert not any(line.startswith(("pytest", "mypy", "ruff")) for line in needed)
    assert "Apache License" in metadata_file(wheel, "licenses/LICENSE")


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
