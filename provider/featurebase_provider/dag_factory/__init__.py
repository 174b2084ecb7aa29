"""Makes Dags from the rotation file."""

from featurebase_provider.dag_factory.rotation import rotation_dag, rotation_dags, rotation_task_group

__all__ = ["rotation_dag", "rotation_dags", "rotation_task_group"]
