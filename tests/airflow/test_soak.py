"""The soak's short form: few rotations in each combination, with faults, deaths and events, and nothing broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--seed", "39", "--rotations", "4", "--webhooks", "2", "--at-once", "4", "--airflow-rotations", "0"]


@pytest.mark.airflow
def test_short_soak_finds_nothing_broken(tmp_path: Path) -> None:
    """Exit status 0 says: no loss where none may be, stores agree with Featurebase, each refresh has a reason."""
    output = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, "-m", "soak", *SHORT, "--speed", "3600", "--limit", "280", "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=320,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    parts = json.loads(output.read_text())["core"]
    assert [part["rotations"] for part in parts] == [4, 4, 4, 4]
    assert all(part["emitted"] == part["accepted"] + part["lost"] > 100 for part in parts)
    assert any(part["faults"] for part in parts)
    assert any(part["kills"] for part in parts)
