"""What only a real Redis shows of the store ``redis``: lost connections, rights, messages to receivers."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreRefused, StoreUnreachable, StoreUnusable
from featurebase_provider.rotation.store import SecretPair, StoreMark
from featurebase_provider.stores import redis as redis_module
from tests.contract.redis_cases import MAY_READ, RedisCase, RedisHashCase, RedisStringCase
from tests.contract.store_case import ALL_VALUES, HELD, HELD_PREVIOUS, NEW, ready, write_to
from tests.servers.redis_server import admin, redis_replica, redis_server, tls
from tests.servers.relay import relay_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com")
PAIR = SecretPair(SigningSecret(NEW), SigningSecret(HELD))


@pytest.fixture(params=[RedisStringCase, RedisHashCase], ids=["string", "hash"])
def case(request: pytest.FixtureRequest) -> Iterator[RedisCase]:
    built: RedisCase = request.param()
    built.put(HELD, HELD_PREVIOUS)
    yield built
    built.close()


@contextmanager
def setting(case: RedisCase, name: str, value: str) -> Iterator[None]:
    before = case.admin.config_get(name)[name]
    case.admin.config_set(name, value)
    try:
        yield
    finally:
        case.admin.config_set(name, before)


def test_subscribers_hear_of_the_write_when_they_can_read_it(case: RedisCase) -> None:
    """They hear the fingerprint, once, and nothing of the proof or of a write that changes nothing."""
    with case.admin.pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.subscribe(f"{case.key}:reload")
        assert subscriber.get_message(timeout=5) is None
        armed = ready(case.config())
        armed.prove_writable()
        write_to(armed, PAIR, held=armed.read(), mark=MARK)
        write_to(armed, PAIR, held=armed.read(), mark=MARK)
        message = subscriber.get_message(timeout=60)
        assert message is not None
        assert message["data"] == fingerprint_of(NEW)
        assert subscriber.get_message(timeout=0.05) is None


def test_a_lost_connection_is_opened_again(case: RedisCase) -> None:
    """Between arming and reading, and between reading and writing."""
    with relay_to("127.0.0.1", redis_server()) as relay:
        armed = ready(case.config(conn_id=case.connection(case.user(case.may_write), relay.port)))
        relay.cut()
        held = armed.read()
        relay.cut()
        write_to(armed, PAIR, held=held, mark=MARK)
        assert armed.read().current == SigningSecret(NEW)


def test_a_silent_server_is_given_up_on(case: RedisCase) -> None:
    with relay_to("127.0.0.1", redis_server()) as relay:
        armed = ready(case.config(conn_id=case.connection(case.user(case.may_write), relay.port), timeout=0.1))
        held = armed.read()
        relay.fall_silent()
        with pytest.raises(StoreUnreachable):
            write_to(armed, PAIR, held=held, mark=MARK)


@pytest.mark.parametrize(("name", "value"), [("min-replicas-to-write", "9"), ("maxmemory", "1")])
def test_a_server_that_takes_no_writes_now_is_an_outage(case: RedisCase, name: str, value: str) -> None:
    """The proof notices it, and the write changes nothing."""
    armed = ready(case.config())
    held, before = armed.read(), case.evidence()
    with setting(case, name, value):
        with pytest.raises(StoreUnreachable):
            armed.prove_writable()
        with pytest.raises(StoreUnreachable):
            write_to(armed, PAIR, held=held, mark=MARK)
    assert case.evidence() == before


@pytest.mark.parametrize("read_only", ["yes", "no"])
@pytest.mark.parametrize("without", ["", "+info"])
def test_a_replica_is_refused(case: RedisCase, read_only: str, without: str) -> None:
    """One that takes writes loses them with the next synchronisation, which only INFO tells."""
    user = f"user-{case.key.removeprefix('app:')}"
    rights = " ".join(right for right in case.may_write.split() if right != without)
    with admin(redis_replica()) as replica:
        replica.config_set("replica-read-only", read_only)
        replica.execute_command("ACL", "SETUSER", user, "on", ">of-the-tests", "~*", "&*", *rights.split())
        wait_for(replica, case.key)
    armed = ready(case.config(conn_id=case.connection(user, redis_replica())))
    if without and read_only == "no":
        assert armed.prove_writable().proven
    else:
        with pytest.raises(StoreRefused, match="replica.*primary"):
            armed.prove_writable()


def wait_for(replica: redis.Redis, key: str) -> None:
    deadline = time.monotonic() + 60
    while not replica.exists(key):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_server_that_drops_keys_is_said(case: RedisCase) -> None:
    case.put_to_stay(HELD)
    with setting(case, "maxmemory", "1gb"), setting(case, "maxmemory-policy", "allkeys-lru"):
        assert "allkeys-lru" in ready(case.config()).prove_writable().warning
    assert not ready(case.config()).prove_writable().warning


def test_a_user_that_may_not_ask_for_endings_hears_of_none(case: RedisCase) -> None:
    rights = case.may_write.replace("+pttl", "").replace("+info", "")
    proof = ready(case.config(conn_id=case.connection(case.user(rights)))).prove_writable()
    assert (proof.proven, proof.warning) == (True, "")


@pytest.mark.parametrize(("schema", "db", "lands"), [("", 4, 4), ("4", "4", 4), ("0", None, 0), ("settings", 4, 4)])
def test_the_database_is_the_hooks(case: RedisCase, schema: str, db: Any, lands: int) -> None:
    user = case.user(f"{case.may_write} +select")
    conn_id = case.connection(user, schema=schema, **({"db": db} if db is not None else {}))
    armed = ready(case.config(conn_id=conn_id, create=True))
    assert f"database {lands}" in armed.prove_writable().detail
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    with admin(db=lands, decode_responses=True) as client:
        assert client.exists(case.key)
        if lands:
            client.flushdb()


@pytest.mark.parametrize(
    ("uri", "named", "used"), [("/4", 4, 0), ("/4?db=3", 4, 3), ("/0?db=3", 0, 3), ("/4?db=x", 4, "x")]
)
def test_two_databases_in_one_connection_are_refused(case: RedisCase, uri: str, named: int, used: Any) -> None:
    """Written as people write it; which one receivers read can't be told from here."""
    uri = f"redis://nobody:pw@127.0.0.1:{redis_server()}{uri}"
    case.patch.setenv("AIRFLOW_CONN_REDIS_BY_URI", uri)
    with pytest.raises(StoreUnusable, match=rf"names database {named},.*means database {used};") as caught:
        case.config(conn_id="redis_by_uri").arm()
    assert "pw" not in str(caught.value)


