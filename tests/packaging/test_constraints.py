"""The pinned versions: complete, and free of any package index or path of the machine that made them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "constraints.txt", *sorted((ROOT / "constraints").glob("airflow-*.txt"))]


def pins(path: Path) -> list[Requirement]:
    """Read a constraints file's requirements."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_holds_exact_versions_only(path: Path) -> None:
    """No index, no URL, no path, no option: one exact version a line, its marker at most."""
    text = path.read_text()
    assert not re.search(r"://|^-|\s/|\bfile:", text, re.MULTILINE)
    assert all(re.fullmatch(r"==[^*,]+", str(pin.specifier)) and not pin.url for pin in pins(path))


@pytest.mark.parametrize("python", ["3.10.13", "3.11.7", "3.12.1", "3.13.0", "3.14.0"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_pins_each_package_once_on_every_python(path: Path, python: str) -> None:
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    names = [
        canonicalize_name(pin.name) for pin in pins(path) if pin.marker is None or pin.marker.evaluate(environment)
    ]
    assert len(names) == len(set(names))
    assert "apache-airflow" in names


def test_everything_declared_is_pinned() -> None:
    """What pyproject.toml names, for running, extras, tests, lint and build, has its pin."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in [
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]:
        declared += [entry for entry in group if isinstance(entry, str)]
    pinned = {canonicalize_name(pin.name) for pin in pins(ROOT / "constraints.txt")}
    missing = {canonicalize_name(Requirement(entry).name) for entry in declared} - pinned
    assert not missing, "run `make lock`"


def test_matrix_files_pin_the_airflow_of_their_name() -> None:
    for path in FILES[1:]:
        airflow = [str(pin.specifier) for pin in pins(path) if pin.name == "apache-airflow"]
        assert airflow == [f"=={path.stem.removeprefix('airflow-')}"]


def test_the_matrix_has_a_file_for_each_of_its_airflows() -> None:
    """And a day for each, after which nothing that it pins was released."""
    lines = (ROOT / "constraints" / "matrix.txt").read_text().splitlines()
    rows = [re.fullmatch(r"(\S+) +\d{4}-\d\d-\d\d", line) for line in lines if not line.startswith("#")]
    named = [row.group(1) if row else None for row in rows]
    assert named == [path.stem.removeprefix("airflow-") for path in FILES[1:]], "run `make lock`"
