"""The Airflow Dag that audits all webhooks of the rotation file ([featurebase] rotation_config)."""

from featurebase_provider.dag_factory import audit_dag

dag = audit_dag()
