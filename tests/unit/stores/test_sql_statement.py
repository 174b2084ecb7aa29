from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.stores.sql.statement import parse_sql

VERBS, ALLOWED = ("SELECT", "UPDATE", "WITH"), ("secret", "previous")


@pytest.mark.parametrize(
    ("text", "pyformat"),
    [
        ("UPDATE t SET a = :secret, b=:previous", "UPDATE t SET a = %(secret)s, b=%(previous)s"),
        ("UPDATE t SET a = :secret::text;\n", "UPDATE t SET a = %(secret)s::text"),
        ("SELECT ':secret', ':it''s', E'\\':x', \":y\", `:z`", "SELECT ':secret', ':it''s', E'\\':x', \":y\", `:z`"),
        ("SELECT $$ :x ; $$, $tag$ :y $$ $tag$, a[1:n]", "SELECT $$ :x ; $$, $tag$ :y $$ $tag$, a[1:n]"),
        ("SELECT 1 -- :x; 100%\n/* :y; */ % :secret", "SELECT 1 -- :x; 100%%\n/* :y; */ %% %(secret)s"),
        ("-- first\n/* then */ select now()", "-- first\n/* then */ select now()"),
        ("SELECT '%s', :secret LIKE '%(a)s%'", "SELECT '%%s', %(secret)s LIKE '%%(a)s%%'"),
    ],
)
def test_only_parameters_are_replaced(text: str, pyformat: str) -> None:
    statement = parse_sql(text, verbs=VERBS, allowed=ALLOWED)
    assert statement.pyformat == pyformat
    assert statement.named == text.rstrip().rstrip(";")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with SELECT or UPDATE or WITH"),
        ("-- SELECT\nDROP TABLE t", "must begin with"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT ';' ; -- done\nSELECT 2", "one statement"),
        ("SELECT :other", "has the parameter :other; there is :secret, :previous"),
        ("SELECT 'a':other", "has the parameter :other"),
    ],
)
def test_faults(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_sql(text, verbs=VERBS, allowed=ALLOWED)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_whatever_a_quoted_text_holds_stays_in_it(text: str) -> None:
    """Checked against SQLite's own reading of the statement."""
    quoted = text.replace("'", "''")
    statement = parse_sql(f"SELECT '{quoted}', :secret", verbs=VERBS, allowed=ALLOWED)
    assert statement.names == ("secret",)
    connection = sqlite3.connect(":memory:")
    try:
        assert connection.execute(statement.named, {"secret": "s"}).fetchone() == (text, "s")
    finally:
        connection.close()
    assert statement.pyformat % {"secret": ":secret"} == f"SELECT '{quoted}', :secret"
