"""``airflow dags test``, in which no triggerer runs and the sensor's trigger has no connection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.world.expectations import file_with
from tests.world.featurebase import FeaturebaseWorld

if TYPE_CHECKING:
    import pytest

DAG_FILE = """\
# An Airflow Dag
import json
from featurebase_provider.dag_factory import rotation_dag

dag = rotation_dag(json.loads({entry!r}))
"""


def test_a_whole_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FeaturebaseWorld(tmp_path) as world:
        verify = {"timeout": "PT25S", "poll_interval": "PT1S"}  # long enough to be deferred
        entry = world.entry(stores=[world.file_store()], verify=verify)
        dags = tmp_path / "dags"
        dags.mkdir()
        (dags / "rotation.py").write_text(DAG_FILE.format(entry=json.dumps(entry)))
        connection = {"conn_type": "featurebase", "host": world.url, "password": world.api_key}
        env = {
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        }
        airflow = str(Path(sys.executable).with_name("airflow"))
        subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True, timeout=300)
        add = ["connections", "add", world.conn_id, "--conn-json", json.dumps(connection)]
        subprocess.run([airflow, *add], env=env, check=True, capture_output=True, timeout=300)
        dag_id = f"featurebase_rotate__{entry['name']}"
        done = subprocess.run(
            [airflow, "dags", "test", dag_id], env=env, check=False, capture_output=True, text=True, timeout=300
        )
        world.note_secret()
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-4000:]
        assert "this worker does so until" in said
        assert world.refreshes() == 1
        assert world.secret_file.read_text() == file_with(world.secret)
        assert not [secret for secret in world.secrets.values() if secret in said]
