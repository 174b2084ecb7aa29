"""Rows in a real PostgreSQL, by a role that may do what docs/stores/sql.md grants, and in SQLite files."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest

from featurebase_provider.stores.sql import SqlStore
from tests.contract.store_case import HELD, Seen, StoreCase, not_applicable
from tests.servers.dead_servers import silent_server
from tests.servers.local_server import free_port
from tests.servers.postgres import execute, postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "webhook signing"
READ_GRANTS = "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {schema}.settings TO {role}"


class SqlCase(StoreCase):
    keeps_previous = True
    asks_airflow = True
    bare = True
    previous_as_current: ClassVar = {"value_column": "before", "previous_column": None}

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()

    def connection(self, **fields: Any) -> str:
        conn_id = f"sql_{uuid4().hex}"
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    def close(self) -> None:
        self.patch.undo()


class PostgresCase(SqlCase):
    """The row's names in the configuration."""

    calls_to_readable = 2
    """The statement, with what reads the row after it, and the commit; the transaction was begun by the look."""

    columns = "name text PRIMARY KEY, value text, before text, owner text DEFAULT 'feedback-team'"
    insert = "INSERT INTO {schema}.settings (name, value, before) VALUES (%(name)s, %(value)s, %(before)s)"
    update = "ON CONFLICT (name) DO UPDATE SET value = %(value)s, before = %(before)s"
    select = "SELECT value, before, owner FROM {schema}.settings WHERE name = %(name)s"
    lowered = "NEW.value = lower(NEW.value)"
    write_grants = "GRANT UPDATE (value, before), INSERT (name, value, before) ON {schema}.settings TO {role}"

    def __init__(self) -> None:
        super().__init__()
        self.schema = f"app_{uuid4().hex}"
        postgres()
        self.sql("CREATE SCHEMA {schema}")
        self.sql(f"CREATE TABLE {{schema}}.settings ({self.columns})")
        self.put_as("another", "something else")
        # With an extra, as each look at one is a call to Airflow.
        extra = {"application_name": "rotation"}
        self.login = self.role(READ_GRANTS, self.write_grants)
        self.conn_id = self.connection_of(self.login, extra=extra)

    def sql(self, statement: str, **parameters: Any) -> list[Any]:
        return execute(statement.format(schema=self.schema, role=parameters.pop("role", "")), parameters or None)

    def role(self, *grants: str) -> str:
        role = f"role_{uuid4().hex}"
        self.sql("CREATE ROLE {role} LOGIN PASSWORD 'of-the-tests'", role=role)
        for grant in grants:
            self.sql(grant, role=role)
        return role

    def connection_of(self, role: str, port: int | None = None, **fields: Any) -> str:
        login = {"conn_type": "postgres", "host": "127.0.0.1", "port": port or postgres(), "schema": "app"}
        return self.connection(**{**login, "login": role, "password": "of-the-tests", **fields})

    def config(self, **changes: Any) -> SqlStore:
        fields = {
            "conn_id": self.conn_id, "table": f"{self.schema}.settings", "key_column": "name", "key_value": NAME,
            "value_column": "value", "previous_column": "before",
        }  # fmt: skip
        return SqlStore(**{**fields, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_as(NAME, current, previous)

    def put_as(self, name: str, value: str, before: str | None = None) -> None:
        self.sql(f"{self.insert} {self.update}", name=name, value=value, before=before)

    def remove(self) -> None:
        self.sql("DELETE FROM {schema}.settings WHERE name = %(name)s", name=NAME)

    def seen(self) -> Seen | None:
        found = self.sql(self.select, name=NAME)
        return Seen(*found[0]) if found else None

    def evidence(self) -> Any:
        return self.sql("SELECT xmin, ctid, s FROM {schema}.settings AS s ORDER BY name")

    def put_wrong_type(self) -> None:
        self.put("7")
        self.sql("DELETE FROM {schema}.settings WHERE value !~ '^[0-9]+$'")
        self.sql("ALTER TABLE {schema}.settings ALTER COLUMN value TYPE bigint USING value::bigint")

    def missing_place(self) -> SqlStore:
        return self.config(table=f"{self.schema}.missing", create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[SqlStore]:
        yield self.config(conn_id=self.connection_of(self.role(READ_GRANTS)))

    @contextmanager
    def server_down(self) -> Iterator[SqlStore]:
        yield self.config(conn_id=self.connection_of("any", free_port()))

    @contextmanager
    def changing(self) -> Iterator[SqlStore]:
        self.sql(f"""
            CREATE FUNCTION {{schema}}.lower_it() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN {self.lowered}; RETURN NEW; END $$;
            CREATE TRIGGER lower_it BEFORE UPDATE ON {{schema}}.settings
            FOR EACH ROW EXECUTE FUNCTION {{schema}}.lower_it()
        """)
        yield self.config()
        self.sql("DROP FUNCTION {schema}.lower_it CASCADE")

    @contextmanager
    def dead(self) -> Iterator[tuple[SqlStore, Callable[[], None]]]:
        with silent_server() as server:
            yield self.config(conn_id=self.connection_of("any", server.port), timeout=300), server.wait


class PostgresStatementsCase(PostgresCase):
    """Statements in the configuration: a JSON document that many settings share."""

    previous_as_current = None

    columns = "name text PRIMARY KEY, doc jsonb NOT NULL"
    insert = (
        "INSERT INTO {schema}.settings (name, doc) VALUES (%(name)s, jsonb_build_object("
        "'value', %(value)s::text, 'before', %(before)s::text, 'owner', 'feedback-team'))"
    )
    update = "ON CONFLICT (name) DO UPDATE SET doc = EXCLUDED.doc"
    select = "SELECT doc->>'value', doc->>'before', doc->>'owner' FROM {schema}.settings WHERE name = %(name)s"
    lowered = "NEW.doc = lower(NEW.doc::text)::jsonb"
    write_grants = "GRANT UPDATE (doc), INSERT (name, doc) ON {schema}.settings TO {role}"

    def config(self, **changes: Any) -> SqlStore:
        table = changes.pop("table", f"{self.schema}.settings")
        fields = {
            "conn_id": self.conn_id,
            "read_sql": f"SELECT doc->>'value', doc->>'before' FROM {table} WHERE name = '{NAME}'",
            "write_sql": f"""
                INSERT INTO {table} AS s (name, doc)
                VALUES ('{NAME}', jsonb_build_object('value', :secret::text, 'before', :previous::text))
                ON CONFLICT (name) DO UPDATE SET doc = s.doc || EXCLUDED.doc  -- other keys stay; 100 % of them
            """,
        }
        return SqlStore(**{**fields, **changes})

    def put_wrong_type(self) -> None:
        not_applicable("->> makes a text of everything")


class PostgresJsonCase(PostgresCase):
    """A column of text that holds a JSON document."""

    bare = False
    misspelt: ClassVar = {"entry": "hooks.singing", "previous_entry": None}
    previous_as_current: ClassVar = {"entry": "hooks.before", "previous_entry": None}
    columns = "name text PRIMARY KEY, value text NOT NULL, owner text DEFAULT 'feedback-team'"
    insert = "INSERT INTO {schema}.settings (name, value) VALUES (%(name)s, %(value)s)"
    update = "ON CONFLICT (name) DO UPDATE SET value = %(value)s"
    select = "SELECT value, owner FROM {schema}.settings WHERE name = %(name)s"
    write_grants = "GRANT UPDATE (value), INSERT (name, value) ON {schema}.settings TO {role}"

    def config(self, **changes: Any) -> SqlStore:
        place = {"format": "json", "entry": "hooks.signing", "previous_entry": "hooks.before", "previous_column": None}
        return super().config(**{**place, **changes})

    def put_as(self, name: str, value: str, before: str | None = None) -> None:
        hooks = {"signing": value, "retries": 3} | ({"before": before} if before else {})
        super().put_as(name, json.dumps({"host": "a.example", "hooks": hooks}, indent=2))

    def seen(self) -> Seen | None:
        found = self.sql(self.select, name=NAME)
        if not found:
            return None
        document = json.loads(found[0][0])
        hooks = document["hooks"]
        return Seen(hooks.pop("signing", None), hooks.pop("before", None), (document, found[0][1]))

    def put_wrong_type(self) -> None:
        self.put(HELD)
        self.sql("""UPDATE {schema}.settings SET value = '{{"hooks": {{"signing": {{}}}}}}'""")


class SqliteCase(SqlCase):
    """A file: no call leaves the machine, so none is counted. The write looks itself: its lock keeps others waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="sqlite-")
        self.path = Path(self.folder.name, "app.db")
        self.sql("CREATE TABLE settings (name TEXT PRIMARY KEY, value, before, owner DEFAULT 'feedback-team')")
        self.sql("INSERT INTO settings (name, value) VALUES ('another', 'something else')")
        self.conn_id = self.connection_of(self.path)

    def connection_of(self, path: Path, **extra: str) -> str:
        return self.connection(conn_type="sqlite", host=str(path), extra=extra)

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def close(self) -> None:
        super().close()
        self.folder.cleanup()

    def config(self, **changes: Any) -> SqlStore:
        fields = {
            "conn_id": self.conn_id, "table": "settings", "key_column": "name", "key_value": NAME,
            "value_column": "value", "previous_column": "before",
        }  # fmt: skip
        return SqlStore(**{**fields, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        self.sql(
            "INSERT INTO settings (name, value, before) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, before = EXCLUDED.before",
            NAME, current, previous,
        )  # fmt: skip

    def remove(self) -> None:
        self.sql("DELETE FROM settings WHERE name = ?", NAME)

    def seen(self) -> Seen | None:
        found = self.sql("SELECT value, before, owner FROM settings WHERE name = ?", NAME)
        return Seen(*found[0]) if found else None

    def evidence(self) -> Any:
        folder = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in self.path.parent.iterdir()}
        return folder, self.sql("SELECT * FROM settings ORDER BY name")

    def put_wrong_type(self) -> None:
        self.sql("INSERT INTO settings (name, value) VALUES (?, ?)", NAME, HELD.encode())

    def missing_place(self) -> SqlStore:
        return self.config(conn_id=self.connection_of(self.path.with_name("missing.db")), create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[SqlStore]:
        yield self.config(conn_id=self.connection_of(self.path, mode="ro"))

    @contextmanager
    def server_down(self) -> Iterator[SqlStore]:
        """Another process keeps the file to itself."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield self.config(timeout=0.1)

    @contextmanager
    def changing(self) -> Iterator[SqlStore]:
        self.sql("CREATE TRIGGER lower_it AFTER UPDATE ON settings BEGIN UPDATE settings SET value = lower(value); END")
        yield self.config()
        self.sql("DROP TRIGGER lower_it")
