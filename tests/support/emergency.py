"""The emergency Dag as tests use it: over webhooks of their own, with short waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import DAG

    from tests.support.in_process_airflow import InProcessAirflow

ALL = {"webhooks": ["all"]}
DAG_FILE = """\
# An Airflow Dag
import json
from datetime import timedelta
from featurebase_provider.dag_factory import emergency_rotation_dag

soon = timedelta(seconds=0.1)
dag = emergency_rotation_dag(
    webhooks=json.loads({entries!r}), retries={retries}, retry_delay=soon, push_retries={push_retries},
    push_retry_delay=soon, max_retry_delay=soon,
)
"""


def load(airflow: InProcessAirflow, *entries: Mapping[str, Any], retries: int = 0, push_retries: int = 0) -> DAG:
    """The emergency Dag over these rotation file entries."""
    text = DAG_FILE.format(entries=json.dumps(entries), retries=retries, push_retries=push_retries)
    return airflow.load_file("emergency", text)["featurebase_emergency_rotation"]
