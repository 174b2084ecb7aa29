"""``featurebase validate`` as CI and pre-commit call it: a process of its own, without an Airflow that is set up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from featurebase_provider.cli import console
from tests.unit.config.test_right_entries import FIRST, SECOND

ROOT = Path(__file__).parents[3]
BROKEN = f"webhooks:\n{FIRST}    probe: yes\n{SECOND}    retires: 3\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rotation.yaml"
    path.write_text(f"webhooks:\n{FIRST}{SECOND}")
    return path


def status(*words: object) -> int:
    try:
        console.main(["validate", *map(str, words)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_right_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(file) == 0
    assert capsys.readouterr().out == f"{file}: valid, 2 webhooks\n"


def test_every_fault_has_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = file.with_name("broken.yaml")
    broken.write_text(BROKEN)
    assert status(file, broken) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{file}: valid")
    assert second.startswith(f"{broken}:5: webhooks[0].probe: must be true, false or a mapping")
    assert third.startswith(f"{broken}:9: webhooks[1].retires: is not a known field; did you mean retries?")


def test_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = file.with_name("broken.yaml")
    broken.write_text(BROKEN)
    assert status("--output", "json", file, broken) == 1
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["files"][0] == {"path": str(file), "ok": True, "faults": []}
    assert [(one["line"], one["field"]) for one in said["files"][1]["faults"]] == [
        (5, "webhooks[0].probe"),
        (9, "webhooks[1].retires"),
    ]


@pytest.mark.parametrize("path", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path / path) == 2
    assert str(tmp_path / path) in capsys.readouterr().out


def test_without_a_file_the_configured_one(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG", str(file))
    assert status() == 0
    monkeypatch.delenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG")
    assert status() == 2
    assert "AIRFLOW__FEATUREBASE__ROTATION_CONFIG" in capsys.readouterr().out


def test_it_needs_no_airflow(file: Path, tmp_path: Path) -> None:
    """Nothing of Airflow is imported, no database or configuration is made, and nothing is connected to."""
    home = tmp_path / "home"
    home.mkdir()
    probe = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(event) if event.startswith('socket.') else None)\n"
        "from featurebase_provider.cli.console import main\n"
        "main(sys.argv[1:])\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('airflow', 'sqlalchemy')], opened)"
    )
    environment = {**os.environ, "HOME": str(home), "AIRFLOW_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", probe, "validate", str(file)],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[] []"
    assert list(home.iterdir()) == []


def test_the_pre_commit_hook_calls_a_command_that_there_is() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")], check=True
    )
    script, command = hook["entry"].split()
    assert script == "featurebase"
    with pytest.raises(SystemExit) as ended:
        console.main([command, "--help"])
    assert ended.value.code == 0
