"""The name by which Airflow knows the host of a component (``[core] hostname_callable``)."""

from __future__ import annotations

import os

VARIABLE = "FEATUREBASE_CLUSTER_HOST"


def name() -> str:
    """The host's name, as the cluster set it; all hosts are one machine here."""
    return os.environ[VARIABLE]
