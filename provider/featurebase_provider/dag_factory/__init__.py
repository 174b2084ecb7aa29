"""Makes Dags from the rotation file. Names are imported on first use, so a Dag file loads only what it needs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurebase_provider.dag_factory.audit import audit_dag
    from featurebase_provider.dag_factory.emergency import emergency_rotation_dag
    from featurebase_provider.dag_factory.rotation import rotation_dag, rotation_dags, rotation_task_group

__all__ = ["audit_dag", "emergency_rotation_dag", "rotation_dag", "rotation_dags", "rotation_task_group"]

_HOMES = {
    "audit_dag": "audit",
    "emergency_rotation_dag": "emergency",
    "rotation_dag": "rotation",
    "rotation_dags": "rotation",
    "rotation_task_group": "rotation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
