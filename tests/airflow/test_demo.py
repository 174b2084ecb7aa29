"""``make demo`` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.airflow
def test_the_demo_rotates_by_both_strategies_and_loses_nothing() -> None:
    """It exits with 0 only if both secrets were rotated and are in all stores, every event was accepted, and no
    delivery was refused with overlap."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.demo"], cwd=ROOT, capture_output=True, text=True, timeout=420, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count(" 0 lost.") == 2
    assert done.stdout.count("rotated (answered)") == 2
    rows = {cells[1].strip(): cells[2:4] for line in done.stdout.splitlines() if len(cells := line.split("│")) == 5}
    refresh, overlap = (cell.strip() for cell in rows["deliveries refused"])
    assert int(refresh) >= 0
    assert int(overlap) == 0
    assert int(rows["duplicates"][1]) > 0, "events flowed while both webhooks were active"
    assert rows["exposure"][1].strip().startswith("0 (accepted ")


@pytest.mark.airflow
def test_a_demo_that_cannot_start_says_which_log_to_read(tmp_path: Path) -> None:
    """A Python without Airflow stands for whatever goes wrong at the start."""
    broken = tmp_path / "airflow.py"
    broken.write_text("raise SystemExit('no Airflow here')\n")
    script = (
        f"import sys; sys.argv = ['demo']; sys.path.insert(0, {str(ROOT)!r})\n"
        "import dev.demo.__main__ as demo, dev.airflow.local_airflow as local\n"
        f"local.LocalAirflow._command = lambda self, *arguments: [sys.executable, {str(broken)!r}]\n"
        "sys.exit(demo.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "migrate.log" in done.stdout.replace("\n", "")
