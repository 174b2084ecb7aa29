"""A process that has loaded everything but the project, and others that are forked from it to run tests."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PACKAGE = Path("provider/featurebase_provider")
PLUGINS = ("_hypothesis_pytestplugin", "pytest_asyncio.plugin")
HEAVY = (
    "airflow.models.taskinstance", "airflow.providers.standard.operators.trigger_dagrun", "airflow.sdk",
    "airflow.sdk.bases.sensor", "airflow.sdk.definitions.decorators", "airflow.serialization.serialized_objects",
    "anyio._backends._asyncio", "croniter", "dotenv", "fastapi", "hypothesis", "httpx", "pydantic", "pytest", *PLUGINS,
    "rich.table", "tenacity",
)  # fmt: skip


def load_heavy_modules() -> None:
    """Load what every trial needs and no mutant changes, so that a trial takes a fraction of a second."""
    home = os.environ["AIRFLOW_HOME"]
    os.environ["FEATUREBASE_TEST_HOME"] = home  # tests/conftest.py then leaves Airflow's home as it is
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(home, "hypothesis"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # looking for plugins takes longer than most trials
    sys.path[:0] = [str(PACKAGE.parent.resolve()), str(Path.cwd())]
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()  # pytest collects garbage twice as it ends, and need not look through all this
    loaded = [name for name in sys.modules if name.startswith("featurebase_provider") and name.count(".") > 1]
    if loaded:  # get_provider_info alone is: Airflow asks installed providers
        raise RuntimeError(f"loaded before any change, so that none would be seen: {loaded}")


def fork(work: Callable[[], int]) -> int:
    """Work in a process of its own, which ends with the status that the work returns.

    :returns: its process id.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = work()
        sys.stdout.flush()
    finally:
        os._exit(status)


def run_forked(work: Callable[[], int]) -> int:
    """The same, and wait for its status."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])


def run_pytest(arguments: Sequence[str], plugins: Sequence[Any] = ()) -> int:
    """Run tests up to the first that fails; pytest's exit status."""
    import pytest

    named = [option for name in (*PLUGINS, "no:cacheprovider") for option in ("-p", name)]
    options = ["-x", "-q", *named, "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *arguments], plugins=list(plugins)))
