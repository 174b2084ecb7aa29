"""Fills a metadata database with deferred tasks, as Airflow leaves them for its triggerer.

Usage: python -m dev.bench.deferred < JOB, in the environment of the Airflow that it is for.

The job is JSON: ``connection`` (its fields), ``triggers`` (class paths and arguments).
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pendulum
from airflow.configuration import conf

CONN_ID = "featurebase_default"
DAG_ID = "deferred"
DAG_FILE = """\
# An Airflow Dag
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG({dag_id!r}, schedule=None) as dag:
    for number in range({tasks}):
        EmptyOperator(task_id=f"wait_{{number}}")
"""
BUNDLE = "dags-folder"


def main() -> int:
    """Make the connection, a Dag run, and its deferred tasks."""
    job: dict[str, Any] = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    _connect(job["connection"])
    _defer(_known_dag(len(job["triggers"])), job["triggers"])
    return 0


def _connect(fields: dict[str, Any]) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id=CONN_ID, **fields))


def _known_dag(tasks: int) -> Any:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.serialization.serialized_objects import DagSerialization

    folder = Path(conf.get_mandatory_value("core", "dags_folder"))
    folder.mkdir(exist_ok=True)
    file = folder / f"{DAG_ID}.py"
    file.write_text(DAG_FILE.format(dag_id=DAG_ID, tasks=tasks))
    bag = BundleDagBag(dag_folder=file, bundle_path=folder, bundle_name=BUNDLE)
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, BUNDLE, None)
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(bag.dags[DAG_ID]))


def _defer(dag: Any, triggers: list[tuple[str, dict[str, Any]]]) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:
        run = dag.create_dagrun(
            run_id="manual__1",
            run_after=pendulum.now("UTC"),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state="running",
            start_date=pendulum.now("UTC"),
            session=session,
        )
        session.flush()
        found = session.query(TaskInstance).filter_by(dag_id=DAG_ID, run_id=run.run_id)
        for ti, (path, arguments) in zip(found, triggers, strict=True):
            module, _, name = path.rpartition(".")
            trigger = Trigger.from_object(getattr(import_module(module), name)(**arguments))
            session.add(trigger)
            session.flush()
            ti.state, ti.trigger_id, ti.try_number = TaskInstanceState.DEFERRED, trigger.id, 1
            ti.start_date = pendulum.now("UTC")


if __name__ == "__main__":
    sys.exit(main())
