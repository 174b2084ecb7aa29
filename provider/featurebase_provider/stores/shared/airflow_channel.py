"""A running task's own channel to Airflow's Variables and connections.

``airflow.sdk.Variable`` cannot be used: its ``get`` reports an outage as an absent Variable, and its ``set`` swallows
a refusal before Airflow 3.3. ``get_connection`` does the same. Airflow's SDK is called on the task's main thread only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreError, StoreRefused, StoreUnreachable, StoreUnusable

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import GetConnection, GetVariable, PutVariable


def require_task(name: str) -> None:
    """Insist on a running task.

    :param name: who asks, for the message.
    :raises StoreUnusable: there is none.
    """
    from airflow.sdk.execution_time import task_runner

    if getattr(task_runner, "SUPERVISOR_COMMS", None) is None:
        raise StoreUnusable(name, "Variables can be read and written from a running task only")


def get_variable(name: str, key: str) -> str | None:
    """A Variable's value; None only if Airflow says that there is none.

    :param name: who asks, for messages.
    :raises StoreError: Airflow refused, or could not be asked.
    """
    from airflow.sdk.execution_time.comms import GetVariable, VariableResult

    answer = _ask(name, GetVariable(key=key))
    if answer is None:
        return None
    if not isinstance(answer, VariableResult):
        raise StoreUnreachable(name, "Airflow's answer is no Variable; whether it exists is unknown")
    return answer.value


def put_variable(name: str, key: str, value: str, description: str) -> None:
    """Set a Variable with its description: Airflow lets a task write no value without one.

    :param name: who asks, for messages.
    :raises StoreError: Airflow refused, or could not be asked.
    """
    from airflow.sdk.execution_time.comms import PutVariable

    _ask(name, PutVariable(key=key, value=value, description=description))


def is_listed(name: str, key: str) -> bool | None:
    """Whether Airflow's database has a Variable of this key, readable or not; None before 3.3, which can't tell.

    :raises StoreError: Airflow refused, or could not be asked.
    """
    try:
        from airflow.sdk.execution_time.comms import GetVariableKeys, VariableKeysResult
    except ImportError:
        return None
    answer = _ask(name, GetVariableKeys(prefix=key, limit=10))
    return key in answer.keys if isinstance(answer, VariableKeysResult) else None


def supervisor_logs_values() -> bool:
    """Whether the supervisor's logger is at DEBUG, where it writes each Variable that a task sets into its own log.

    Airflow's logger is asked, as only Airflow knows which settings count in which version.
    """
    from airflow.sdk.execution_time import supervisor

    return bool(supervisor.log.bind().is_enabled_for(logging.DEBUG))


def is_connection_missing(conn_id: str) -> bool:
    """Whether there is no such connection for certain, for who was told so by ``get_connection``.

    False where a secrets backend or Airflow could not be asked. Without a task to ask for, what ``get_connection`` said
    counts.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetConnection
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    if getattr(task_runner, "SUPERVISOR_COMMS", None) is None:
        return True
    try:
        for backend in ensure_secrets_backend_loaded():
            if backend.get_connection(conn_id=conn_id) is not None:
                return False
        return _ask(conn_id, GetConnection(conn_id=conn_id)) is None
    except Exception:  # noqa: BLE001  each backend fails in its own way
        return False


def _ask(name: str, message: GetConnection | GetVariable | PutVariable | Any) -> Any:
    """Send one message to the task's supervisor; None for "no such Variable" or connection."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        answer = SUPERVISOR_COMMS.send(message)
    except AirflowRuntimeError as error:
        answer = error.error
    except (OSError, EOFError, ValueError) as error:
        raise StoreUnreachable(
            name, f"the channel to Airflow broke ({error.__class__.__name__})"
        ) from None  # an undecodable answer would be quoted
    if not isinstance(answer, ErrorResponse):
        return answer
    error_type = answer.error.value
    if error_type in ("VARIABLE_NOT_FOUND", "CONNECTION_NOT_FOUND"):
        return None
    raise _error(name, error_type, answer.detail)


def _error(name: str, error_type: str, detail: dict[str, Any] | None) -> StoreError:
    status = (detail or {}).get("status_code")
    said = f"Airflow's API server answered {error_type}" + (f" ({status})" if isinstance(status, int) else "")
    if error_type == "PERMISSION_DENIED" or status in {400, 401, 403, 422}:
        return StoreRefused(name, said, "Check what tasks may do with this Variable; it is as it was")
    return StoreUnreachable(name, said)
