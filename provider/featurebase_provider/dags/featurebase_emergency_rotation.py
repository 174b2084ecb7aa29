"""The Airflow Dag for signing secrets that have leaked ([featurebase] rotation_config)."""

# Airflow's Dag processor loads the modules of Airflow that a Dag file names once, not at each parse.
import airflow.sdk.bases.operatorlink
import airflow.sdk.definitions.decorators  # noqa: F401

from featurebase_provider.dag_factory import emergency_rotation_dag

dag = emergency_rotation_dag()
