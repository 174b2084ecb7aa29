"""Keep the tests away from the user's own Airflow, before anything imports it."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

import pytest

if "FEATUREBASE_TEST_HOME" not in os.environ:
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ["FEATUREBASE_TEST_HOME"] = tempfile.mkdtemp(prefix="featurebase-tests-")
    atexit.register(shutil.rmtree, os.environ["FEATUREBASE_TEST_HOME"], ignore_errors=True)
    os.environ["AIRFLOW_HOME"] = os.environ["FEATUREBASE_TEST_HOME"]
    os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that run tests side by side must not share a metadata database.
    home = os.path.join(os.environ["FEATUREBASE_TEST_HOME"], os.environ["PYTEST_XDIST_WORKER"])
    os.makedirs(home, exist_ok=True)
    os.environ["AIRFLOW_HOME"] = home


@pytest.fixture(autouse=True)
def _nothing_is_redacted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that an earlier test had masked must show in a log that a later one searches for it."""
    masking = sys.modules.get("featurebase_provider.hooks.masking")
    if masking is not None:
        monkeypatch.setattr(masking._REDACTOR, "_forms", ())
