"""Airflow's ``DagBag``, and no more: what a Dag processor has imported before it parses."""

from __future__ import annotations

# The plain import of the SDK comes first: what it loads is Airflow's own doing.
import airflow.sdk.bases.operator  # noqa: F401

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before 3.2
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

__all__ = ["DagBag"]
