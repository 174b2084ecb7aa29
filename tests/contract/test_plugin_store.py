"""The store that docs/writing-a-store.md walks through: built, installed and used, word for word."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from featurebase_provider.config import ConfigError, load_rotation_config
from featurebase_provider.config import schema as config_schema
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.distribute import distribute
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.stores.registry import BUILT_IN, store_class, store_types
from tests.contract.local_file_cases import without_root

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-a-store.md").read_text(encoding="utf-8")
FILES = {
    name: block
    for block in re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    if (name := block.partition("\n")[0].removeprefix("# ")) and not name.startswith(("python", "pytest"))
}
"""The page's files: blocks whose first line is their path in a comment."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in's project folder, as somebody who follows the page has it."""
    folder = tmp_path_factory.mktemp("acme-envdir")
    for name in ("pyproject.toml", "acme_envdir.py", "rotation.yaml", "tests/test_envdir.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(FILES[name])
    return folder


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    """A folder into which the wheel was installed that the page's pyproject.toml makes."""
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(project)], cwd=project, check=True, capture_output=True, text=True
    )
    folder = project / "site"
    with zipfile.ZipFile(project / done.stdout.split()[-1]) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The plug-in beside this provider, in this process."""
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("acme_envdir", None)


def rotation_file(project: Path, directory: Path) -> Path:
    """The page's rotation file, with the envdir where a test can have one."""
    path = directory.parent / "rotation.yaml"
    path.write_text((project / "rotation.yaml").read_text().replace("/etc/feedback/env", str(directory)))
    return path


def test_it_is_unknown_before_and_known_once_installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_types() == tuple(sorted(BUILT_IN))
    monkeypatch.syspath_prepend(str(site))
    assert store_types() == tuple(sorted({*BUILT_IN, "envdir"}))
    assert store_class("envdir").__module__ == "acme_envdir"
    sys.modules.pop("acme_envdir")


def test_the_rotation_file_takes_it(project: Path, installed: Path) -> None:
    (webhook,) = load_rotation_config(project / "rotation.yaml").webhooks
    (store,) = webhook.stores
    assert (store.label, store.target) == ("envdir", "envdir:/etc/feedback/env#FEATUREBASE_WEBHOOK_SECRET")


def test_a_mistake_is_reported_in_the_words_of_the_page(
    project: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rotation.yaml").write_text((project / "rotation.yaml").read_text().replace("directory:", "directory_name:"))
    with pytest.raises(ConfigError) as caught:
        load_rotation_config("rotation.yaml")
    (promised,) = re.findall(r"^rotation\.yaml:.*$", PAGE, re.MULTILINE)
    assert promised in str(caught.value)


def test_one_who_has_it_not_installed_reads_which_types_there_are(project: Path) -> None:
    with pytest.raises(ConfigError, match=r'"envdir" is no store type; allowed: airflow_variable'):
        load_rotation_config(project / "rotation.yaml")


def test_the_written_schema_knows_it(project: Path, site: Path, tmp_path: Path) -> None:
    """Its fields, their descriptions from the docstring, and no others; the shipped schema lets it pass."""
    path = tmp_path / "rotation_config.schema.json"
    (words,) = re.findall(r"^python (-m featurebase_provider\.config\.schema) (\S+)$", PAGE, re.MULTILINE)
    assert words[1] == path.name
    subprocess.run(
        [sys.executable, *words[0].split(), str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT / "provider")])},
        check=True,
        capture_output=True,
    )
    written = json.loads(path.read_text())
    fields = written["$defs"]["EnvdirStore"]["properties"]
    assert fields["directory"]["description"] == "The envdir, as an absolute path."
    rotation = yaml.safe_load((project / "rotation.yaml").read_text())
    misspelt = yaml.safe_load((project / "rotation.yaml").read_text().replace("directory:", "directory_name:"))
    Draft202012Validator.check_schema(written)
    assert Draft202012Validator(written).is_valid(rotation)
    assert not Draft202012Validator(written).is_valid(misspelt)
    assert Draft202012Validator(config_schema.rotation_schema()).is_valid(rotation)


def test_a_written_schema_without_plug_ins_knows_no_other_type(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema.json"
    config_schema.main([str(path)])
    assert capsys.readouterr().out == f"{path}\n"
    rotation = yaml.safe_load((project / "rotation.yaml").read_text())
    assert not Draft202012Validator(json.loads(path.read_text())).is_valid(rotation)


def test_it_passes_the_suite(project: Path, site: Path) -> None:
    """The page's own test file, run as the page says; what is left out says why."""
    (words,) = re.findall(r"^python (-m pytest \S+)$", PAGE, re.MULTILINE)
    (project / "tests" / "contract").mkdir()
    for name in ("store_case.py", "test_store_conformance.py"):
        shutil.copy(ROOT / "tests" / "contract" / name, project / "tests" / "contract")
    done = subprocess.run(
        [sys.executable, *words.split(), "-rs", "-p", "no:cacheprovider", "-p", "no:asyncio"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT / "provider")])},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed, skipped = (int(number) for number in re.findall(r"(\d+) passed, (\d+) skipped", done.stdout)[0])
    assert passed >= 20
    assert skipped <= 6
    assert done.stdout.count("not applicable: ") == done.stdout.count("SKIPPED")


def test_without_the_right_to_write_it_is_refused(installed: Path) -> None:
    """The suite's case for that, for machines on which the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="featurebase-envdir-") as folder:  # pytest's are closed to other users
        store = store_class("envdir").model_validate({"type": "envdir", "directory": folder, "name": "SIGNING"})
        armed = store.arm()
        Path(folder).chmod(0o555)
        with without_root(), pytest.raises(StoreRefused, match="Permission denied"):
            armed.prove_writable()


def test_a_rotation_reaches_it(installed: Path, project: Path, tmp_path: Path) -> None:
    """Checked, written beside what else is in the file, and read back, by the code that rotates."""
    directory = tmp_path / "env"
    directory.mkdir()
    file = directory / "FEATUREBASE_WEBHOOK_SECRET"
    file.write_text("whsec_old\n# read at start\n")
    file.chmod(0o640)
    (webhook,) = load_rotation_config(rotation_file(project, directory)).webhooks
    old, new = SigningSecret("whsec_old"), SigningSecret("whsec_new")
    rule = WriteRule(str(webhook.webhook_id), "here")
    (found,) = check_stores(webhook.stores, rule, current=old.fingerprint)
    assert (found.holding, found.problem) == ("matches", None)
    with arming(webhook.stores) as ready:
        (outcome,) = distribute(ready, new, WriteRule("", "", known=frozenset({old.fingerprint})), since=None).values()
    assert (outcome.result, outcome.fingerprint) == ("written", new.fingerprint)
    assert file.read_text() == "whsec_new\n# read at start\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in directory.iterdir()] == [file.name]
