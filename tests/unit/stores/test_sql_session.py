from __future__ import annotations

import sqlite3

import psycopg
import pytest

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.stores.shared.connection import is_loopback
from featurebase_provider.stores.sql.problems import postgres_error, sqlite_error
from featurebase_provider.stores.sql.session import connect_timeout


@pytest.mark.parametrize(
    ("error", "name", "kind"),
    [
        (sqlite3.OperationalError("database is locked"), None, StoreUnreachable),  # as Python 3.10 says it
        (sqlite3.OperationalError("database table is locked"), None, StoreUnreachable),
        (sqlite3.OperationalError("no such table: whsec_x"), None, StoreRefused),
        (sqlite3.OperationalError("whsec_x"), "SQLITE_BUSY_SNAPSHOT", StoreUnreachable),
        (sqlite3.OperationalError("whsec_x"), "SQLITE_IOERR_WRITE", StoreUnreachable),
        (sqlite3.IntegrityError("whsec_x"), "SQLITE_CONSTRAINT_PRIMARYKEY", StoreConflict),
        (sqlite3.IntegrityError("whsec_x"), "SQLITE_CONSTRAINT_CHECK", StoreRefused),
        (sqlite3.DatabaseError("whsec_x"), "SQLITE_NOTADB", StoreRefused),
    ],
)
def test_errors_of_sqlite(error: sqlite3.Error, name: str | None, kind: type[StoreError]) -> None:
    """Refusals, conflicts and outages are told apart, by code and never with SQLite's text."""
    if name:
        error.sqlite_errorname = name
    meant = sqlite_error("sql (x)", error)
    assert type(meant) is kind
    assert "whsec_x" not in str(meant)


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("40001", StoreConflict, "somebody else wrote"),
        ("23505", StoreConflict, "another row holds the same"),
        ("57014", StoreUnreachable, "did not answer in time"),
        ("25P04", StoreUnreachable, "did not answer in time"),  # PostgreSQL 17's transaction_timeout
        ("08006", StoreUnreachable, "did not answer in time"),
        ("25006", StoreUnreachable, "takes no writes"),
        ("23502", StoreRefused, "SQLSTATE 23502.*empty_previous"),
        ("42501", StoreRefused, "SQLSTATE 42501"),
    ],
)
def test_errors_of_postgresql(state: str, kind: type[StoreError], said: str) -> None:
    """What may pass is asked again; what a retry would meet again is refused."""
    with pytest.raises(kind, match=said) as caught:
        raise postgres_error("sql (x)", psycopg.errors.lookup(state)("whsec_x"), broken=False)
    assert type(caught.value) is kind
    assert "whsec_x" not in str(caught.value)


def test_connecting_takes_whole_seconds_and_at_least_two() -> None:
    assert [connect_timeout(seconds) for seconds in (0.1, 2, 2.1, 10.0)] == [2, 2, 3, 10]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "/var/run/postgresql"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example.com", "redis", "", "::ffff:10.0.0.1"])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)
