"""What README and docs show can be used as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from featurebase_provider.config import load_rotation_config
from featurebase_provider.stores.registry import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str, pages: list[Path]) -> list[Any]:
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}:{number}")
        for page in pages
        for number, text in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL), 1)
    ]


@pytest.mark.parametrize("text", blocks("yaml", PAGES))
def test_every_rotation_file_loads(text: str, tmp_path: Path) -> None:
    """A block is a whole rotation file, or the ``stores:`` of a webhook; other kinds of YAML are not ours."""
    shown = yaml.safe_load(text)
    if "stores" in shown:
        shown = {"webhooks": [{"name": "production", "webhook_id": "5" * 24, **shown}]}
        text = yaml.safe_dump(shown)
    elif "webhooks" not in shown:
        pytest.skip("no rotation file")
    path = tmp_path / "rotation.yaml"
    path.write_text(text)
    assert load_rotation_config(path).webhooks


@pytest.mark.parametrize("text", blocks("python", [ROOT / "README.md"]))
def test_every_dag_of_the_readme_can_be_built(text: str, tmp_path: Path) -> None:
    path = tmp_path / "dag_file.py"
    path.write_text(f"{text}\nassert dag.tasks\n")
    subprocess.run([sys.executable, path], check=True, timeout=120)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_images_exist(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in target]
    missing = [
        target for target in targets if target[0] != "#" and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert missing == []


def test_the_commands_of_the_readme_are_make_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    assert {first or second for first, second in named} <= targets


@pytest.mark.parametrize("type_name", sorted(BUILT_IN))
def test_every_store_has_a_page(type_name: str) -> None:
    assert (ROOT / "docs" / "stores" / f"{type_name}.md").read_text().startswith("# ")
