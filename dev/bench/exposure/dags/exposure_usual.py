"""The Dag that people write: the HttpOperator, the secret as XCom, and a task for each store, all at once.

It is no example to follow: the secret lies in Airflow's database, and no task knows whether it may refresh.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG, Variable, task

from dev.bench.exposure.places import KEY, VAULT_MOUNT, places_of

# Each push returns the time at which its store had answered. Hooks are imported where they are used: at the top of the
# file each task would load all of them.


@task(task_id="airflow_variable")
def push_variable(secret: str, name: str) -> float:
    """Set the Variable."""
    Variable.set(name, secret)
    return time.monotonic()


@task(task_id="object_storage")
def push_file(secret: str, path: str) -> float:
    """Replace the file."""
    new = Path(f"{path}.new")
    new.write_text(f"{KEY}={secret}\n")
    os.replace(new, path)
    return time.monotonic()


@task(task_id="hashicorp_vault")
def push_vault(secret: str, conn_id: str, path: str) -> float:
    """Write the secret's next version."""
    from airflow.providers.hashicorp.hooks.vault import VaultHook

    client = VaultHook(vault_conn_id=conn_id).get_conn()
    client.secrets.kv.v2.create_or_update_secret(path, {KEY: secret}, mount_point=VAULT_MOUNT)
    return time.monotonic()


@task(task_id="aws_secrets_manager")
def push_secrets_manager(secret: str, conn_id: str, name: str) -> float:
    """Put the secret's next version, which AWS makes current."""
    from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook

    SecretsManagerHook(aws_conn_id=conn_id).get_conn().put_secret_value(SecretId=name, SecretString=secret)
    return time.monotonic()


@task(task_id="aws_ssm")
def push_ssm(secret: str, conn_id: str, name: str) -> float:
    """Overwrite the parameter."""
    from airflow.providers.amazon.aws.hooks.ssm import SsmHook

    SsmHook(aws_conn_id=conn_id).get_conn().put_parameter(Name=name, Value=secret, Type="SecureString", Overwrite=True)
    return time.monotonic()


for place in places_of("usual"):
    with DAG(place.dag_id, schedule=None, max_active_runs=1) as dag:
        secret = HttpOperator(
            task_id="refresh",
            http_conn_id=place.conn_id("http"),
            endpoint=f"/v2/webhooks/{place.webhook_id}/secret",
            method="POST",
            response_filter=lambda response: response.json()["secret"],
        ).output
        push_variable(secret, place.dag_id)
        push_file(secret, place.file)
        push_vault(secret, place.conn_id("vault"), place.dag_id)
        push_secrets_manager(secret, place.conn_id("aws"), place.dag_id)
        push_ssm(secret, place.conn_id("aws"), place.parameter)
    globals()[dag.dag_id] = dag
