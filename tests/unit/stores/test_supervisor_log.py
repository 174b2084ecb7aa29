"""Whether the supervisor logs Variables, as Airflow itself reads its logging settings.

Each case is a process whose logging Airflow sets up as a task's. What the guard says is compared with what the very
logger writes: the test can't misread a setting as the guard might.
"""

from __future__ import annotations

import io
import os

import pytest

from tests.world.parse_dags import FORKS, SECONDS

MARK = "a Variable's value"


@pytest.mark.parametrize(
    ("level", "namespaces", "logs"),
    [
        ("INFO", "", False),
        ("DEBUG", "", True),
        ("INFO", "supervisor=debug", None),  # 3.1 has no such setting
        ("DEBUG", "httpx=INFO, supervisor=INFO", None),
        ("DEBUG", "supervisor = INFO", None),
        ("DEBUG", "supervisor=INF", None),
        ("INFO", "supervisor=INFO supervisor=DEBUG", None),
    ],
)
def test_the_guard_knows_what_the_supervisor_logs(level: str, namespaces: str, logs: bool | None) -> None:
    with FORKS.Pool(1) as one_child:
        guarded, written = one_child.apply_async(_ask, (level, namespaces)).get(SECONDS)
    assert guarded is written
    assert logs in (None, written)


def _ask(level: str, namespaces: str) -> tuple[bool, bool]:
    os.environ.pop("PYTEST_VERSION", None)
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = level
    if namespaces:  # 3.2 does not start with an empty one
        os.environ["AIRFLOW__LOGGING__NAMESPACE_LEVELS"] = namespaces
    from airflow.sdk.execution_time import supervisor
    from airflow.sdk.log import configure_logging

    from featurebase_provider.stores.shared.airflow_channel import supervisor_logs_values

    output = io.BytesIO()
    configure_logging.cache_clear()
    try:
        configure_logging(json_output=True, output=output)
    except (KeyError, ValueError):  # before 3.3 Airflow itself does not start with a level that it does not know
        return False, False
    guarded = supervisor_logs_values()
    supervisor.log.debug(MARK)
    return guarded, MARK.encode() in output.getvalue()
