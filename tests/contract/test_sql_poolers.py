"""The store ``sql`` by way of a real PgBouncer, in each of its modes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.providers.postgres.hooks import postgres as hook_module

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreUnreachable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from tests.contract.sql_cases import READ_GRANTS, PostgresCase
from tests.contract.store_case import HELD, NEW, THEIRS, ready, write_to
from tests.servers.pgbouncer import PoolMode, pgbouncer

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com")


def pooled(mode: PoolMode) -> tuple[PostgresCase, str]:
    """A case, and a connection to it through the pooler."""
    case = PostgresCase()
    case.put(HELD)
    return case, case.connection_of(case.role(READ_GRANTS, case.write_grants), pgbouncer(mode))


@pytest.mark.parametrize("with_psycopg3", [True, False], ids=["psycopg", "psycopg2"])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_many_clients_share_the_poolers_servers(
    mode: PoolMode, with_psycopg3: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of ours outlives its transaction, so that another client's server will do for the next one."""
    monkeypatch.setattr(hook_module, "USE_PSYCOPG3", with_psycopg3)
    case, conn_id = pooled(mode)
    config = case.config(conn_id=conn_id)
    writer, *others = (ready(config) for _ in range(2 if mode == "session" else 6))
    with ThreadPoolExecutor() as threads:
        for value in (NEW, THEIRS, NEW):
            assert all(one.prove_writable().proven for one in others)
            reads = [threads.submit(one.read) for one in others]
            write_to(writer, SecretPair(SigningSecret(value)), held=writer.read(), mark=MARK)
            assert all(read.result().readable for read in reads)
            seen = case.seen()
            assert seen is not None
            assert seen.current == value
    for armed in (writer, *others):
        armed.close()
    case.close()


def test_a_pooler_that_allows_no_transactions_is_named() -> None:
    """Preflight says so, as already the first read needs one."""
    case, conn_id = pooled("statement")
    armed = ready(case.config(conn_id=conn_id))
    for ask in (armed.read, armed.prove_writable):
        with pytest.raises(StoreUnreachable, match="08P01.*one server for a whole transaction"):
            ask()
    armed.close()
    case.close()
