"""Runs Dag runs without Airflow's daemons, as ``airflow dags test`` does, and keeps them for a second run.

Everything but the daemons is real: the metadata database, the scheduler's own decisions, Airflow's Execution API
behind each task (connections, Variables, XCom, asset events, state), deferral and retries. Tasks and triggers run
in this process, one after the other, which takes a fraction of a second each.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pendulum

from featurebase_provider.sensors import webhook_delivery_health as sensor
from featurebase_provider.triggers import pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from airflow.sdk import DAG

BUNDLE = "dags-folder"
DAG_FILE = """\
# Airflow looks into files only that name both airflow and a dag.
import json
from featurebase_provider.dag_factory import rotation_dag

dag = rotation_dag(json.loads({entry!r}))
"""


@dataclass
class Run:
    """A Dag run as it ended. A task of a mapped task group goes by ``task_id[map_index]``.

    :param errors: what each failed try raised, by task id.
    """

    dag: DAG
    run_id: str
    state: str = ""
    states: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    xcoms: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def report(self) -> dict[str, Any]:
        """What the report task left."""
        return dict(self.xcoms["report"])

    def error(self, task_id: str) -> str:
        """The message with which a task's last try failed."""
        return self.errors[task_id][-1]


class InProcessAirflow:
    """One metadata database, migrated here.

    :param home: ``AIRFLOW_HOME``, which must be set before Airflow is imported.
    """

    def __init__(self, home: Path) -> None:
        from airflow.utils.db import initdb

        self._folder = home / "dags"
        self._folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Airflow's own server imports a module that warns
            import airflow.api_fastapi.execution_api.app  # noqa: F401
        initdb()
        _give_triggers_a_channel()

    def connect(self, conn_id: str, **fields: Any) -> None:
        """Make a Featurebase connection, in place of an earlier one of this id."""
        from airflow.models import Connection
        from airflow.utils.session import create_session

        with create_session() as session:
            session.query(Connection).filter_by(conn_id=conn_id).delete()
            session.add(Connection(conn_id=conn_id, conn_type="featurebase", **fields))

    def disconnect(self, conn_id: str) -> None:
        """Take a connection away, as somebody does in the UI."""
        from airflow.models import Connection
        from airflow.utils.session import create_session

        with create_session() as session:
            session.query(Connection).filter_by(conn_id=conn_id).delete()

    def set_variable(self, key: str, value: str, description: str | None = None) -> None:
        """Set a Variable, as somebody does in the UI."""
        from airflow.models import Variable

        Variable.set(key, value, description=description)

    def variable(self, key: str) -> Any:
        """The Variable's row, or None."""
        from airflow.models import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            return session.query(Variable).filter_by(key=key).one_or_none()

    def variables(self, prefix: str) -> dict[str, str]:
        """The Variables whose keys begin so."""
        from airflow.models import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(Variable).filter(Variable.key.startswith(prefix, autoescape=True))
            return {row.key: row.val for row in found}

    def delete_variable(self, key: str) -> None:
        """Delete a Variable, as somebody does in the UI."""
        from airflow.models import Variable

        Variable.delete(key)

    def raw_variable(self, key: str) -> str:
        """A Variable's value as the database has it."""
        from airflow.models import Variable
        from airflow.utils.session import create_session

        with create_session() as session:
            return str(session.query(Variable).filter_by(key=key).one()._val)

    def spoil_variable(self, key: str) -> None:
        """Make a Variable that today's Fernet key can't decrypt."""
        from airflow.models import Variable
        from airflow.utils.session import create_session

        self.set_variable(key, "{}")
        with create_session() as session:
            session.query(Variable).filter_by(key=key).update({"_val": "gAAAAABof-another-key", "is_encrypted": True})

    def purge(self) -> None:
        """Delete all asset events and XComs, as ``airflow db clean`` does."""
        from airflow.models.asset import AssetEvent
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            session.query(XComModel).delete()
            for event in session.query(AssetEvent):
                session.delete(event)

    def delete(self, run: Run) -> None:
        """Delete a Dag run with all that belongs to it, as the UI does."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with warnings.catch_warnings(), create_session() as session:
            warnings.simplefilter("ignore")  # the ORM's, of a Dag that was loaded more than once
            session.delete(session.query(DagRun).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id).one())

    def consume_without_a_start(self, uri: str) -> None:
        """Make a Dag run that an asset's newest event triggered, and that never began."""
        from airflow.models.asset import AssetEvent, AssetModel
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        text = (
            "# An Airflow Dag\nfrom airflow.sdk import DAG\n\nwith DAG('consumer', schedule=None) as dag:\n    pass\n"
        )
        dag = self.load_file("consumer", text)["consumer"]
        with create_session() as session:
            made = _scheduler_dag(dag).create_dagrun(
                run_id=f"asset_triggered__{pendulum.now('UTC').isoformat()}",
                run_after=pendulum.now("UTC"),
                run_type=DagRunType.ASSET_TRIGGERED,
                triggered_by=DagRunTriggeredByType.ASSET,
                state="queued",
                session=session,
            )
            found = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            event = found.filter(AssetModel.uri == uri).order_by(AssetEvent.id.desc()).first()
            assert event is not None, f"{uri} has no event"
            made = session.merge(made)
            made.start_date = None
            made.consumed_asset_events.append(event)

    def asset_events(self, uri: str) -> list[dict[str, Any]]:
        """The ``extra`` of each event of an asset, oldest first."""
        from airflow.models.asset import AssetEvent, AssetModel
        from airflow.utils.session import create_session

        with create_session() as session:
            found = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            return [dict(event.extra) for event in found.filter(AssetModel.uri == uri).order_by(AssetEvent.id)]

    def load(self, entry: Mapping[str, Any]) -> DAG:
        """Make the Dag of one rotation file entry known to Airflow, parsed from a Dag file.

        :raises AssertionError: it does not load.
        """
        text = DAG_FILE.format(entry=json.dumps(entry))
        return self.load_file(entry["name"], text)[f"featurebase_rotate__{entry['name']}"]

    def load_rotation_file(self, name: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, DAG]:
        """Make the Dags of a whole rotation file known to Airflow.

        :raises AssertionError: they do not load.
        """
        path = self._folder / f"{name}.yaml"
        path.write_text(json.dumps({"webhooks": list(entries)}))  # JSON is YAML
        text = "# An Airflow Dag\nfrom featurebase_provider.dag_factory import rotation_dags\n"
        text += f"for dag in rotation_dags({str(path)!r}):\n    globals()[dag.dag_id] = dag\n"
        return self.load_file(name, text)

    def load_file(self, name: str, text: str) -> dict[str, DAG]:
        """Make the Dags of a Dag file known to Airflow.

        :raises AssertionError: it does not load.
        """
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

        dag_file = self._folder / f"{name}.py"
        dag_file.write_text(text)
        bag = BundleDagBag(dag_folder=dag_file, bundle_path=self._folder, bundle_name=BUNDLE)
        assert not bag.import_errors, bag.import_errors
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(bag, BUNDLE, None)
        return dict(bag.dags)

    def start(
        self,
        dag: DAG,
        conf: Mapping[str, Any] | None = None,
        *,
        run_after: datetime | None = None,
        pause_after: str | None = None,
        run_id: str | None = None,
    ) -> Run:
        """Make a Dag run and run it to its end.

        :param run_id: as ``--run-id`` sets it; default: one of its own.
        :param conf: the trigger form.
        :param run_after: makes it a scheduled run that was due then; default: a run by hand.
        :param pause_after: stop when this task has ended; ``go_on`` runs the rest.
        """
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        run_type = DagRunType.MANUAL if run_after is None else DagRunType.SCHEDULED
        due = run_after or pendulum.now("UTC")
        with create_session() as session:
            made = _scheduler_dag(dag).create_dagrun(
                run_id=run_id or f"{run_type.value}__{pendulum.now('UTC').isoformat()}",
                logical_date=run_after,
                data_interval=(run_after, run_after) if run_after else None,
                run_after=due,
                conf=dict(conf or {}),
                run_type=run_type,
                triggered_by=DagRunTriggeredByType.TEST,
                state="running",
                start_date=pendulum.now("UTC"),
                session=session,
            )
            run = Run(dag, made.run_id)
        return self.go_on(run, pause_after=pause_after)

    def clear(self, run: Run, task_ids: Sequence[str] | None = None) -> Run:
        """Clear tasks of a run (all of them by default) and run it to its end again."""
        from airflow.utils.session import create_session

        with create_session() as session:
            _scheduler_dag(run.dag).clear(run_id=run.run_id, task_ids=task_ids, session=session)
        run.errors.clear()
        return self.go_on(run)

    def make_late(self, run: Run, by: timedelta) -> None:
        """Date back when a run was due, as if it had waited so long."""
        from airflow.utils.session import create_session

        with create_session() as session:
            _find(run, session).run_after -= by

    def go_on(
        self,
        run: Run,
        *,
        pause_after: str | None = None,
        until: Callable[[], bool] = lambda: False,
        seconds: float = 600.0,
    ) -> Run:
        """Do what the scheduler would, until the run has ended, or after a task ``until`` holds."""
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState

        give_up = time.monotonic() + seconds
        with create_session() as session:
            found = _find(run, session)
            found.state = DagRunState.RUNNING
            session.commit()
            while found.state == DagRunState.RUNNING:
                states = {_key(ti): ti.state for ti in found.get_task_instances(session=session)}
                assert time.monotonic() < give_up, states
                if not self._step(found, run, session, pause_after):
                    time.sleep(0.05)
                session.expire_all()
                if until() or (pause_after is not None and _has_ended(found, pause_after, session)):
                    break
            run.state = found.state.value if hasattr(found.state, "value") else str(found.state)
            self._gather(found, run, session)
        return run

    def _step(self, found: Any, run: Run, session: Any, pause_after: str | None) -> bool:
        """Run what can run now, up to the task to pause after; False where nothing can."""
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.state import TaskInstanceState

        ready, _ = found.update_state(session=session)
        for ti in ready:
            ti.try_number += 1
            ti.state = TaskInstanceState.SCHEDULED
            session.commit()
            # A deferral costs nothing here, so there is nothing to watch for before it.
            with patch.object(pauses, "SCHEDULER_LAG", 0.0), patch.object(sensor, "WATCHES_FIRST", 0.0):
                result = _run_task(ti=ti, task=run.dag.task_dict[ti.task_id], run_triggerer=True)
            if result is not None and result.error is not None and not _is_skip(result):
                run.errors.setdefault(_key(ti), []).append(str(result.error))
            session.commit()
            if _key(ti) == pause_after:
                break
        return bool(ready)

    def _gather(self, found: Any, run: Run, session: Any) -> None:
        from airflow.models.xcom import XComModel

        for ti in found.get_task_instances(session=session):
            run.states[_key(ti)] = str(ti.state) if ti.state is not None else "none"
            run.tries[_key(ti)] = ti.try_number
        rows = session.query(XComModel).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id, key="return_value")
        run.xcoms = {_key(row): XComModel.deserialize_value(row) for row in rows}


def _key(row: Any) -> str:
    """The id of a task instance or a result, with its place where the task is mapped."""
    return str(row.task_id) if row.map_index < 0 else f"{row.task_id}[{row.map_index}]"


def _find(run: Run, session: Any) -> Any:
    from airflow.models.dagrun import DagRun

    found = session.query(DagRun).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id).one()
    found.dag = _scheduler_dag(run.dag)
    return found


def _scheduler_dag(dag: DAG) -> Any:
    """The Dag as the scheduler knows it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def _has_ended(found: Any, task_id: str, session: Any) -> bool:
    from airflow.utils.state import State

    return any(_key(ti) == task_id and ti.state in State.finished for ti in found.get_task_instances(session=session))


def _is_skip(result: Any) -> bool:
    return str(getattr(result.ti, "state", "")) == "skipped"


def _give_triggers_a_channel() -> None:
    """Let a trigger that runs in this process reach Airflow: its channel here has no async face."""
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    async def asend(self: Any, message: Any) -> Any:
        return self.send(message)

    if not hasattr(InProcessSupervisorComms, "asend"):
        InProcessSupervisorComms.asend = asend  # type: ignore[attr-defined]
