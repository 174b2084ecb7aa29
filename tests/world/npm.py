"""Packages from npm, for tests that ask what programs in Node see."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

KEPT = Path(__file__).parents[2] / ".pytest_cache" / "npm"


def missing(what: str) -> NoReturn:
    """Skip, but not where all tests are meant to run."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def installed(source: Path) -> Path:
    """A folder with the scripts of ``source`` and the packages that its ``package.json`` names; kept between runs."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        missing("Node.js (node and npm) is not installed")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")  # two installing into one folder break each other
    folder = KEPT / f"{source.name}_{worker}"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = (source / "package.json").read_text()
    done = folder / "installed.json"
    if not done.exists() or done.read_text() != manifest:
        (folder / "package.json").write_text(manifest)
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        if subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180).returncode:
            missing(f"npm could not install what {source.name} needs")
        done.write_text(manifest)
    for script in source.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder
