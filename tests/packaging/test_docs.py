"""What README and docs show can be used as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from featurebase_provider.config import load_rotation_config
from featurebase_provider.stores.registry import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "docs" / "start.md"
PLUGIN_PAGE = ROOT / "docs" / "writing-a-store.md"  # tests/contract/test_plugin_store.py runs that one
DAG_PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("alerts", "local-files", "operators", "own-dags", "start")),
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TAKEN_FROM_THE_PAGE = {"go", "javascript", "py"}
"""Samples that other tests run: tests/contract/test_receiver_samples.py."""
NOT_PARSED = {"", "hcl", "sql", "text"}
"""What is shown to be read, commands of many kinds, and policies and tables that the contract tests use themselves."""


def blocks(language: str, pages: list[Path]) -> list[Any]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}:{number}")
        for page in pages
        for number, text in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL), 1)
    ]


@pytest.mark.parametrize("text", blocks("yaml", [page for page in PAGES if page != PLUGIN_PAGE]))
def test_every_rotation_file_loads(text: str, tmp_path: Path) -> None:
    """A block is a whole rotation file, or the ``stores:`` of a webhook; other kinds of YAML are not ours."""
    shown, *more = yaml.safe_load_all(text)
    if not more and "stores" in shown:
        shown = {"webhooks": [{"name": "production", "webhook_id": "5" * 24, **shown}]}
        text = yaml.safe_dump(shown)
    elif "webhooks" not in shown:
        pytest.skip("no rotation file")
    path = tmp_path / "rotation.yaml"
    path.write_text(text)
    assert load_rotation_config(path).webhooks


PARSERS: dict[str, Callable[[str], object]] = {
    "ini": lambda text: ConfigParser().read_string(text),
    "json": json.loads,
    "python": lambda text: compile(text, "block", "exec"),
    "shell": lambda text: subprocess.run(["bash", "-n"], input=text, text=True, check=True, capture_output=True),
    "toml": lambda text: pytest.importorskip("tomllib", reason="Python 3.10 has no TOML reader").loads(text),
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}


@pytest.mark.parametrize("language", sorted(PARSERS))
def test_every_block_can_be_parsed(language: str) -> None:
    shown = blocks(language, PAGES)
    assert shown
    for block in shown:
        PARSERS[language](block.values[0])


def test_every_language_is_parsed_or_run() -> None:
    used = {name for page in PAGES for name in re.findall(r"^```([a-z]*)$", page.read_text(), flags=re.MULTILINE)}
    assert used <= PARSERS.keys() | NOT_PARSED | TAKEN_FROM_THE_PAGE


CLIENTS = (
    "airflow",
    "azure",
    "boto3",
    "botocore",
    "fastapi",
    "fsspec",
    "github",
    "google.cloud",
    "hvac",
    "jsonpath_ng",
    "kubernetes",
    "nacl",
    "psycopg",
    "psycopg2",
    "redis",
    "s3fs",
)


def test_reading_rotation_files_of_every_store_type_loads_no_client(tmp_path: Path) -> None:
    """What a Dag file reads at parse time costs no store's client."""
    files = []
    for page in sorted((ROOT / "docs" / "stores").glob("*.md")):
        if page.stem == "index":
            continue
        text = next(param.values[0] for param in blocks("yaml", [page]) if "webhooks:" in str(param.values[0]))
        files.append(tmp_path / f"{page.stem}.yaml")
        files[-1].write_text(str(text))
    assert {path.stem for path in files} == set(BUILT_IN)
    script = (
        "import sys; from featurebase_provider.config import load_rotation_config\n"
        "for path in sys.argv[1:]: load_rotation_config(path)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *files], check=True, capture_output=True, text=True)
    loaded = [name for name in done.stdout.split() if any(name == one or name.startswith(f"{one}.") for one in CLIENTS)]
    assert loaded == []


@pytest.mark.parametrize("text", blocks("python", DAG_PAGES))
def test_every_dag_file_can_be_built(text: str, tmp_path: Path) -> None:
    """With the rotation file that the README shows."""
    rotation_file = tmp_path / "rotation.yaml"
    rotation_file.write_text(blocks("yaml", [ROOT / "README.md"])[0].values[0])
    path = tmp_path / "dag_file.py"
    path.write_text(f"{text}\nassert dag.tasks\n")
    env = {**os.environ, "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(rotation_file)}
    subprocess.run([sys.executable, path], check=True, timeout=300, env=env)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_images_exist(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in target]
    missing = [
        target for target in targets if target[0] != "#" and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("text", [one for one in blocks("", [START]) if "--constraint" in one.values[0]])
def test_the_first_page_installs_a_checkout(text: str, tmp_path: Path) -> None:
    """Into a bare environment. uv finds all that is needed under the constraints; pip, which takes long, only ours."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("provider", "constraints"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    new, tools = tmp_path / "new", Path(sys.executable).parent
    subprocess.run([tools / "uv", "venv", "--quiet", "--seed", "--python", sys.executable, new], check=True)
    assert (new / "bin" / "pip").exists()
    env = {**os.environ, "VIRTUAL_ENV": str(new), "PATH": f"{new / 'bin'}:{tools}:{os.environ['PATH']}"}
    text = re.sub(r"^pip install", "pip install --no-deps", text, flags=re.MULTILINE)
    subprocess.run(["sh", "-euc", text], cwd=tmp_path, env=env, check=True, timeout=600)
    assert (new / "bin" / "featurebase-sandbox").exists()


def test_the_commands_of_the_readme_are_make_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    assert {first or second for first, second in named} <= targets


@pytest.mark.parametrize("type_name", sorted(BUILT_IN))
def test_every_store_has_a_page(type_name: str) -> None:
    assert (ROOT / "docs" / "stores" / f"{type_name}.md").read_text().startswith("# ")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_each_release_keeps_its_pages(tmp_path: Path) -> None:
    """The newest first; a release that is built again replaces its own pages only."""
    for version, text in (("0.9.0", "old"), ("0.10.0", "new"), ("0.9.0", "built again")):
        built = tmp_path / "built"
        (built / "docs").mkdir(parents=True, exist_ok=True)
        (built / "docs" / "index.html").write_text(text)
        (tmp_path / "site").mkdir(exist_ok=True)
        command = [ROOT / "scripts" / "add_docs_version.sh", built, tmp_path / "site", version]
        subprocess.run(command, check=True)
    assert (tmp_path / "site" / "0.9.0" / "docs" / "index.html").read_text() == "built again"
    listed = re.findall(r'href="([^"]+)"', (tmp_path / "site" / "index.html").read_text())
    assert listed == ["0.10.0/docs/index.html", "0.9.0/docs/index.html"]
