"""Marks that a person sets in Airflow's UI on a Dag run or on one of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.world.in_process_airflow import Run


def mark_run(run: Run, state: str) -> None:
    """Mark a run ``failed`` or ``success``; what Airflow leaves to be run is run by ``go_on``."""
    from airflow.api.common import mark_tasks
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.session import create_session

    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(run.dag))
    with create_session() as session:
        mark = getattr(mark_tasks, f"set_dag_run_state_to_{state}")
        mark(dag=dag, run_id=run.run_id, commit=True, session=session)


def mark_task(run: Run, task_id: str, state: str) -> None:
    """Mark a task that is not mapped, whatever its state is."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(TaskInstance).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id, task_id=task_id).one()
        found.set_state(state, session=session)
