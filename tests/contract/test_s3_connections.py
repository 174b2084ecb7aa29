"""S3 behind a relay that cuts connections between arming and writing, or goes silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from featurebase_provider.rotation.errors import StoreUnreachable
from tests.contract.s3_cases import S3JsonCase, moto_server
from tests.contract.store_case import HELD, NEW, write_to
from tests.contract.test_store_conformance import MARK, pair, raises_quietly
from tests.servers.relay import relay_to


@pytest.fixture
def behind_relay() -> Iterator[tuple]:
    case = S3JsonCase()
    case.put(HELD)
    parts = urlsplit(moto_server()[1])
    with relay_to(parts.hostname, parts.port) as relay:
        through = case.connection("root", "root", f"http://127.0.0.1:{relay.port}")
        yield case, relay, case.config(conn_id=through)
    case.close()


def test_a_connection_closed_between_arm_and_write_is_made_anew_or_told(behind_relay) -> None:
    """Either the write arrives, or it is said that it did not; a second try works in any case."""
    case, relay, config = behind_relay
    armed = config.arm()
    held = armed.read()
    relay.cut()
    time.sleep(0.05)  # until the closing has arrived
    try:
        write_to(armed, pair(NEW), held=held, mark=MARK)
    except StoreUnreachable:
        assert case.seen().current == HELD
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert case.seen().current == NEW
    armed.close()


def test_a_server_that_is_gone_after_arming_is_unreachable(behind_relay) -> None:
    """The store's value stays as it was, and the message names the store and no value."""
    case, relay, config = behind_relay
    armed = config.arm()
    held = armed.read()
    before = case.evidence()
    relay.close()
    for call in (armed.read, lambda: write_to(armed, pair(NEW), held=held, mark=MARK)):
        with raises_quietly(StoreUnreachable, config.full_name):
            call()
    assert case.evidence() == before
    armed.close()
