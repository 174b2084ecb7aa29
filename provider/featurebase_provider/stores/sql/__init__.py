"""The store type ``sql``: for receivers that read their settings from a table."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from featurebase_provider.rotation.errors import StoreUnreachable, StoreUnusable
from featurebase_provider.stores.shared.connection import hook_errors
from featurebase_provider.stores.shared.entry import EntryStore
from featurebase_provider.stores.sql.statement import SqlPlan, SqlStatement, parse_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.sdk import Connection

    from featurebase_provider.stores.sql.armed import ArmedSql
    from featurebase_provider.stores.sql.session import SqlSession

_NAME = r"[A-Za-z_][A-Za-z0-9_$]{0,62}"
_ROW_FIELDS = ("table", "key_column", "key_value", "value_column")
_WRITE_PARAMETERS = ("secret", "previous", "expected", "webhook_id", "fingerprint")
_WRITE_VERBS = ("UPDATE", "INSERT", "MERGE", "WITH", "SELECT", "REPLACE")

Column = Annotated[str, Field(pattern=f"^{_NAME}$")]
Statement = Annotated[str, Field(min_length=1, max_length=10_000)]


class SqlStore(EntryStore):
    """The signing secret in a row of a PostgreSQL or SQLite table.

    Either name the row (``table``, ``key_column``, ``key_value``, ``value_column``), or write the statements
    (``read_sql``, ``write_sql``). Both run in one transaction, which fails if somebody else changes the row.

    :param conn_id: Airflow connection of type ``postgres`` or ``sqlite``.
    :param table: the table, with its schema where it needs one (``app.settings``); case counts.
    :param key_column: the column that tells rows apart; it should be the primary key or unique.
    :param key_value: what stands in that column of our row.
    :param value_column: the column that holds the secret.
    :param previous_column: the column that holds the previous secret; null keeps none.
    :param empty_previous: whether an empty text, not null, is written where there is no previous secret: for a
        ``previous_column`` that is NOT NULL.
    :param format: ``raw`` (the ``value_column`` holds nothing but the secret), or the format of the text in it.
    :param entry: where the secret lies in that text.
    :param previous_entry: where the previous secret lies in that text.
    :param read_sql: a SELECT of one row: the secret, and the previous one if ``write_sql`` has ``:previous``.
    :param write_sql: one statement that writes ``:secret``; it may use ``:previous``, ``:expected`` (the value
        that the row held), ``:webhook_id`` and ``:fingerprint``.
    :param create: whether a missing row is created, and a missing entry added; ``write_sql`` must then be able to
        insert the row.
    :param allow_unencrypted: accept a connection to another host without TLS.
    """

    type: Literal["sql"] = "sql"
    conn_id: Annotated[str, Field(min_length=1, max_length=200)]
    table: Annotated[str, Field(pattern=rf"^(?:{_NAME}\.)?{_NAME}$")] | None = None
    key_column: Column | None = None
    key_value: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    value_column: Column | None = None
    previous_column: Column | None = None
    empty_previous: bool = False
    read_sql: Statement | None = None
    write_sql: Statement | None = None
    create: bool = False
    allow_unencrypted: bool = False

    @model_validator(mode="after")
    def _check_form(self) -> "SqlStore":
        named = [field for field in (*_ROW_FIELDS, "previous_column") if getattr(self, field) is not None]
        written = [field for field in ("read_sql", "write_sql") if getattr(self, field) is not None]
        wanted = ["read_sql", "write_sql"] if written else list(_ROW_FIELDS)
        if not named and not written:
            raise ValueError(f"say where the secret lies: {', '.join(_ROW_FIELDS)}; or read_sql and write_sql")
        if named and written:
            raise ValueError(f"name the row or write statements, not both: {', '.join(named + written)}")
        if missing := [field for field in wanted if field not in named + written]:
            raise ValueError(f"{(named + written)[0]} also needs {', '.join(missing)}")
        if self.empty_previous and not self.previous_column:
            raise ValueError("empty_previous needs previous_column; in write_sql say coalesce(:previous, '')")
        if self.entry and written:
            raise ValueError("an entry lies in the text of a value_column; write_sql can edit a document itself")
        if self.entry and self.previous_column:
            raise ValueError("with entry, the previous secret lies in the same text: name its previous_entry")
        columns = [column for column in (self.key_column, self.value_column, self.previous_column) if column]
        if len(set(columns)) < len(columns):
            raise ValueError("key_column, value_column and previous_column must differ")
        if "secret" not in self.plan().write.names:
            raise ValueError("write_sql must have the parameter :secret")
        return self

    def plan(self) -> SqlPlan:
        """The statements, as written or as made from the row's names.

        :raises ValueError: a statement can't be used.
        """
        if self.read_sql and self.write_sql:
            read = _parsed("read_sql", self.read_sql, ("SELECT", "WITH"), ())
            write = _parsed("write_sql", self.write_sql, _WRITE_VERBS, _WRITE_PARAMETERS)
            return SqlPlan(read, write, write, {}, "previous" in write.names)
        return self._plan_for_row()

    def _plan_for_row(self) -> SqlPlan:
        table = ".".join(f'"{part}"' for part in (self.table or "").split("."))
        columns: dict[str | None, str] = {self.key_column: ":key", self.value_column: ":secret"}
        if self.previous_column:
            columns[self.previous_column] = "coalesce(:previous, '')" if self.empty_previous else ":previous"
        ours = {column: value for column, value in columns.items() if column != self.key_column}
        # SQLite reads an unknown "name" as a text, unless it is qualified.
        selected = ", ".join(f't."{column}"' for column in ours)
        changed = ", ".join(f'"{column}" = {value}' for column, value in ours.items())
        inserted = ", ".join(f'"{column}"' for column in columns)
        values = ", ".join(columns.values())

        def parsed(text: str) -> SqlStatement:
            return parse_sql(text, verbs=("SELECT", "UPDATE", "INSERT"), allowed=("key", "secret", "previous"))

        # The names have been checked to be names; values are parameters.
        return SqlPlan(
            parsed(f'SELECT {selected} FROM {table} AS t WHERE t."{self.key_column}" = :key'),  # noqa: S608
            parsed(f'UPDATE {table} AS t SET {changed} WHERE t."{self.key_column}" = :key'),  # noqa: S608
            parsed(f"INSERT INTO {table} ({inserted}) VALUES ({values})"),  # noqa: S608
            {"key": self.key_value or ""},
            self.previous_column is not None,
        )

    @property
    def target(self) -> str:
        """Connection, table, row, column and entry; or connection and ``read_sql``."""
        return self._place if self.read_sql else self.entry_in(f"{self._place}#{self.value_column}")

    @property
    def previous_target(self) -> str | None:
        """The same with ``previous_column`` or ``previous_entry``; ``previous`` for the parameter of ``write_sql``."""
        if self.plan().has_previous:
            return f"{self._place}#{self.previous_column or 'previous'}"
        return self.previous_entry_in(f"{self._place}#{self.value_column}")

    @property
    def how_to_keep_previous(self) -> str:
        """By a column or entry of the row, or by the statements."""
        if self.write_sql:
            return ":previous in write_sql, and read it as the second column of read_sql"
        return "previous_entry" if self.entry else "previous_column"

    @property
    def _place(self) -> str:
        if self.read_sql:
            return f"sql://{self.conn_id}/{' '.join(self.read_sql.split())}"
        return f"sql://{self.conn_id}/{self.table}?{self.key_column}={self.key_value}"

    def arm(self) -> "ArmedSql":
        """Fetch the connection; connecting opens the database.

        :raises StoreUnusable: the connection or its Airflow provider is missing, or it is of another type.
        :raises StoreUnreachable: the connection's login is a token, and nobody gave one.
        """
        with hook_errors(self.full_name, conn_id=self.conn_id, extra="sql"):
            from airflow.sdk import BaseHook

            connection = BaseHook.get_connection(self.conn_id)
            opener = {"postgres": self._postgres, "sqlite": self._sqlite}.get(str(connection.conn_type))
            if opener is None:
                raise StoreUnusable(
                    self.full_name,
                    f"the Airflow connection {self.conn_id} is of another type; nothing was changed",
                    "It must be of type postgres or sqlite",
                )
            from featurebase_provider.stores.sql.armed import ArmedSql

            text = self.entry_text(create=self.create, missing="there is no such row")
            return ArmedSql(self.full_name, opener(connection), self.plan(), text)

    def _postgres(self, connection: "Connection") -> "Callable[[], SqlSession]":
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        from featurebase_provider.stores.sql.session import connect_timeout

        extra = {"connect_timeout": connect_timeout(self.timeout), **connection.extra_dejson}
        extra.pop("cursor", None)  # rows are to be plain tuples
        login, password, port = connection.login, connection.password, connection.port
        if extra.pop("iam", False):  # the token is fetched by way of another Airflow connection
            hook = PostgresHook(postgres_conn_id=self.conn_id, connection=connection)
            with self._login_errors():
                login, password, port = hook.get_iam_token(connection)
        # What the hook reads of a connection. Of Airflow's own, to read the extra is a call to Airflow each time.
        known: Any = SimpleNamespace(
            host=connection.host,
            login=login,
            password=password,
            port=port,
            schema=connection.schema,
            extra_dejson=extra,
        )
        return partial(self._open_postgres, PostgresHook(postgres_conn_id=self.conn_id, connection=known))

    def _open_postgres(self, hook: "PostgresHook") -> "SqlSession":
        from featurebase_provider.stores.sql.session import PostgresSession

        with hook_errors(self.full_name, conn_id=self.conn_id, extra="sql"), self._login_errors():
            session = PostgresSession(self.full_name, hook.get_conn, self.timeout)
        if not (self.allow_unencrypted or session.is_private):
            session.close()
            raise StoreUnusable(
                self.full_name,
                "its connection to another host is not encrypted; nothing was sent",
                'Set {"sslmode": "verify-full"} in the connection\'s extra, or write allow_unencrypted: true',
            )
        return session

    @contextmanager
    def _login_errors(self) -> "Iterator[None]":
        try:
            yield
        except ImportError:
            raise
        except Exception as error:  # noqa: BLE001  the driver's, or that of a token's source
            raise StoreUnreachable(
                self.full_name,
                f"PostgreSQL did not answer, or refused the login ({error.__class__.__name__}); nothing was changed",
                f"Check host, port, database (schema), login and password of the connection {self.conn_id}",
            ) from None  # the text may quote the connection

    def _sqlite(self, connection: "Connection") -> "Callable[[], SqlSession]":
        from airflow.providers.sqlite.hooks.sqlite import SqliteHook

        hook = SqliteHook(sqlite_conn_id=connection.conn_id)  # type: ignore[no-untyped-call]  # the provider leaves it so
        uri = hook.get_uri().replace("sqlite:///", "file:", 1)
        if "mode=" not in uri.partition("?")[2]:
            uri += f"{'&' if '?' in uri else '?'}mode=rw"  # a missing file is not to be created
        return partial(self._open_sqlite, uri)

    def _open_sqlite(self, uri: str) -> "SqlSession":
        import sqlite3

        from featurebase_provider.stores.sql.problems import sqlite_error
        from featurebase_provider.stores.sql.session import SqliteSession

        try:
            # The hook's own connection could be used on this thread only.
            opened = sqlite3.connect(uri, uri=True, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise sqlite_error(self.full_name, error) from None
        return SqliteSession(self.full_name, sqlite3, opened, self.timeout)


def _parsed(field: str, text: str, verbs: tuple[str, ...], allowed: tuple[str, ...]) -> SqlStatement:
    try:
        return parse_sql(text, verbs=verbs, allowed=allowed)
    except ValueError as error:
        raise ValueError(f"{field} {error}") from None
