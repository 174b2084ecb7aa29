"""``featurebase example-dags``: what whoever installs the wheel starts from."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from featurebase_provider.cli import console
from featurebase_provider.cli.example_dags import DAG_FILES, ROTATION_FILE
from featurebase_provider.config import load_rotation_config

NAMES = ["featurebase_audit.py", "featurebase_emergency_rotation.py", "featurebase_rotation.py", ROTATION_FILE]


def status(*words: object) -> int:
    try:
        console.main(["example-dags", *map(str, words)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("there", [True, False], ids=["a folder", "no folder yet"])
def test_it_copies_every_file(there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "airflow" / "dags"
    if there:
        folder.mkdir(parents=True)
    assert status(folder) == 0
    assert sorted(contents(folder)) == NAMES
    assert contents(folder) == contents(DAG_FILES)
    assert capsys.readouterr().out.startswith(f"Copied into {folder}:\n  {NAMES[0]}\n")


def test_it_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With whole paths that a shell takes as they are: Airflow's daemons run elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert status("my dags") == 0
    said = capsys.readouterr().out
    file = shlex.quote(str(tmp_path / "my dags" / ROTATION_FILE))
    assert f"featurebase validate {file}\n" in said
    assert f"export AIRFLOW__FEATUREBASE__ROTATION_CONFIG={file}\n" in said
    assert "connection featurebase_default" in said


def test_files_that_exist_are_named_and_nothing_is_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link that leads nowhere exists, too: the copy would go where it leads."""
    (tmp_path / ROTATION_FILE).write_text("mine")
    (tmp_path / NAMES[0]).symlink_to(tmp_path / "elsewhere.py")
    (tmp_path / "own.py").write_text("mine")
    assert status(tmp_path) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Nothing was copied, because these exist already: {tmp_path / NAMES[0]}, {tmp_path / ROTATION_FILE}. " in (
        captured.err
    )
    assert "--force" in captured.err
    assert contents(tmp_path) == {ROTATION_FILE: b"mine", "own.py": b"mine"}


def test_force_replaces_them_and_leaves_others(tmp_path: Path) -> None:
    (tmp_path / ROTATION_FILE).write_text("mine")
    (tmp_path / "own.py").write_text("mine")
    assert status(tmp_path, "--force") == 0
    assert contents(tmp_path) == {**contents(DAG_FILES), "own.py": b"mine"}


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert status(tmp_path / "file" / "dags") == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'file' / 'dags'} could not be written: Not a directory. Nothing was copied. " in said


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says which were copied before."""
    (tmp_path / NAMES[1]).mkdir()
    assert status(tmp_path, "--force") == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / NAMES[1]} could not be written: Is a directory. " in said
    assert f"Copied before: {tmp_path / NAMES[0]}. " in said
    assert said.endswith("again with --force\n")


def test_the_disk_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file that could not be written is named, not the one that was read."""
    (tmp_path / NAMES[0]).symlink_to("/dev/full")
    assert status(tmp_path, "--force") == 2
    assert f"{tmp_path / NAMES[0]} could not be written: No space left on device. " in capsys.readouterr().err


def test_it_needs_no_airflow(tmp_path: Path) -> None:
    """Nothing of Airflow is imported, and no database or configuration is made."""
    home = tmp_path / "home"
    home.mkdir()
    probe = (
        "import sys\n"
        "from featurebase_provider.cli.console import main\n"
        "main(sys.argv[1:])\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('airflow', 'sqlalchemy')])"
    )
    environment = {**os.environ, "HOME": str(home), "AIRFLOW_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", probe, "example-dags", str(tmp_path / "dags")],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
    assert list(home.iterdir()) == []


def test_the_rotation_file_is_right_as_it_is() -> None:
    """Its Dags run only when somebody triggers them, until its owner says otherwise."""
    (webhook,) = load_rotation_config(DAG_FILES / ROTATION_FILE).webhooks
    assert (webhook.name, webhook.schedule, webhook.probe) == ("production", None, None)


def test_the_rotation_file_is_right_with_every_option(tmp_path: Path) -> None:
    """Each commented option can be used by removing its "# ", as the file says."""
    option = re.compile(r"^( *)# (?= *(?:- )?[a-z_]+:(?: |$))", re.MULTILINE)
    whole = tmp_path / ROTATION_FILE
    text, found = option.subn(r"\1", (DAG_FILES / ROTATION_FILE).read_text())
    whole.write_text(text)
    webhook, pair = load_rotation_config(whole).webhooks
    assert found == 15
    assert (pair.strategy, len(pair.webhook_ids or ())) == ("overlap", 2)
    assert (webhook.schedule, webhook.timezone) == ("0 6 1 * *", "Europe/Tallinn")
    assert [store.type for store in webhook.stores] == ["airflow_variable", "object_storage"]
    assert webhook.probe is not None
