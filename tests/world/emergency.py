"""The emergency Dag as tests use it: over webhooks of their own, with short waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow.sdk import DAG

    from tests.world.in_process_airflow import InProcessAirflow

ALL = {"webhooks": ["all"]}
DAG_FILE = """\
# An Airflow Dag
import json
from datetime import timedelta
from featurebase_provider.dag_factory import emergency_rotation_dag

soon = timedelta(seconds=0.1)
dag = emergency_rotation_dag(
    {source}, retries={retries}, retry_delay=soon, push_retries={push_retries},
    push_retry_delay=soon, max_retry_delay=soon,
)
"""


def load(
    airflow: InProcessAirflow,
    *entries: Mapping[str, Any],
    retries: int = 0,
    push_retries: int = 0,
    rotation_file: Path | None = None,
) -> DAG:
    """The emergency Dag over these rotation file entries.

    :param rotation_file: where to write them first, for entries that are wrong.
    """
    source = f"webhooks=json.loads({json.dumps(entries)!r})"
    if rotation_file is not None:
        rotation_file.write_text(json.dumps({"webhooks": entries}))  # JSON is YAML
        source = repr(str(rotation_file))
    text = DAG_FILE.format(source=source, retries=retries, push_retries=push_retries)
    return airflow.load_file("emergency", text)["featurebase_emergency_rotation"]
