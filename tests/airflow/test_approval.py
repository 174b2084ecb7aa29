"""A rotation that waits for an approval, in a real Airflow with all its daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.world.approving import ApprovingAirflow, check_approvals

if TYPE_CHECKING:
    from pathlib import Path


def test_a_rotation_waits_for_somebody(tmp_path: Path) -> None:
    with ApprovingAirflow(tmp_path) as airflow:
        check_approvals(airflow)
