"""One database connection with explicit transactions; what its driver raises becomes an error of ours."""

from __future__ import annotations

import math
import os
import socket
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from featurebase_provider.stores.shared.connection import is_loopback
from featurebase_provider.stores.sql.problems import postgres_error, sqlite_error

if TYPE_CHECKING:
    from featurebase_provider.rotation.errors import StoreError
    from featurebase_provider.stores.sql.statement import SqlStatement

Purpose = Literal["read", "write", "trial"]
Run = Callable[["SqlStatement", Mapping[str, Any]], "tuple[list[tuple[Any, ...]], int]"]
"""Runs a statement in the transaction; returns its first two rows, and how many it changed."""


class SqlSession(ABC):
    """A connection on which transactions are begun and ended in so many words.

    :param store: the store's name, for messages.
    :param driver: the PEP 249 module that the connection comes from.
    :param timeout: seconds that one transaction may take.
    """

    def __init__(self, store: str, driver: Any, connection: Any, timeout: float) -> None:
        self._store, self._driver, self._timeout = store, driver, timeout
        self._use(connection)

    def _use(self, connection: Any) -> None:
        self._connection = connection
        self._close = weakref.finalize(self, connection.close)

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with suppress(self._driver.Error):
            self._close()

    @contextmanager
    def transaction(self, purpose: Purpose) -> Iterator[Run]:
        """Begin a transaction; a ``write`` is committed at the end, everything else is rolled back.

        :raises StoreConflict: somebody else wrote what this transaction read.
        :raises StoreRefused: the database refused a statement.
        :raises StoreUnreachable: the database did not answer in time.
        """
        with self._translated():
            try:
                self._begin(purpose)
                yield self._run
                self._execute("COMMIT" if purpose == "write" else "ROLLBACK")
            except BaseException:  # after a COMMIT that failed SQLite's transaction goes on, and keeps readers out
                with suppress(self._driver.Error):
                    self._execute("ROLLBACK")
                raise

    def run_deferred(self) -> None:  # noqa: B027  not every database defers anything
        """Within a transaction: check and do now what the database has put off until the commit."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._bounded():
                yield
        except self._driver.Error as error:
            raise self._error(error) from None  # a driver's text may quote values

    def _run(self, statement: SqlStatement, parameters: Mapping[str, Any]) -> tuple[list[tuple[Any, ...]], int]:
        used = {name: parameters[name] for name in statement.names}
        cursor = self._connection.cursor()
        try:
            cursor.execute(self._text(statement), used)
            rows = [tuple(row) for row in cursor.fetchmany(2)] if cursor.description else []
            return rows, cursor.rowcount
        finally:
            cursor.close()

    def _execute(self, text: str) -> None:
        cursor = self._connection.cursor()
        try:
            cursor.execute(text)
        finally:
            cursor.close()

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Break the transaction off when its time is over."""
        yield

    @abstractmethod
    def _begin(self, purpose: Purpose) -> None:
        """Begin in a way that makes a concurrent write of the same row an error."""

    @abstractmethod
    def _text(self, statement: SqlStatement) -> str:
        """The statement as the driver wants it."""

    @abstractmethod
    def _error(self, error: Exception) -> StoreError:
        """Tell refusal, conflict and outage apart by the driver's codes."""


class PostgresSession(SqlSession):
    """PostgreSQL through psycopg or psycopg2, whichever Airflow's hook uses.

    At isolation level REPEATABLE READ an update of a row that somebody else has changed since this transaction's
    first read fails, whatever their isolation level.

    :param connect: opens a connection; called again where one has broken.
    """

    def __init__(self, store: str, connect: Callable[[], Any], timeout: float) -> None:
        connection = connect()
        driver = import_module(type(connection).__module__.partition(".")[0])
        super().__init__(store, driver, connection, timeout)
        self._connect = connect
        ssl = connection.pgconn.ssl_in_use if hasattr(connection, "pgconn") else connection.info.ssl_in_use
        self.is_private: bool = ssl or is_loopback(connection.info.host)
        """Whether what is sent is encrypted, or stays on this machine."""

    def _use(self, connection: Any) -> None:
        super()._use(connection)
        connection.autocommit = True  # BEGIN and COMMIT are ours
        if hasattr(connection, "prepare_threshold"):
            connection.prepare_threshold = None  # poolers such as PgBouncer change servers between transactions

    def _begin(self, purpose: Purpose) -> None:
        limit = max(1, int(self._timeout * 900))  # the server gives up a little before we do
        begin = (
            f"BEGIN ISOLATION LEVEL REPEATABLE READ{' READ ONLY' if purpose == 'read' else ''}; "
            f"SET LOCAL statement_timeout = {limit}; SET LOCAL idle_in_transaction_session_timeout = {limit}"
        )
        try:
            self._execute(begin)
        except self._driver.Error:
            if not self._connection.closed:
                raise
            self._use(self._connect())
            self._execute(begin)

    def run_deferred(self) -> None:
        """Run deferred constraints, and the triggers that are such; a rolled-back transaction never would."""
        self._execute("SET CONSTRAINTS ALL IMMEDIATE")

    def _text(self, statement: SqlStatement) -> str:
        return statement.pyformat

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        timer = threading.Timer(self._timeout, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        """Shut the socket, so that the thread that waits for a silent server goes on."""
        with (
            suppress(OSError, self._driver.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_RDWR)

    def _error(self, error: Exception) -> StoreError:
        broken = isinstance(error, (self._driver.OperationalError, self._driver.InterfaceError))
        return postgres_error(self._store, error, broken=broken)


def connect_timeout(timeout: float) -> int:
    """Whole seconds for PostgreSQL's ``connect_timeout``, whose least is 2."""
    return max(2, math.ceil(timeout))


class SqliteSession(SqlSession):
    """A SQLite file; one writer at a time, so that a transaction sees and changes one state."""

    def _begin(self, purpose: Purpose) -> None:
        self._execute("BEGIN" if purpose == "read" else "BEGIN IMMEDIATE")

    def _text(self, statement: SqlStatement) -> str:
        return statement.named

    def _error(self, error: Exception) -> StoreError:
        return sqlite_error(self._store, error)
