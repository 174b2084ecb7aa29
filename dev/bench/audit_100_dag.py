"""An Airflow Dag file with the audit of a rotation file of its own; :mod:`dev.bench.api_calls` writes that file."""

import os

from featurebase_provider.dag_factory import audit_dag

dag = audit_dag(os.environ["FEATUREBASE_BENCH_AUDIT_FILE"])
