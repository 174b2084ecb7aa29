"""The Airflow Dag for signing secrets that have leaked ([featurebase] rotation_config)."""

from featurebase_provider.dag_factory import emergency_rotation_dag

dag = emergency_rotation_dag()
