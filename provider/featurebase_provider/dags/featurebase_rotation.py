"""One Airflow Dag per webhook of the rotation file ([featurebase] rotation_config)."""

# Airflow's Dag processor loads the modules of Airflow that a Dag file names once, not at each parse.
import airflow.sdk.bases.operatorlink
import airflow.sdk.bases.sensor  # noqa: F401

from featurebase_provider.dag_factory import rotation_dags

for dag in rotation_dags():
    globals()[dag.dag_id] = dag
