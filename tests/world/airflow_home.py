"""An Airflow home of its own for a folder of tests; call it before anything imports Airflow."""

from __future__ import annotations

import atexit
import base64
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import pytest


def own_home(prefix: str) -> Path:
    """Make a home, point Airflow at it, and remove it when this process ends.

    :param prefix: begins the folder's name.
    :raises pytest.UsageError: Airflow was imported already, with another home.
    """
    if "airflow" in sys.modules:
        raise pytest.UsageError("Airflow was imported before its home was set; run this folder's tests by themselves")
    home = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
    )
    return home
