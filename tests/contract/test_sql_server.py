"""What only a real database shows of the store ``sql``: lost connections, locks, rights, races."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from airflow.providers.postgres.hooks import postgres as hook_module

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.errors import StoreConflict, StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.jobs import Job, run_at_once
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark
from featurebase_provider.stores.sql import session as sql_session
from tests.contract.sql_cases import NAME, READ_GRANTS, PostgresCase, SqliteCase
from tests.contract.store_case import ALL_VALUES, HELD, HELD_PREVIOUS, NEW, THEIRS, ready, write_to
from tests.servers.postgres import PASSWORD, certificate, execute, postgres
from tests.servers.relay import relay_to
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com")
PAIR = SecretPair(SigningSecret(NEW), SigningSecret(HELD))
STATEMENTS = dict.fromkeys(("table", "key_column", "key_value", "value_column", "previous_column"))
KILL = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE 'role_%'"
UPDATE = "UPDATE {table} SET value = '{value}' WHERE name = '{name}'"


@pytest.fixture
def case() -> Iterator[PostgresCase]:
    built = PostgresCase()
    built.put(HELD)
    yield built
    built.close()


@contextmanager
def other_transaction(case: PostgresCase, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else, in the middle of a transaction."""
    login = {"host": "127.0.0.1", "port": postgres(), "user": "postgres", "password": PASSWORD, "dbname": "app"}
    with psycopg.connect(**login) as connection:
        for statement in statements:
            connection.execute(statement.format(table=f"{case.schema}.settings", name=NAME, value=THEIRS))
        yield connection


