"""The Airflow Dag that audits all webhooks of the rotation file ([featurebase] rotation_config)."""

# Airflow's Dag processor loads the modules of Airflow that a Dag file names once, not at each parse.
import airflow.providers.standard.operators.empty
import airflow.providers.standard.operators.trigger_dagrun
import airflow.sdk.bases.sensor
import airflow.sdk.definitions.decorators  # noqa: F401

from featurebase_provider.dag_factory import audit_dag

dag = audit_dag()
