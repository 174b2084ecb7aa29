"""``make demo`` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.airflow
def test_the_demo_rotates_and_loses_nothing() -> None:
    """It exits with 0 only if the secret was rotated, is in all stores, and every event was accepted."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.demo"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " 0 lost." in done.stdout
    assert "rotated (answered)" in done.stdout


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