def waiting_for_lock() -> bool:
    return bool(execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.mark.parametrize("with_psycopg3", [True, False], ids=["psycopg", "psycopg2"])
def test_both_drivers_read_write_and_come_back(
    case: PostgresCase, with_psycopg3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that the server closed between arming, reading and writing is opened again."""
    monkeypatch.setattr(hook_module, "USE_PSYCOPG3", with_psycopg3)
    armed = ready(case.config())
    assert execute(KILL)[0][0] >= 1
    held = armed.read()
    execute(KILL)
    write_to(armed, PAIR, held=held, mark=MARK)
    with pytest.raises(StoreConflict):
        write_to(armed, SecretPair(SigningSecret(THEIRS)), held=held, mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous, seen.others) == (NEW, HELD, "feedback-team")
    armed.close()


@pytest.mark.parametrize("with_psycopg3", [True, False], ids=["psycopg", "psycopg2"])
def test_after_the_look_a_write_takes_two_round_trips(
    case: PostgresCase, with_psycopg3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement with the reading after it, and the commit; whoever writes meanwhile does not wait for the look."""
    monkeypatch.setattr(hook_module, "USE_PSYCOPG3", with_psycopg3)
    with relay_to("127.0.0.1", postgres()) as relay:
        role = case.role(READ_GRANTS, case.write_grants)
        armed = ready(case.config(conn_id=case.connection_of(role, relay.port, extra={"sslmode": "disable"})))
        held = armed.read()
        armed.look_again(held)
        relay.turns = 0
        armed.write(PAIR, held=held, mark=MARK)
        assert relay.turns == 2
        held = armed.read()
        assert (held.current, held.previous) == (PAIR.current, PAIR.previous)
        armed.look_again(held)
        case.put(THEIRS)
        with pytest.raises(StoreConflict):
            armed.write(SecretPair(SigningSecret(HELD)), held=held, mark=MARK)
        armed.close()


@pytest.mark.parametrize("with_psycopg3", [True, False], ids=["psycopg", "psycopg2"])
@pytest.mark.parametrize("ends", ["connection", "time"])
def test_a_transaction_that_ended_since_the_look_is_begun_anew(
    case: PostgresCase, ends: str, with_psycopg3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh may take longer than the server keeps an idle transaction; what is there is compared again."""
    monkeypatch.setattr(hook_module, "USE_PSYCOPG3", with_psycopg3)
    armed = ready(case.config(timeout=0.3 if ends == "time" else 10))
    for value, theirs in ((NEW, None), (HELD, THEIRS)):
        held = armed.read()
        armed.look_again(held)
        if ends == "connection":
            execute(KILL)
        else:
            threading.Event().wait(0.6)
        if theirs is not None:
            case.put(theirs)
            with pytest.raises(StoreConflict):
                armed.write(SecretPair(SigningSecret(value)), held=held, mark=MARK)
        else:
            armed.write(SecretPair(SigningSecret(value)), held=held, mark=MARK)
        seen = case.seen()
        assert seen is not None
        assert seen.current == (theirs or value)
    armed.close()


@pytest.mark.parametrize("end", ["read", "prove_writable", "close"])
def test_a_look_after_which_nothing_is_written_leaves_no_transaction(case: PostgresCase, end: str) -> None:
    armed = ready(case.config())
    held = armed.read()
    for _ in range(2):
        armed.look_again(held)
        assert transactions_of(case) == 1
    getattr(armed, end)()
    assert transactions_of(case) == 0
    armed.close()


def test_looks_of_two_threads_do_not_mix(case: PostgresCase) -> None:
    """One that hangs on while the refresh was ambiguous may still be under way when the write looks itself."""
    armed = ready(case.config())
    held = armed.read()
    with ThreadPoolExecutor(8) as threads:
        for ended in [threads.submit(armed.look_again, held) for _ in range(40)]:
            ended.result()
    armed.write(PAIR, held=held, mark=MARK)
    assert armed.read().current == SigningSecret(NEW)
    armed.close()


def transactions_of(case: PostgresCase) -> int:
    """How many transactions of our role are open, and idle."""
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'idle in transaction'"
    return int(execute(open_ones, [case.login])[0][0])


def test_a_token_for_the_login_is_fetched_before_connecting(
    case: PostgresCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes by way of another Airflow connection, for which only the main thread may ask."""
    asked: list[str | None] = []

    def token(hook: object, connection: Any) -> tuple[str, str, int]:
        asked.append(connection.login)
        return connection.login, "of-the-tests", connection.port

    monkeypatch.setattr(hook_module.PostgresHook, "get_iam_token", token)
    role = case.role(READ_GRANTS)
    armed = case.config(conn_id=case.connection_of(role, password="", extra={"iam": True})).arm()
    assert asked == [role]
    assert armed.read().current == SigningSecret(HELD)
    assert asked == [role]


def test_a_token_that_cannot_be_had_is_an_outage(case: PostgresCase, monkeypatch: pytest.MonkeyPatch) -> None:
    def token(hook: object, connection: object) -> None:
        raise RuntimeError("quotes of-the-tests")

    monkeypatch.setattr(hook_module.PostgresHook, "get_iam_token", token)
    with pytest.raises(StoreUnreachable, match="refused the login") as caught:
        case.config(conn_id=case.connection_of("any", extra={"iam": True})).arm()
    assert "of-the-tests" not in str(caught.value)


@pytest.mark.parametrize("with_psycopg3", [True, False], ids=["psycopg", "psycopg2"])
def test_a_silent_server_is_given_up_on(
    case: PostgresCase, with_psycopg3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_module, "USE_PSYCOPG3", with_psycopg3)
    with relay_to("127.0.0.1", postgres()) as relay:
        conn_id = case.connection_of(case.role(), relay.port)
        armed = ready(case.config(conn_id=conn_id, timeout=0.2))
        relay.fall_silent()
        with pytest.raises(StoreUnreachable):
            armed.read()


def test_a_lock_that_stays_is_an_outage(case: PostgresCase) -> None:
    armed = ready(case.config(timeout=0.2))
    with (
        other_transaction(case, "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
        pytest.raises(StoreUnreachable, match="57014"),
    ):
        armed.read()
    assert armed.read().current == SigningSecret(HELD)


@pytest.mark.parametrize(
    ("present", "statement"),
    [(True, UPDATE), (False, "INSERT INTO {table} (name, value) VALUES ('{name}', '{value}')")],
    ids=["update", "insert"],
)
def test_a_writer_in_the_same_instant_is_not_overwritten(case: PostgresCase, present: bool, statement: str) -> None:
    """Our write waits for the other's transaction, and gives way when that is committed."""
    if not present:
        case.remove()
    armed = ready(case.config(create=True))
    held = armed.read()
    with other_transaction(case, statement) as other, ThreadPoolExecutor(1) as threads:
        ours = threads.submit(armed.write, PAIR, held=held, mark=MARK)
        while not waiting_for_lock() and not ours.done():
            threading.Event().wait(0.01)
        other.commit()
        with pytest.raises(StoreConflict):
            ours.result()
    seen = case.seen()
    assert seen is not None
    assert seen.current == THEIRS


def test_the_documented_rights_are_enough(case: PostgresCase) -> None:
    """Columns only, and no INSERT where nothing is to be created."""
    page = (Path(__file__).parents[2] / "docs/stores/sql.md").read_text().replace("previous)", "before)")
    schema, columns, creating = (
        line.replace("app.", "{schema}.").replace(" app ", " {schema} ").replace("TO featurebase;", "TO {role}")
        for line in page.splitlines()
        if line.startswith("GRANT")
    )
    role = case.role(schema, columns)
    armed = ready(case.config(conn_id=case.connection_of(role)))
    assert armed.prove_writable().proven
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    assert armed.read().current == SigningSecret(NEW)
    case.remove()
    armed = ready(case.config(conn_id=case.connection_of(role), create=True))
    with pytest.raises(StoreRefused, match="42501"):
        armed.prove_writable()
    case.sql(creating, role=role)
    assert armed.prove_writable().proven


def test_a_server_that_takes_no_writes_is_asked_again(case: PostgresCase) -> None:
    """As a standby server is, and for a moment each server after a fail-over."""
    role = case.role("ALTER ROLE {role} SET default_transaction_read_only = on")
    case.sql(f"GRANT ALL ON {{schema}}.settings TO {role}; GRANT USAGE ON SCHEMA {{schema}} TO {role}")
    armed = ready(case.config(conn_id=case.connection_of(role)))
    with pytest.raises(StoreUnreachable, match="25006.*standby"):
        armed.prove_writable()
    with pytest.raises(StoreUnreachable, match="nothing was changed"):
        write_to(armed, PAIR, held=armed.read(), mark=MARK)


def test_triggers_notify_receivers_of_the_write_and_not_of_the_proof(case: PostgresCase) -> None:
    """The trigger of the documentation tells listeners when to reload."""
    case.sql("""
        CREATE FUNCTION {schema}.reload() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('webhook_secret', NEW.name); RETURN NULL; END $$;
        CREATE TRIGGER reload AFTER INSERT OR UPDATE OF value ON {schema}.settings
        FOR EACH ROW EXECUTE FUNCTION {schema}.reload()
    """)
    armed = ready(case.config())
    with other_transaction(case, "LISTEN webhook_secret") as listener:
        listener.commit()
        armed.prove_writable()
        assert list(listener.notifies(timeout=0.05)) == []
        write_to(armed, PAIR, held=armed.read(), mark=MARK)
        assert [note.payload for note in listener.notifies(timeout=60, stop_after=1)] == [NAME]


def test_a_function_can_be_all_that_the_user_may_call(case: PostgresCase) -> None:
    case.sql("""
        CREATE FUNCTION {schema}.put(secret text) RETURNS void LANGUAGE sql SECURITY DEFINER AS
        $$ UPDATE {schema}.settings SET value = secret WHERE name = 'webhook signing' $$
    """)
    role = case.role("GRANT USAGE ON SCHEMA {schema} TO {role}", "GRANT SELECT ON {schema}.settings TO {role}")
    config = case.config(
        conn_id=case.connection_of(role),
        **STATEMENTS,
        read_sql=f"SELECT value FROM {case.schema}.settings WHERE name = '{NAME}'",
        write_sql=f"SELECT {case.schema}.put(:secret)",
    )
    armed = ready(config)
    assert armed.prove_writable().proven
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    assert armed.read().current == SigningSecret(NEW)


def test_what_needs_an_unknown_webhook_id_cannot_be_proven(case: PostgresCase) -> None:
    """A webhook that is configured by its name has no id while Featurebase does not answer."""
    table = f"{case.schema}.settings"
    config = case.config(
        **STATEMENTS,
        read_sql=f"SELECT value FROM {table} WHERE name = '{NAME}'",
        write_sql=f"UPDATE {table} SET value = :secret WHERE owner = :webhook_id",
    )
    (checked,) = check_stores([config], WriteRule("", ""), current=None)
    assert checked.problem is None
    assert checked.writability is not None
    assert not checked.writability.proven
    assert ":webhook_id" in checked.writability.detail


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        ("SELECT value FROM {table}", "more than one row"),
        ("SELECT value, owner FROM {table} WHERE name = '{name}'", "2 columns, not 1"),
        ("SELECT nothing FROM {table}", "42703"),
    ],
    ids=["rows", "columns", "name"],
)
def test_a_read_that_finds_something_else_is_refused(case: PostgresCase, read: str, problem: str) -> None:
    table = f"{case.schema}.settings"
    config = case.config(
        **STATEMENTS,
        read_sql=read.format(table=table, name=NAME),
        write_sql=f"UPDATE {table} SET value = :secret WHERE name = '{NAME}'",
    )
    with pytest.raises(StoreRefused, match=problem):
        ready(config).read()


def test_a_write_to_another_row_is_rolled_back(case: PostgresCase) -> None:
    table = f"{case.schema}.settings"
    config = case.config(
        **STATEMENTS,
        read_sql=f"SELECT value FROM {table} WHERE name = '{NAME}'",
        write_sql=f"UPDATE {table} SET value = :secret WHERE name = 'another'",
    )
    armed = ready(config)
    before = case.evidence()
    with pytest.raises(StoreRefused, match="rolled back"):
        write_to(armed, PAIR, held=armed.read(), mark=MARK)
    assert case.evidence() == before


def test_a_refused_login_shows_no_password(case: PostgresCase) -> None:
    case.patch.setenv(
        "AIRFLOW_CONN_SQL_WRONG", f"postgres://nobody:not-the-password@127.0.0.1:{postgres()}/app?sslmode=disable"
    )
    with pytest.raises(StoreUnreachable, match="refused the login") as caught:
        ready(case.config(conn_id="sql_wrong"))
    assert "not-the-password" not in f"{caught.value}{caught.value.args}"


@pytest.mark.parametrize("with_psycopg3", [True, False], ids=["psycopg", "psycopg2"])
def test_nothing_goes_to_another_host_unencrypted(
    case: PostgresCase, with_psycopg3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS is needed, unless the configuration says otherwise; a reconnect keeps it."""
    monkeypatch.setattr(hook_module, "USE_PSYCOPG3", with_psycopg3)
    monkeypatch.setattr(sql_session, "is_loopback", lambda host: False)
    role = case.role(READ_GRANTS)
    plain = case.connection_of(role, extra={"sslmode": "disable"})
    with pytest.raises(StoreUnusable, match="not encrypted"):
        ready(case.config(conn_id=plain))
    assert ready(case.config(conn_id=plain, allow_unencrypted=True)).read().current == SigningSecret(HELD)
    verified = case.connection_of(role, extra={"sslmode": "verify-full", "sslrootcert": certificate()})
    armed = ready(case.config(conn_id=verified))
    execute(KILL)
    assert armed.read().current == SigningSecret(HELD)
    encrypted = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = %s"
    assert execute(encrypted, [role]) == [(True,)]


def test_logs_show_no_value(case: PostgresCase, caplog: pytest.LogCaptureFixture) -> None:
    """Neither ours nor those of the hook and the driver, at debug level."""
    caplog.set_level(logging.DEBUG)
    armed = ready(case.config())
    armed.prove_writable()
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    with pytest.raises(StoreConflict):
        write_to(armed, PAIR, held=StoredValue(None), mark=MARK)
    assert not [value for value in ALL_VALUES if value in caplog.text]


def test_two_rows_can_hold_the_two_secrets(case: PostgresCase) -> None:
    """The statements of the documentation."""
    case.put_as("signing_previous", HELD_PREVIOUS)
    table = f"{case.schema}.settings"
    config = case.config(
        **STATEMENTS,
        read_sql=f"""
            SELECT c.value, p.value FROM {table} AS c, {table} AS p
            WHERE c.name = '{NAME}' AND p.name = 'signing_previous'
        """,
        write_sql=f"""
            UPDATE {table} SET value = CASE name WHEN '{NAME}' THEN :secret ELSE :previous END
            WHERE name IN ('{NAME}', 'signing_previous')
        """,
    )
    armed = ready(config)
    assert armed.prove_writable().proven
    held = armed.read()
    assert held.previous == SigningSecret(HELD_PREVIOUS)
    write_to(armed, PAIR, held=held, mark=MARK)
    assert case.sql("SELECT value FROM {schema}.settings WHERE name = 'signing_previous'") == [(HELD,)]
    write_to(armed, SecretPair(SigningSecret(NEW)), held=armed.read(), mark=MARK)
    assert armed.read().previous is None


def test_two_webhooks_may_share_a_column(case: PostgresCase) -> None:
    """Each edits its entry of one document; whoever comes second reads again, and neither's secret is lost."""
    document = {"a": {"current": HELD}, "b": {"current": HELD}, "host": "a.example"}
    case.put(json.dumps(document))
    rule = WriteRule(MARK.webhook_id, "here", adopt=True)
    rounds = 15

    def rotate(name: str) -> None:
        armed = ready(case.config(previous_column=None, format="json", entry=f"{name}.current"))
        for number in range(rounds):
            done = False
            while not done:
                with suppress(StoreConflict):  # the push task goes on trying
                    converge(armed, SigningSecret(f"whsec_{name}_{number}"), rule)
                    done = True
        armed.close()

    with ThreadPoolExecutor() as threads:
        for ended in [threads.submit(rotate, name) for name in ("a", "b")]:
            ended.result()
    seen = case.seen()
    assert seen is not None
    assert json.loads(seen.current or "") == {
        **{name: {"current": f"whsec_{name}_{rounds - 1}"} for name in ("a", "b")},
        "host": "a.example",
    }


def test_sqlite_is_used_from_a_thread_and_gives_way_to_another_writer() -> None:
    """Rotations write from a thread; while another process writes, the file is in use."""
    case = SqliteCase()
    case.put(HELD, HELD_PREVIOUS)
    case.sql("PRAGMA journal_mode = WAL")
    armed = ready(case.config(timeout=0.1))
    done = run_at_once({"read": Job("sqlite", armed.read, 5)})["read"]
    assert done.error is None
    assert done.value is not None
    held = done.value
    with case.server_down():
        refused = run_at_once({"write": Job("sqlite", lambda: write_to(armed, PAIR, held=held, mark=MARK), 5)})["write"]
        assert isinstance(refused.error, StoreUnreachable)
    written = run_at_once({"write": Job("sqlite", lambda: write_to(armed, PAIR, held=held, mark=MARK), 5)})["write"]
    assert written.error is None
    assert armed.read().current == SigningSecret(NEW)
    armed.close()
    case.close()


def test_sqlite_lets_go_of_the_file_where_a_reader_keeps_it_from_committing() -> None:
    """A commit waits for readers in the old journal mode. One that fails must not go on keeping new readers out."""
    case = SqliteCase()
    case.put(HELD)
    armed = ready(case.config(timeout=0.1))
    held = armed.read()
    with closing(sqlite3.connect(case.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM settings").fetchone()
        assert armed.prove_writable().proven
        with pytest.raises(StoreUnreachable, match="SQLITE_BUSY"):
            write_to(armed, PAIR, held=held, mark=MARK)
        assert armed.read() == held
        with closing(sqlite3.connect(case.path, timeout=0)) as new_reader:
            assert new_reader.execute("SELECT count(*) FROM settings").fetchone() == (2,)
    write_to(armed, PAIR, held=held, mark=MARK)
    assert armed.read().current == SigningSecret(NEW)
    armed.close()
    case.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not tell SQLite's code")
def test_sqlite_goes_to_the_file_that_is_there_now() -> None:
    """Whoever restores a file from its backup replaces it; a push opens the new one."""
    case = SqliteCase()
    case.put(HELD)
    armed = ready(case.config())
    held = armed.read()
    restored = case.path.with_suffix(".restored")
    shutil.copy(case.path, restored)
    restored.replace(case.path)
    with pytest.raises(StoreUnreachable, match="SQLITE_READONLY_DBMOVED"):
        write_to(armed, PAIR, held=held, mark=MARK)
    again = ready(case.config())
    write_to(again, PAIR, held=again.read(), mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == NEW
    for one in (armed, again):
        one.close()
    case.close()


def test_sqlite_never_takes_a_columns_name_for_its_value() -> None:
    """SQLite reads an unknown name in double quotes as a text: it must not become a secret."""
    case = SqliteCase()
    case.put(HELD)
    with pytest.raises(StoreRefused):
        ready(case.config(value_column="nothing")).read()
    case.close()
