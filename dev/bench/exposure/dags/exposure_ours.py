"""Ours: the operator that a Dag of the rotation file has, with the same path from the refresh to the stores."""

from __future__ import annotations

from airflow.sdk import DAG

from dev.bench.exposure.places import KEY, VAULT_MOUNT, places_of
from featurebase_provider.operators.rotate import RotateWebhookSecretOperator

for place in places_of("ours"):
    with DAG(place.dag_id, schedule=None, max_active_runs=1) as dag:
        RotateWebhookSecretOperator(
            task_id="rotate",
            webhook_id=place.webhook_id,
            featurebase_conn_id=place.conn_id("featurebase"),
            stores=[
                {"type": "airflow_variable", "name": place.dag_id},
                {"type": "object_storage", "path": f"file://{place.file}", "format": "dotenv", "key": KEY},
                {
                    "type": "hashicorp_vault",
                    "conn_id": place.conn_id("vault"),
                    "mount": VAULT_MOUNT,
                    "path": place.dag_id,
                    "key": KEY,
                    "kv_version": 2,
                },
                {"type": "aws_secrets_manager", "conn_id": place.conn_id("aws"), "name": place.dag_id},
                {"type": "aws_ssm", "conn_id": place.conn_id("aws"), "name": place.parameter},
            ],
        )
    globals()[dag.dag_id] = dag
