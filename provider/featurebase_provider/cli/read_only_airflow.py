"""Lets hooks and stores, which are made for tasks, read connections and Variables in a command.

A task asks its supervisor, which asks the API server. A command has neither. It takes the place of both, as Airflow's
own ``dag.test()`` does, and answers only reads. So hooks and stores run here unchanged, and can't write to Airflow.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class ReadOnlyAirflow:
    """A task's channel to Airflow that answers reads from this process's secrets backends and refuses the rest."""

    def __init__(self) -> None:
        self.unasked: dict[str, str] = {}
        """The secrets backends that failed (``MetastoreBackend`` is the database), each with its error."""

    def send(self, msg: Any) -> Any:
        """Answer a message as the supervisor would."""
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, GetVariable, MaskSecret
        from airflow.sdk.execution_time.supervisor import set_supervisor_comms

        if isinstance(msg, MaskSecret):
            return None  # masked in this process already, and there is no other
        with set_supervisor_comms(None):  # some backends look whether they are in a task
            if isinstance(msg, GetConnection):
                return self._connection(msg.conn_id)
            if isinstance(msg, GetVariable):
                return self._variable(msg.key)
            if type(msg).__name__ == "GetVariableKeys":  # from 3.3 on
                return self._variable_keys(msg)
        return ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": 403})

    def _connection(self, conn_id: str) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ConnectionResult

        found, complete = self._first(lambda backend: backend.get_connection(conn_id=conn_id))
        if found is None:
            return _nothing(ErrorType.CONNECTION_NOT_FOUND if complete else ErrorType.API_SERVER_ERROR)
        fields = ("conn_type", "host", "schema", "login", "password", "port", "extra")
        return ConnectionResult.model_validate(
            {"conn_id": conn_id, **{field: getattr(found, field) for field in fields}}
        )

    def _variable(self, key: str) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import VariableResult

        value, complete = self._first(lambda backend: backend.get_variable(key=key))
        if value is None:
            return _nothing(ErrorType.VARIABLE_NOT_FOUND if complete else ErrorType.API_SERVER_ERROR)
        return VariableResult(key=key, value=value)

    def _variable_keys(self, msg: Any) -> Any:
        """The keys in Airflow's database: a Variable that can't be decrypted has one, and no value."""
        from airflow.models.variable import Variable
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import VariableKeysResult
        from airflow.utils.session import create_session
        from sqlalchemy import select
        from sqlalchemy.exc import SQLAlchemyError

        wanted = Variable.key.startswith(msg.prefix or "", autoescape=True)
        try:
            with create_session() as session:
                keys = list(session.scalars(select(Variable.key).where(wanted).limit(msg.limit)))
        except SQLAlchemyError:
            return _nothing(ErrorType.API_SERVER_ERROR)
        return VariableKeysResult(keys=keys, total_entries=len(keys))

    def _first(self, ask: Callable[[Any], Any]) -> tuple[Any, bool]:
        """The first result of the backends that the API server asks, and whether all backends before it worked."""
        from airflow.configuration import ensure_secrets_loaded

        complete = True
        for backend in ensure_secrets_loaded():
            try:
                answer = ask(backend)
            except Exception as error:  # noqa: BLE001  each backend fails in its own way, and its text may quote a login
                self.unasked[type(backend).__name__] = type(error).__name__
                complete = False
                continue
            if answer is not None:
                return answer, complete
        return None, complete


def _nothing(error_type: Any) -> Any:
    from airflow.sdk.execution_time.comms import ErrorResponse

    return ErrorResponse(error=error_type)


@contextmanager
def read_only_airflow() -> Iterator[ReadOnlyAirflow]:
    """Let hooks and stores read from Airflow as in a task; they can't write to it."""
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    channel = ReadOnlyAirflow()
    with set_supervisor_comms(channel):
        yield channel


def asset_event_extras(uri: str, *, newest: int | None = None) -> list[Mapping[str, Any]] | None:
    """The ``extra`` of an asset's events, oldest first, from Airflow's database; None if it can't be read.

    :param newest: read at most this many events, the newest; None reads all.
    """
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    query = (
        select(AssetEvent.extra)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(AssetModel.uri == uri)
        .order_by(AssetEvent.timestamp.desc())
        .limit(newest)
    )
    try:
        with create_session() as session:
            return [extra or {} for extra in session.scalars(query)][::-1]
    except SQLAlchemyError:
        return None
