from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from featurebase_provider.rotation.errors import StoreUnusable
from featurebase_provider.stores.sql import SqlStore

ROW = {
    "conn_id": "app_db", "table": "app.settings", "key_column": "name", "key_value": "signing",
    "value_column": "value",
}  # fmt: skip
SQL = {
    "conn_id": "app_db",
    "read_sql": "SELECT value FROM settings WHERE name = 'signing'",
    "write_sql": "UPDATE settings SET value = :secret WHERE name = 'signing'",
}


def test_a_row_makes_qualified_statements_with_bound_values() -> None:
    plan = SqlStore(**ROW, previous_column="before").plan()
    assert plan.read.named == 'SELECT t."value", t."before" FROM "app"."settings" AS t WHERE t."name" = :key'
    assert plan.write.pyformat == (
        'UPDATE "app"."settings" AS t SET "value" = %(secret)s, "before" = %(previous)s WHERE t."name" = %(key)s'
    )
    assert plan.create.named == (
        'INSERT INTO "app"."settings" ("name", "value", "before") VALUES (:key, :secret, :previous)'
    )
    assert plan.fixed == {"key": "signing"}


def test_an_empty_text_can_stand_for_no_previous_secret() -> None:
    """For columns that are NOT NULL, as Django makes them."""
    plan = SqlStore(**ROW, previous_column="before", empty_previous=True).plan()
    assert """"before" = coalesce(%(previous)s, '')""" in plan.write.pyformat
    assert plan.create.named.endswith("VALUES (:key, :secret, coalesce(:previous, ''))")


def test_keeps_a_previous_secret_if_there_is_a_place_for_it() -> None:
    assert not SqlStore(**ROW).keeps_previous
    assert SqlStore(**ROW, previous_column="before").keeps_previous
    assert not SqlStore(**SQL).keeps_previous
    assert SqlStore(**{**SQL, "write_sql": "UPDATE t SET a = :secret, b = :previous"}).keeps_previous


def test_targets_name_the_place() -> None:
    assert SqlStore(**ROW).target == "sql://app_db/app.settings?name=signing#value"
    in_text = SqlStore(**ROW, format="json", entry="hooks.featurebase", previous_entry="hooks.old")
    assert in_text.target == "sql://app_db/app.settings?name=signing#value#hooks.featurebase"
    assert in_text.previous_target == "sql://app_db/app.settings?name=signing#value#hooks.old"
    assert SqlStore(**SQL).target == "sql://app_db/SELECT value FROM settings WHERE name = 'signing'"
    assert SqlStore(**{**SQL, "read_sql": f"\n  {SQL['read_sql']}\n"}).target == SqlStore(**SQL).target


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"conn_id": "a"}, "say where the secret lies: table, key_column, key_value, value_column; or read_sql"),
        ({**ROW, **SQL}, "name the row or write statements, not both"),
        ({**SQL, "previous_column": "b"}, "not both: previous_column, read_sql, write_sql"),
        ({"conn_id": "a", "table": "t", "key_column": "k"}, "table also needs key_value, value_column"),
        ({"conn_id": "a", "read_sql": "SELECT 1"}, "read_sql also needs write_sql"),
        ({**ROW, "previous_column": "value"}, "must differ"),
        ({**ROW, "empty_previous": True}, "empty_previous needs previous_column"),
        ({**SQL, "format": "json", "entry": "a"}, "an entry lies in the text of a value_column"),
        ({**ROW, "format": "json", "entry": "a", "previous_column": "b"}, "name its previous_entry"),
        ({**ROW, "table": 'x"; DROP TABLE y'}, "should match pattern"),
        ({**ROW, "table": "a.b.c"}, "should match pattern"),
        ({**ROW, "value_column": "va lue"}, "should match pattern"),
        ({**SQL, "write_sql": "UPDATE t SET a = 1"}, "write_sql must have the parameter :secret"),
        ({**SQL, "write_sql": "UPDATE t SET a = :secrets"}, "write_sql has the parameter :secrets; there is :secret,"),
        ({**SQL, "write_sql": "DELETE FROM t WHERE a = :secret"}, "write_sql must begin with UPDATE or INSERT"),
        ({**SQL, "write_sql": "UPDATE t SET a = :secret; COMMIT"}, "must be one statement"),
        ({**SQL, "read_sql": "UPDATE t SET a = 1"}, "read_sql must begin with SELECT or WITH"),
        ({**SQL, "read_sql": "SELECT a FROM t WHERE b = :webhook_id"}, "has the parameter :webhook_id; there is none"),
    ],
)  # fmt: skip
def test_faults_are_named(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlStore(**fields)
    assert problem in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("connection", "problem"),
    [(None, "there is no Airflow connection"), ({"conn_type": "mysql"}, "must be of type postgres or sqlite")],
    ids=["missing", "type"],
)
def test_a_connection_that_will_not_do(
    connection: dict[str, str] | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_APP_DB", json.dumps(connection))
    with pytest.raises(StoreUnusable, match=problem):
        SqlStore(**ROW).arm()


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_missing_provider_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APP_DB", json.dumps({"conn_type": kind, "host": "127.0.0.1"}))
    monkeypatch.setitem(__import__("sys").modules, f"airflow.providers.{kind}.hooks.{kind}", None)
    with pytest.raises(StoreUnusable, match=r"pip install 'airflow-provider-featurebase\[sql\]'"):
        SqlStore(**ROW).arm()
