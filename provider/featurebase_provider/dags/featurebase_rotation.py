"""One Airflow Dag per webhook of the rotation file ([featurebase] rotation_config)."""

from featurebase_provider.dag_factory import rotation_dags

for dag in rotation_dags():
    globals()[dag.dag_id] = dag
