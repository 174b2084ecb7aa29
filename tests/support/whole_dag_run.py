"""Runs one rotation in whatever Airflow runs this file, with that Airflow's own ``dag.test()``.

Usage: python -m tests.support.whole_dag_run FOLDER. Prints what came of it as one line of JSON.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import warnings
from pathlib import Path
from typing import Any

DAG_FILE = """\
# Airflow looks into files only that name both airflow and a dag.
import json
from featurebase_provider.dag_factory import rotation_dag

dag = rotation_dag(json.loads({entry!r}))
"""


def main(folder: Path) -> dict[str, Any]:
    """Rotate once, and tell states, refreshes and stores."""
    _set_up(folder)
    import airflow
    from tests.support.featurebase_world import FeaturebaseWorld

    with FeaturebaseWorld(folder) as world:
        connection = {"conn_type": "featurebase", "host": world.url, "password": world.api_key}
        os.environ[f"AIRFLOW_CONN_{world.conn_id.upper()}"] = json.dumps(connection)
        before = world.secret
        entry = world.entry(retries=0, push_retries=0)
        dag = _load(folder, DAG_FILE.format(entry=json.dumps(entry)))
        run = dag.test(run_conf={"reason": "matrix"})
        return {
            "airflow": airflow.__version__,
            "state": str(getattr(run.state, "value", run.state)),
            "tasks": {ti.task_id: str(getattr(ti.state, "value", ti.state)) for ti in run.get_task_instances()},
            "refreshes": world.refreshes(),
            "is_new": world.secret != before,
            "store_holds_it": world.secret in world.secret_file.read_text(),
        }


def _set_up(folder: Path) -> None:
    (folder / "dags").mkdir(parents=True)
    os.environ.update(
        {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
    )
    warnings.simplefilter("ignore")
    from airflow.utils.db import initdb

    initdb()


def _load(folder: Path, text: str) -> Any:
    """Make the Dag known to Airflow."""
    dag_file = folder / "dags" / "rotation.py"
    dag_file.write_text(text)
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    try:
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

        bag = BundleDagBag(dag_folder=dag_file, bundle_path=folder / "dags", bundle_name="dags-folder")
    except ImportError:  # before 3.2
        from airflow.models.dagbag import DagBag, sync_bag_to_db

        bag = DagBag(dag_file, include_examples=False)
    if bag.import_errors:
        raise SystemExit(str(bag.import_errors))
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    (dag,) = bag.dags.values()
    from airflow.models import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(DagModel).update({"is_paused": False})
    return dag


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
