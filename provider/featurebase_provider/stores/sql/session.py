"""One database connection with explicit transactions; what its driver raises becomes an error of ours."""

from __future__ import annotations

import math
import os
import socket
import threading
import weakref
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from featurebase_provider.stores.shared.connection import is_loopback
from featurebase_provider.stores.sql.problems import TRANSACTION_ENDED, postgres_error, sqlite_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from featurebase_provider.rotation.errors import StoreError
    from featurebase_provider.stores.sql.statement import SqlStatement

Purpose = Literal["read", "write", "trial"]
Answer = tuple[list[tuple[Any, ...]], int]
"""The first two rows, and how many a statement changed; -1 where that is not known."""


class Run(Protocol):
    """Runs a statement in the transaction."""

    def __call__(
        self, statement: SqlStatement, parameters: Mapping[str, Any], *, then: SqlStatement | None = None
    ) -> Answer:
        """Run it.

        :param then: one that reads, to be run after it with the same parameters; the rows are those that it finds.
        """


class TransactionLost(Exception):
    """The transaction that was left open is gone, and nothing of it is in the database."""


class SqlSession(ABC):
    """A connection on which transactions are begun and ended in so many words.

    :param store: the store's name, for messages.
    :param driver: the PEP 249 module that the connection comes from.
    :param timeout: seconds that one transaction may take; one that is left open, each of its parts.
    """

    can_wait: ClassVar[bool] = False
    """Whether a transaction that has only read may be left open for a while: no other writer waits for it."""

    def __init__(self, store: str, driver: Any, connection: Any, timeout: float) -> None:
        self._store, self._driver, self._timeout = store, driver, timeout
        self._lock = threading.Lock()
        self._left_open: tuple[object] | None = None
        self._use(connection)

    def _use(self, connection: Any) -> None:
        self._connection = connection
        self._close = weakref.finalize(self, connection.close)

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with suppress(self._driver.Error):
            if self._lock.acquire(blocking=False):  # else a call of ours hangs
                try:
                    with self._bounded():
                        self._end_open()
                finally:
                    self._lock.release()
            self._close()

    @contextmanager
    def transaction(self, purpose: Purpose) -> Iterator[Run]:
        """Begin a transaction; a ``write`` is committed at the end, everything else is rolled back.

        :raises StoreConflict: somebody else wrote what this transaction read.
        :raises StoreRefused: the database refused a statement.
        :raises StoreUnreachable: the database did not answer in time.
        """
        with self._one_at_a_time():
            self._end_open()
            self._begin(purpose)
            yield self._run
            self._execute("COMMIT" if purpose == "write" else "ROLLBACK")

    @contextmanager
    def begun(self, seen: object) -> Iterator[Run]:
        """Begin a ``write`` that is to follow, and leave its transaction open at the end.

        :param seen: what is to be read in it; :meth:`continued` must name the same.
        :raises StoreError: as :meth:`transaction`.
        """
        with self._one_at_a_time():
            self._end_open()
            self._begin("write")
            yield self._run
            self._left_open = (seen,)

    @contextmanager
    def continued(self, seen: object) -> Iterator[Run]:
        """Go on in the transaction that :meth:`begun` left open, and commit it.

        :param seen: what was read in it.
        :raises TransactionLost: there is none, or the server has ended it; nothing was changed.
        :raises StoreError: as :meth:`transaction`.
        """
        with self._one_at_a_time():
            if self._left_open != (seen,):
                raise TransactionLost
            self._left_open = None
            yield self._run_if_there
            self._execute("COMMIT")

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Let a thread work with the connection; what fails is rolled back."""
        with self._lock, self._translated():
            try:
                yield
            except TransactionLost:
                raise
            except BaseException:  # after a COMMIT that failed SQLite's transaction goes on, and keeps readers out
                with suppress(self._driver.Error):
                    self._execute("ROLLBACK")
                raise

    def _end_open(self) -> None:
        if self._left_open is not None:
            self._left_open = None
            with suppress(self._driver.Error):
                self._execute("ROLLBACK")

    def run_deferred(self) -> None:  # noqa: B027  not every database defers anything
        """Within a transaction: check and do now what the database has put off until the commit."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._bounded():
                yield
        except self._driver.Error as error:
            raise self._error(error) from None  # a driver's text may quote values

    def _run(
        self, statement: SqlStatement, parameters: Mapping[str, Any], *, then: SqlStatement | None = None
    ) -> Answer:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(self._text(statement), _used(statement, parameters))
            rows, changed = _rows_of(cursor), cursor.rowcount
        return (rows if then is None else self._run(then, parameters)[0]), changed

    def _run_if_there(
        self, statement: SqlStatement, parameters: Mapping[str, Any], *, then: SqlStatement | None = None
    ) -> Answer:
        try:
            return self._run(statement, parameters, then=then)
        except self._driver.Error as error:
            if self._is_lost(error):
                raise TransactionLost from None
            raise

    def _execute(self, text: str) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(text)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Break the transaction off when its time is over."""
        yield

    def _is_lost(self, error: Exception) -> bool:
        """Whether the transaction ended before this statement, and a new one can be begun at once."""
        return False

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
    first read fails, whatever their isolation level. Reading locks no row.

    :param connect: opens a connection; called again where one has broken.
    """

    can_wait = True
    _was_cut = False

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
        except self._driver.Error as error:
            if not self._is_lost(error):
                raise
            self._use(self._connect())
            self._execute(begin)

    def _is_lost(self, error: Exception) -> bool:
        ended = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        return not self._was_cut and (bool(self._connection.closed) or ended in TRANSACTION_ENDED)

    def run_deferred(self) -> None:
        """Run deferred constraints, and the triggers that are such; a rolled-back transaction never would."""
        self._execute("SET CONSTRAINTS ALL IMMEDIATE")

    def _run(
        self, statement: SqlStatement, parameters: Mapping[str, Any], *, then: SqlStatement | None = None
    ) -> Answer:
        """Run both in one round trip, where the driver can."""
        pipeline = getattr(self._driver, "Pipeline", None)
        if then is None or (pipeline is not None and not pipeline.is_supported()):  # before version 14 of libpq
            return super()._run(statement, parameters, then=then)
        connection = self._connection
        with closing(connection.cursor()) as cursor, closing(connection.cursor()) as reader:
            if pipeline is None:  # psycopg2 sends a text, and counts for the last statement in it
                text = f"{self._text(statement)}\n;{self._text(then)}"
                reader.execute(text, _used(statement, parameters) | _used(then, parameters))
                return _rows_of(reader), -1
            with connection.pipeline():
                cursor.execute(self._text(statement), _used(statement, parameters))
                reader.execute(self._text(then), _used(then, parameters))
            return _rows_of(reader), cursor.rowcount

    def _text(self, statement: SqlStatement) -> str:
        return statement.pyformat

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        self._was_cut = False
        timer = threading.Timer(self._timeout, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        """Shut the socket, so that the thread that waits for a silent server goes on."""
        self._was_cut = True
        with (
            suppress(OSError, self._driver.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_RDWR)

    def _error(self, error: Exception) -> StoreError:
        broken = isinstance(error, (self._driver.OperationalError, self._driver.InterfaceError))
        return postgres_error(self._store, error, broken=broken)


def _used(statement: SqlStatement, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: parameters[name] for name in statement.names}


def _rows_of(cursor: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in cursor.fetchmany(2)] if cursor.description else []


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
