"""Tables of many shapes: where the proof says that the store can be written, every later write goes well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused
from featurebase_provider.rotation.one_store import Previous, WriteRule
from featurebase_provider.stores.sql import SqlStore
from tests.contract.sql_cases import NAME, PostgresCase, SqliteCase
from tests.contract.store_case import HELD, HELD_PREVIOUS, ready
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Iterator


WEBHOOK_ID = "507f1f77bcf86cd799439011"
NEXT = "whsec_MixedCase+/0123456789abcdefABCDEF="
KNOWN = frozenset(SigningSecret(value).fingerprint for value in (HELD, HELD_PREVIOUS, NEXT))
ROW = ("table", "key_column", "key_value", "value_column", "previous_column")


class Shape(NamedTuple):
    """A table that was changed, and what the proof then says: nothing, if each kind of write goes well."""

    sql: str
    says: str = ""
    config: dict[str, Any] = {}
    absent: bool = False
    error: type[StoreError] = StoreRefused


def statements(read: str, write: str, **more: Any) -> dict[str, Any]:
    return {**dict.fromkeys(ROW), "read_sql": read, "write_sql": write, **more}


BEFORE_UPDATE = """
    CREATE FUNCTION {schema}.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NEW; END $$;
    CREATE TRIGGER t BEFORE INSERT OR UPDATE ON {schema}.settings FOR EACH ROW EXECUTE FUNCTION {schema}.f()
"""
AT_COMMIT = """
    CREATE FUNCTION {schema}.f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN %s; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON {schema}.settings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.f()
