"""Places that refuse what only a pair's run writes: preflight finds it, and lets a single webhook's run pass."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.rotation.all_stores import rule_for
from featurebase_provider.rotation.check import check_stores
from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused
from featurebase_provider.rotation.one_store import WriteRule
from tests.contract.http_cases import EtcdCase
from tests.contract.kubernetes_secret_cases import KubernetesSecretCase
from tests.contract.sql_cases import NAME, PostgresCase, SqliteCase
from tests.contract.store_case import HELD, HELD_PREVIOUS
from tests.contract.test_store_conformance_pair import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.stores.base import StoreConfig


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def judge(config: StoreConfig, says: str, error: type[StoreError] = StoreRefused) -> None:
    """A single webhook's store can be written; a pair's can't, which is said without a value."""
    known = frozenset(map(fingerprint_of, (HELD, HELD_PREVIOUS)))
    single = rule_for(config, WriteRule("507f1f77bcf86cd799439011", "here", known))
    (checked,) = check_stores([config], single, current=fingerprint_of(HELD))
    assert checked.problem is None
    (checked,) = check_stores([config], rule(config, HELD, HELD_PREVIOUS), current=fingerprint_of(HELD))
    with pytest.raises(error, match=says) as caught:
        raise checked.problem or AssertionError(f"preflight says {checked.writability}")
    assert "whsec_" not in str(caught.value)


def test_two_columns_that_must_differ(stack: ExitStack) -> None:
    """Until the old secret's deliveries are over, both hold the new one."""
    case = PostgresCase()
    stack.callback(case.close)
    case.put(HELD, HELD_PREVIOUS)
    case.sql("ALTER TABLE {schema}.settings ADD CONSTRAINT apart CHECK (before <> value)")
    before = case.evidence()
    judge(case.config(), "23514: constraint apart")
    assert case.evidence() == before


def test_two_rows_of_a_unique_column(stack: ExitStack) -> None:
    """Each secret in a row of its own: the same one in both is what the column forbids."""
    case = PostgresCase()
    stack.callback(case.close)
    case.put(HELD)
    case.put_as("previous", HELD_PREVIOUS)
    case.sql("ALTER TABLE {schema}.settings ADD CONSTRAINT once UNIQUE (value) DEFERRABLE INITIALLY DEFERRED")
    table = f"{case.schema}.settings"
    rows = dict.fromkeys(("table", "key_column", "key_value", "value_column", "previous_column"))
    config = case.config(
        **rows,
        read_sql=f"SELECT c.value, p.value FROM {table} AS c, {table} AS p WHERE c.name = '{NAME}' "
        "AND p.name = 'previous'",
        write_sql=f"UPDATE {table} SET value = CASE name WHEN '{NAME}' THEN :secret ELSE :previous END "
        f"WHERE name IN ('{NAME}', 'previous')",
    )
    judge(config, "another row holds the same .*once", StoreConflict)


def test_a_trigger_that_forbids_a_change_of_the_previous_secret_alone(stack: ExitStack) -> None:
    case = SqliteCase()
    stack.callback(case.close)
    case.put(HELD, HELD_PREVIOUS)
    case.sql(
        "CREATE TRIGGER t BEFORE UPDATE ON settings WHEN NEW.value = OLD.value AND NEW.before IS NOT NULL "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    judge(case.config(), "SQLITE_CONSTRAINT_TRIGGER|IntegrityError")


def test_a_template_that_can_not_be_filled_in_with_the_same_secret_twice(stack: ExitStack) -> None:
    case = EtcdCase()
    stack.callback(case.close)
    case.put(HELD, HELD_PREVIOUS)
    body = case.config().body
    guarded = "{% if secret == previous %}{{ 1 // 0 }}{% endif %}" + (body or "")
    judge(case.config(body=guarded), "the template could not be filled in")


def test_the_api_server_tries_three_more_patches_for_a_pair(stack: ExitStack) -> None:
    """The same secret twice, a new one beside the one that stays, and a new one in place of that."""
    case = KubernetesSecretCase()
    stack.callback(case.close)
    case.put(HELD, HELD_PREVIOUS)
    config = case.config()
    before = len(case.cluster.requests)
    check_stores([config], rule_for(config, WriteRule("f" * 24, "here")), current=None)
    single = len(case.cluster.requests) - before
    check_stores([config], rule(config), current=None)
    assert len(case.cluster.requests) - before - single == single + 3
