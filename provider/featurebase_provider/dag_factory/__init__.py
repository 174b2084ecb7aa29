"""Makes Dags from the rotation file."""

from featurebase_provider.dag_factory.audit import audit_dag
from featurebase_provider.dag_factory.emergency import emergency_rotation_dag
from featurebase_provider.dag_factory.rotation import rotation_dag, rotation_dags, rotation_task_group

__all__ = ["audit_dag", "emergency_rotation_dag", "rotation_dag", "rotation_dags", "rotation_task_group"]