"""
ALTER = "ALTER TABLE {schema}.settings "
TABLE = "{schema}.settings"
HERE = f"WHERE name = '{NAME}'"
NOT_NULL = (
    f"UPDATE {TABLE} SET before = name WHERE before IS NULL; "
    + ALTER
    + "ALTER before SET DEFAULT '', ALTER before SET NOT NULL"
)
READ = f"SELECT value FROM {TABLE} {HERE}"

POSTGRES = {
    "text": Shape("SELECT 1"),
    "varchar": Shape(ALTER + "ALTER value TYPE varchar(255), ALTER before TYPE varchar(255)"),
    "citext": Shape("CREATE EXTENSION IF NOT EXISTS citext; " + ALTER + "ALTER value TYPE citext"),
    "domain": Shape("CREATE DOMAIN {schema}.d AS text; " + ALTER + "ALTER value TYPE {schema}.d"),
    "not null": Shape(NOT_NULL, r"23502: column before, table settings.* empty_previous: true"),
    "not null, empty": Shape(NOT_NULL, config={"empty_previous": True}),
    "not null, created": Shape(NOT_NULL, "23502", {"create": True}, absent=True),
    "not null, empty, created": Shape(NOT_NULL, config={"create": True, "empty_previous": True}, absent=True),
    "not null elsewhere, created": Shape(
        ALTER + "ALTER owner DROP DEFAULT, ALTER owner SET NOT NULL", "column owner.*default", {"create": True}, True
    ),
    "empty and unique": Shape(
        NOT_NULL + ", ADD CONSTRAINT one_each UNIQUE (before); UPDATE {schema}.settings SET before = '' "
        "WHERE name = 'another'",
        "another row holds the same .*one_each", {"empty_previous": True}, error=StoreConflict,
    ),
    "too short": Shape(ALTER + "ALTER value TYPE varchar(40)", "22001.*varchar"),
    "previous too short": Shape(ALTER + "ALTER before TYPE varchar(40)", "22001"),
    "cut by a type": Shape(ALTER + "ALTER value TYPE name", "the secret comes back cut to 63 of 64 characters"),
    "cut by a cast": Shape(
        "SELECT 1", "cut to 20 of 64",
        statements(READ, f"UPDATE {TABLE} SET value = :secret::varchar(20) {HERE}"),
    ),
    "padded": Shape(ALTER + "ALTER value TYPE char(80)", "the secret comes back with white space"),
    "padded if shorter": Shape(ALTER + "ALTER value TYPE char(64)", "the secret comes back with white space"),
    "previous padded": Shape(ALTER + "ALTER before TYPE char(64)", "the previous secret comes back with white space"),
    "lower case": Shape(BEFORE_UPDATE % "NEW.value = lower(NEW.value)", "in another case"),
    "previous lost": Shape(BEFORE_UPDATE % "NEW.before = NULL", "the previous secret is not there"),
    "previous kept": Shape(
        BEFORE_UPDATE % "NEW.before = coalesce(NEW.before, OLD.before)", "the previous secret is still there"
    ),
    "encrypted": Shape(BEFORE_UPDATE % "NEW.value = md5(NEW.value)", "as another text"),
    "raised": Shape(BEFORE_UPDATE % "IF NEW.before IS NULL THEN RAISE 'no'; END IF", "P0001.*trigger"),
    "raised with a secret in a name": Shape(
        BEFORE_UPDATE % "RAISE not_null_violation USING COLUMN = NEW.value", r"23502: column \[redacted\]"
    ),
    "raised for the same": Shape(BEFORE_UPDATE % "IF NEW.value = OLD.value THEN RAISE 'no'; END IF", "P0001"),
    "raised at the commit": Shape(AT_COMMIT % "RAISE EXCEPTION 'no'", "P0001"),
    "changed at the commit": Shape(
        AT_COMMIT % "UPDATE {schema}.settings SET value = lower(value) WHERE value <> lower(value)", "in another case"
    ),
    "foreign key at the commit": Shape(
        "CREATE TABLE {schema}.olds (v text PRIMARY KEY); INSERT INTO {schema}.olds SELECT before "
        "FROM {schema}.settings WHERE before IS NOT NULL; GRANT SELECT ON {schema}.olds TO PUBLIC; "
        + ALTER + "ADD CONSTRAINT known FOREIGN KEY (before) REFERENCES {schema}.olds DEFERRABLE INITIALLY DEFERRED",
        "23503: constraint known",
    ),
    "check": Shape(ALTER + "ADD CONSTRAINT plain CHECK (value ~ '^[a-z0-9_]+$') NOT VALID", "23514: constraint plain"),
    "check of the previous": Shape(ALTER + "ADD CONSTRAINT two CHECK (before <> '') NOT VALID, ADD CONSTRAINT one "
        "CHECK (before IS NOT NULL) NOT VALID", "23514: constraint one",
    ),
    "enum": Shape(
        f"CREATE TYPE {{schema}}.e AS ENUM ('{HELD}', '{HELD_PREVIOUS}'); "
        + ALTER + "ALTER value TYPE {schema}.e USING value::{schema}.e",
        "22P02|42804",
    ),
    "json": Shape(ALTER + "ALTER value TYPE jsonb USING NULL", "22P02"),
    "document": Shape(ALTER + "ALTER value TYPE jsonb USING '{{}}'", "holds a dict.*read_sql and write_sql"),
    "generated": Shape(
        ALTER + "ADD shown text GENERATED ALWAYS AS (lower(value)) STORED", "in another case",
        statements(f"SELECT shown FROM {TABLE} {HERE}", f"UPDATE {TABLE} SET value = :secret {HERE}"),
    ),
    "row security": Shape(
        ALTER + "ENABLE ROW LEVEL SECURITY; CREATE POLICY r ON {schema}.settings FOR SELECT USING (true)",
        "changed no row.*row-level security",
    ),
    "row security of what is written": Shape(
        ALTER + "ENABLE ROW LEVEL SECURITY; CREATE POLICY r ON {schema}.settings USING (true) "
        "WITH CHECK (before IS NOT NULL)",
        "42501",
    ),
    "rule": Shape("CREATE RULE r AS ON UPDATE TO {schema}.settings DO INSTEAD NOTHING", "changed no row"),
    "partitions": Shape(
        "CREATE TABLE {schema}.p (LIKE {schema}.settings) PARTITION BY HASH (value); "
        "CREATE TABLE {schema}.p0 PARTITION OF {schema}.p FOR VALUES WITH (MODULUS 2, REMAINDER 0); "
        "CREATE TABLE {schema}.p1 PARTITION OF {schema}.p FOR VALUES WITH (MODULUS 2, REMAINDER 1); "
        "INSERT INTO {schema}.p SELECT * FROM {schema}.settings; GRANT ALL ON {schema}.p TO PUBLIC",
        config={"table": "{schema}.p"},
    ),
    "no partition": Shape(
        "CREATE TABLE {schema}.p (LIKE {schema}.settings) PARTITION BY LIST (before); "
        f"CREATE TABLE {{schema}}.p0 PARTITION OF {{schema}}.p FOR VALUES IN ('{HELD_PREVIOUS}'); "
        "INSERT INTO {schema}.p SELECT * FROM {schema}.settings " + HERE + "; GRANT ALL ON {schema}.p TO PUBLIC",
        "23514", {"table": "{schema}.p"},
    ),
    "view": Shape(
        "CREATE VIEW {schema}.v AS SELECT * FROM {schema}.settings; GRANT ALL ON {schema}.v TO PUBLIC",
        config={"table": "{schema}.v"},
    ),
    "view with a check": Shape(
        "CREATE VIEW {schema}.v AS SELECT * FROM {schema}.settings WHERE before IS NOT NULL WITH CHECK OPTION; "
        "GRANT ALL ON {schema}.v TO PUBLIC",
        "44000", {"table": "{schema}.v"},
    ),
    "mask": Shape(
        "CREATE VIEW {schema}.v AS SELECT name, left(value, 6) || '****' AS value FROM {schema}.settings; "
        "GRANT ALL ON {schema}.v TO PUBLIC",
        "as another text",
        statements(f"SELECT value FROM {{schema}}.v {HERE}", f"UPDATE {TABLE} SET value = :secret {HERE}", adopt=True),
    ),
    "null is expected": Shape(
        "UPDATE {schema}.settings SET value = NULL", "changed no row.*IS NOT DISTINCT FROM",
        statements(READ, f"UPDATE {TABLE} SET value = :secret {HERE} AND value = :expected"),
    ),
    "webhook id": Shape(
        "ALTER TABLE {schema}.settings ADD hook text, ADD print text; GRANT UPDATE (hook, print) ON {schema}.settings "
        "TO PUBLIC",
        config=statements(
            READ, f"UPDATE {TABLE} SET value = :secret, hook = :webhook_id, print = :fingerprint {HERE}"
        ),
    ),
    "no room for the webhook id": Shape(
        "ALTER TABLE {schema}.settings ADD hook varchar(20); GRANT UPDATE (hook) ON {schema}.settings TO PUBLIC",
        "22001", statements(READ, f"UPDATE {TABLE} SET value = :secret, hook = :webhook_id {HERE}"),
    ),
    "picked by the webhook id": Shape(
        f"UPDATE {TABLE} SET owner = '{WEBHOOK_ID}' {HERE}",
        config=statements(READ, f"UPDATE {TABLE} SET value = :secret WHERE owner = :webhook_id"),
    ),
    "another webhook's": Shape(
        f"UPDATE {TABLE} SET owner = '{'a' * 24}' {HERE}", "changed no row",
        statements(READ, f"UPDATE {TABLE} SET value = :secret WHERE owner = :webhook_id"),
    ),
}  # fmt: skip

SQLITE_TABLE = "CREATE TABLE settings (name TEXT PRIMARY KEY, value %s, before %s, owner DEFAULT 'feedback-team')%s"
SQLITE = {
    "no types": Shape(SQLITE_TABLE % ("", "", "")),
    "strict": Shape((SQLITE_TABLE % ("TEXT", "TEXT", " STRICT")).replace("owner", "owner ANY")),
    "not null": Shape(
        SQLITE_TABLE % ("", "NOT NULL DEFAULT ''", ""),
        r"SQLITE_CONSTRAINT_NOTNULL: settings\.before.* empty_previous: true",
    ),
    "not null, empty": Shape(SQLITE_TABLE % ("", "NOT NULL DEFAULT ''", ""), config={"empty_previous": True}),
    "not null, empty, created": Shape(
        SQLITE_TABLE % ("", "NOT NULL DEFAULT ''", ""), config={"empty_previous": True, "create": True}, absent=True
    ),
    "check": Shape(
        SQLITE_TABLE % ("CONSTRAINT short CHECK (length(value) < 50)", "", ""), "SQLITE_CONSTRAINT_CHECK: short"
    ),
    "numbers": Shape(
        (SQLITE_TABLE % ("INT", "TEXT", " STRICT")).replace("owner", "owner ANY"),
        "SQLITE_CONSTRAINT_DATATYPE|IntegrityError",  # Python 3.10 tells no code
    ),
    "lower case": Shape(
        SQLITE_TABLE % ("", "", "")
        + "; CREATE TRIGGER t AFTER UPDATE ON settings BEGIN UPDATE settings SET value = lower(value); END",
        "in another case",
    ),
    "raised": Shape(
        SQLITE_TABLE % ("", "", "") + "; CREATE TRIGGER t BEFORE UPDATE ON settings WHEN NEW.before IS NULL "
        "BEGIN SELECT RAISE(ABORT, 'no'); END",
        "SQLITE_CONSTRAINT_TRIGGER.*trigger|IntegrityError",
    ),
    "ignored": Shape(
        SQLITE_TABLE % ("", "", "") + "; CREATE TRIGGER t BEFORE UPDATE ON settings WHEN NEW.before IS NULL "
        "BEGIN SELECT RAISE(IGNORE); END",
        "changed no row",
    ),
    "generated": Shape(
        SQLITE_TABLE % ("", "", "") + "; ALTER TABLE settings ADD shown AS (lower(value))",
        "in another case",
        statements(f"SELECT shown FROM settings {HERE}", f"UPDATE settings SET value = :secret {HERE}"),
    ),
}


@pytest.fixture
def postgres_case() -> Iterator[PostgresCase]:
    built = PostgresCase()
    yield built
    built.close()


@pytest.fixture
def sqlite_case() -> Iterator[SqliteCase]:
    built = SqliteCase()
    built.sql("DROP TABLE settings")
    yield built
    built.close()


def filled(fields: dict[str, Any], **names: str) -> dict[str, Any]:
    return {field: value.format(**names) if isinstance(value, str) else value for field, value in fields.items()}


@pytest.mark.parametrize("shape", POSTGRES.values(), ids=POSTGRES)
def test_postgres(postgres_case: PostgresCase, shape: Shape) -> None:
    case = postgres_case
    if not shape.absent:
        case.put(HELD, HELD_PREVIOUS)
    if "AS ENUM" in shape.sql:
        case.sql(f"DELETE FROM {TABLE} WHERE name <> '{NAME}'")
    case.sql(shape.sql)
    judge(case, case.config(**filled(shape.config, schema=case.schema)), shape)


@pytest.mark.parametrize("shape", SQLITE.values(), ids=SQLITE)
def test_sqlite(sqlite_case: SqliteCase, shape: Shape) -> None:
    case = sqlite_case
    table, _, more = shape.sql.partition("; ")
    case.sql(table)
    if "INT" in table:
        case.sql("INSERT INTO settings (name) VALUES (?)", NAME)
    elif not shape.absent:
        case.put(HELD, HELD_PREVIOUS)
    if more:
        case.sql(more)
    judge(case, case.config(**shape.config), shape)


def judge(case: PostgresCase | SqliteCase, config: SqlStore, shape: Shape) -> None:
    """Ask preflight; then do what it promised: a rotation, another, an end of the previous secret, an emergency."""
    before = case.evidence()
    terms = WriteRule(WEBHOOK_ID, "here", known=KNOWN, keeps_previous=config.keeps_previous)
    (checked,) = check_stores([config], terms, current=SigningSecret(HELD).fingerprint)
    assert case.evidence() == before
    if shape.says:
        with pytest.raises(shape.error, match=shape.says) as caught:
            raise checked.problem or AssertionError(f"preflight says {checked.writability}")
        assert type(caught.value) is shape.error
        assert "whsec_" not in str(caught.value)
        return
    assert (checked.problem, checked.writability and checked.writability.proven) == (None, True)
    for secret, previous in (
        (NEXT, Previous.KEEP),
        (HELD, Previous.KEEP),
        (HELD, Previous.DROP),
        (NEXT, Previous.DROP),
    ):
        rule = WriteRule(WEBHOOK_ID, "here", known=KNOWN, keeps_previous=config.keeps_previous, previous=previous)
        armed = ready(config)
        converge(armed, SigningSecret(secret), rule)
        held = armed.read()
        assert held.current == SigningSecret(secret)
        assert (held.previous is not None) <= (previous is Previous.KEEP)
        armed.close()