def test_a_user_that_may_not_ask_proves_nothing(case: RedisCase) -> None:
    rights = case.may_write.replace("+acl|dryrun", "")
    proof = ready(case.config(conn_id=case.connection(case.user(rights)))).prove_writable()
    assert not proof.proven
    assert "ACL DRYRUN" in proof.detail


@pytest.mark.parametrize("without", ["+publish", "+del +hdel", "+set +hset", "+exists"])
def test_a_missing_right_is_found_and_leaves_the_secret_alone(case: RedisCase, without: str) -> None:
    """A script has no rollback: it puts back what it wrote before it was refused."""
    rights = " ".join(right for right in case.may_write.split() if right not in without.split())
    conn_id = case.connection(case.user(rights))
    held = ready(case.config()).read()
    armed = ready(case.config(conn_id=conn_id))
    with pytest.raises(StoreRefused):
        armed.prove_writable()
    with pytest.raises(StoreRefused):
        write_to(armed, SecretPair(SigningSecret(NEW)), held=held, mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert (seen.current, seen.previous) == (HELD, HELD_PREVIOUS)


def test_a_channel_that_the_user_may_not_use_is_found(case: RedisCase) -> None:
    armed = ready(case.config(channel="elsewhere"))
    with pytest.raises(StoreRefused, match="PUBLISH"):
        armed.prove_writable()
    with pytest.raises(StoreRefused):
        write_to(armed, PAIR, held=armed.read(), mark=MARK)
    seen = case.seen()
    assert seen is not None
    assert seen.current == HELD


def test_a_refused_login_shows_no_password(case: RedisCase) -> None:
    with pytest.raises(StoreRefused, match="login") as caught:
        ready(case.config(conn_id=case.connection("nobody")))
    assert "of-the-tests" not in f"{caught.value}{caught.value.args}"


def test_tls_reaches_another_host(case: RedisCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "is_loopback", lambda host: False)
    port, certificate = tls()
    extra = {"ssl": True, "ssl_ca_certs": certificate, "ssl_check_hostname": True}
    conn_id = case.connection(case.user(case.may_write), port, **extra)
    armed = ready(case.config(conn_id=conn_id))
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    assert armed.read().current == SigningSecret(NEW)


def test_a_user_without_ping_logs_in(case: RedisCase) -> None:
    assert ready(case.config(conn_id=case.connection(case.user(MAY_READ)))).read().current == SigningSecret(HELD)


def test_a_missing_field_is_refused_without_the_others_names_where_they_may_not_be_listed() -> None:
    case = RedisHashCase()
    case.admin.hset(case.key, "owner", "feedback-team")
    rights = " ".join(right for right in case.may_write.split() if right != "+hkeys")
    armed = ready(case.config(conn_id=case.connection(case.user(rights))))
    with pytest.raises(StoreRefused, match="the hash holds no key signing; nothing was changed"):
        armed.prove_writable()
    case.close()


def test_a_field_of_an_existing_hash_is_added_if_asked() -> None:
    case = RedisHashCase()
    case.admin.hset(case.key, "owner", "feedback-team")
    armed = ready(case.config(create=True))
    assert armed.read().current is None
    assert armed.prove_writable().proven
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    assert case.admin.hgetall(case.key) == {"owner": "feedback-team", "signing": NEW, "before": HELD}
    case.close()


def test_bytes_that_are_no_text_are_refused_without_quoting_them(case: RedisCase) -> None:
    case.remove()
    value = b"\xff\xfewhsec_secret"
    if isinstance(case, RedisHashCase):
        case.admin.hset(case.key, "signing", value)
    else:
        case.admin.set(case.key, value)
    with pytest.raises(StoreRefused, match="not UTF-8") as caught:
        ready(case.config()).read()
    assert caught.value.__suppress_context__


def test_logs_show_no_value(case: RedisCase, caplog: pytest.LogCaptureFixture) -> None:
    """Neither ours nor those of the hook and the client, at debug level."""
    caplog.set_level(logging.DEBUG)
    armed = ready(case.config())
    armed.prove_writable()
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    armed.close()
    assert not [value for value in ALL_VALUES if value in caplog.text]
