"""The Dag that people write: refresh the secret, hand it on by XCom, write every place in parallel. It proves nothing.

:mod:`dev.bench.dag_run` copies it into the Dags folder of an Airflow of its own, and sets the environment variables.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG, Variable, task

with DAG("usual_rotation", schedule=None, max_active_runs=1):
    refresh = HttpOperator(
        task_id="refresh",
        http_conn_id="featurebase_http",
        endpoint=f"/v2/webhooks/{os.environ['FEATUREBASE_BENCH_WEBHOOK_ID']}/secret",
        headers={"Featurebase-Version": "2026-01-01.nova"},
        response_filter=lambda response: response.json()["secret"],
    )

    @task
    def push_variable(secret: str) -> None:
        """Set a Variable."""
        Variable.set("usual_signing_secret", secret)

    @task
    def push_file(secret: str) -> None:
        """Replace a file, as one write."""
        path = Path(os.environ["FEATUREBASE_BENCH_SECRET_FILE"])
        fresh = path.with_suffix(".new")
        fresh.write_text(f"FEATUREBASE_WEBHOOK_SECRET={secret}\n")
        fresh.replace(path)

    push_variable(refresh.output)  # type: ignore[arg-type]
    push_file(refresh.output)  # type: ignore[arg-type]
