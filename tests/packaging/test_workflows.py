"""What the workflows may do, and that what they run is there. `make lint` has zizmor look at them besides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = "release.yml"


def jobs(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return parsed


def writes(job: dict[str, Any]) -> set[str]:
    return {name for name, level in job["permissions"].items() if level == "write"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_full_commit_and_names_its_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, rest in used:
        if action.startswith("$/"):
            assert (ROOT / action.removeprefix("$/")).is_file()
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", rest), action


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_allowed_but_what_a_job_asks_for(path: Path) -> None:
    """And a checkout leaves no credentials behind for what runs after it."""
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    for job in jobs(path).values():
        assert job["permissions"]
        for step in job.get("steps", []):
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_run_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    run = [step["run"] for job in jobs(path).values() for step in job.get("steps", []) if "run" in step]
    text = "\n".join(run)
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    assert all((ROOT / name).is_file() for name in re.findall(r"(?:scripts|\.ci)/\S+?(?=\)|\s|$)", text))


def test_a_release_is_tested_built_attested_and_then_published() -> None:
    """What can sign runs nothing of this repository; what is published is what was attested."""
    release = jobs(ROOT / ".github" / "workflows" / RELEASE)
    assert list(release) == ["test", "build", "attest", "publish", "docs", "pages"]
    assert [job.get("needs") for job in release.values()] == [
        *(None, "test", "build", "attest"),
        *("test", ["publish", "docs"]),
    ]
    assert [writes(job) for job in release.values()] == [
        set(),
        set(),
        {"attestations", "id-token"},
        {"id-token"},
        set(),
        {"contents"},
    ]
    for name in ("attest", "publish"):
        assert [step["uses"].partition("@")[0] for step in release[name]["steps"]][0] == "actions/download-artifact"
        assert not any("run" in step for step in release[name]["steps"])
    assert release["publish"]["environment"] == "release"


def test_no_token_is_kept() -> None:
    assert not any("secrets." in path.read_text() for path in FILES)
