"""The soak's short form: few rotations with faults, deaths and events, and two months; nothing broken.

The same with pairs: nothing is refused or lost, and the stores are drained.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMBINATIONS = 4
NONE = ("rotations", "months", "airflow-rotations", "pair-rotations", "pair-months")
SHORT = ["--seed", "39", "--webhooks", "2", "--at-once", str(COMBINATIONS), *(f"--{part}=0" for part in NONE)]


def soak(output: Path, *options: str) -> dict[str, Any]:
    """Exit status 0 says: no loss where none may be, stores agree with Featurebase, each refresh has a reason."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.soak", *SHORT, *options, "--limit", "280", "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=320,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    facts: dict[str, Any] = json.loads(output.read_text())
    return facts


@pytest.mark.airflow
def test_short_soak_finds_nothing_broken(tmp_path: Path) -> None:
    parts = soak(tmp_path / "soak.json", "--rotations", "4", "--speed", "3600")["core"]
    assert [part["rotations"] for part in parts] == [4] * COMBINATIONS
    assert all(part["emitted"] == part["accepted"] + part["lost"] > 100 for part in parts)
    assert any(part["faults"] for part in parts)
    assert any(part["kills"] for part in parts)


@pytest.mark.airflow
def test_month_after_the_first_keeps_the_previous_secret_too(tmp_path: Path) -> None:
    """The shortest calendar in which a webhook is rotated a second time, a month later."""
    parts = soak(tmp_path / "soak.json", "--months", "1.1")["calendar"]
    assert [part["rotations"] for part in parts] == [{"on schedule": 2, "triggered": 1}] * COMBINATIONS
    assert [part["previous_kept_through_retries"] for part in parts] == [3, 3, 0, 0]
    assert [part["previous_dropped"] for part in parts] == [3, 3, 0, 0]
    assert all(part["days"] > 31 for part in parts)
    assert parts[1]["accepted_with_replaced"] >= 3
    assert parts[0]["lost"] == parts[1]["lost"] == parts[2]["lost"] == 0


@pytest.mark.airflow
def test_short_soak_of_pairs_refuses_and_loses_nothing(tmp_path: Path) -> None:
    parts = soak(tmp_path / "soak.json", "--pairs", "2", "--pair-rotations", "2", "--events", "8")["pair"]
    assert [part["rotations"] for part in parts] == [2] * COMBINATIONS
    assert [(part["refused"], part["lost"]) for part in parts] == [(0, 0)] * COMBINATIONS
    assert all(part["accepted"] > 50 for part in parts)
    assert all(part["changes"] and part["writes"] for part in parts)
    assert any(part["faults"] for part in parts)


@pytest.mark.airflow
def test_a_month_with_pairs_goes_back_once_and_drains_the_stores(tmp_path: Path) -> None:
    parts = soak(tmp_path / "soak.json", "--pair-months", "0.9")["pair calendar"]
    for part in parts:
        assert part["rotations"] == {"on schedule": 1, "triggered, then reverted": 1}
        assert (part["both_kept_through_retries"], part["drained"]) == (2, 2)
        assert (part["refused"], part["lost"]) == (0, 0)
        assert part["healed"].keys() == {"drain_overdue"}
    assert parts[1]["accepted_while_paused"] > 0, "a paused webhook goes on with its retries"
