"""Makes Dags from the rotation file. Names are imported on first use, so a Dag file loads only what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurebase_provider.late import names_of

if TYPE_CHECKING:
    from featurebase_provider.dag_factory.audit import audit_dag
    from featurebase_provider.dag_factory.emergency import emergency_rotation_dag
    from featurebase_provider.dag_factory.rotation import rotation_dag, rotation_dags, rotation_task_group

__all__ = ["audit_dag", "emergency_rotation_dag", "rotation_dag", "rotation_dags", "rotation_task_group"]

if not TYPE_CHECKING:  # or type checkers would accept any name
    __getattr__ = names_of(
        __name__,
        {
            "audit_dag": f"{__name__}.audit",
            "emergency_rotation_dag": f"{__name__}.emergency",
            "rotation_dag": f"{__name__}.rotation",
            "rotation_dags": f"{__name__}.rotation",
            "rotation_task_group": f"{__name__}.rotation",
        },
    )
