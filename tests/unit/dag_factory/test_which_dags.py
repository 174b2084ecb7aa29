"""What is built where Airflow parses the files for all Dags, and for the sake of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featurebase_provider.dag_factory import audit_dag, emergency_rotation_dag, rotation_dags

PRODUCTION, STAGING = "featurebase_rotate__production", "featurebase_rotate__staging"
AUDIT, EMERGENCY = "featurebase_audit", "featurebase_emergency_rotation"


def built(path: Path | None = None) -> list[str]:
    dags: list[Any] = [*rotation_dags(path), audit_dag(path), emergency_rotation_dag(path)]
    return [dag.dag_id for dag in dags if dag is not None]


def test_all(rotation_file: Path) -> None:
    assert built(rotation_file) == [PRODUCTION, STAGING, AUDIT, EMERGENCY]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (STAGING, [STAGING]),
        ("featurebase_rotate__gone", []),
        (AUDIT, [AUDIT]),
        (EMERGENCY, [EMERGENCY]),
        ("somebodys_own", [PRODUCTION, STAGING, AUDIT, EMERGENCY]),
    ],
)
def test_one(rotation_file: Path, parsing_for: Callable[[str], None], wanted: str, found: list[str]) -> None:
    """A Dag of somebody's own may have been made of any of them."""
    parsing_for(wanted)
    assert built(rotation_file) == found


def test_each_dag_knows_the_other_entries_of_the_file(rotation_file: Path) -> None:
    """A run stops where one of them means its webhook too."""
    production, staging = (dag.get_task("preflight").others for dag in rotation_dags(rotation_file))
    assert [one.name for one in production] == ["staging"]
    assert [one.name for one in staging] == ["production"]


def test_airflows_setting_names_the_file(rotation_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FEATUREBASE__ROTATION_CONFIG", str(rotation_file))
    assert built() == [PRODUCTION, STAGING, AUDIT, EMERGENCY]
