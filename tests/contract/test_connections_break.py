"""A real server behind a relay that cuts connections between arming and writing, or goes silent."""

from __future__ import annotations

import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from featurebase_provider.rotation.errors import StoreUnreachable
from tests.contract.hashicorp_vault_cases import VaultKv1Case, VaultKv2Case
from tests.contract.http_cases import ConsulCase, EtcdCase
from tests.contract.store_case import HELD, NEW, ready, write_to
from tests.contract.test_store_conformance import MARK, pair, raises_quietly
from tests.servers import openbao
from tests.servers.relay import relay_to


def vault_through(case, port):
    return case.connection(openbao.token_for(case.policy()), port)


def http_through(case, port):
    return case.connection(case.header(writes=True), f"http://127.0.0.1:{port}")


@pytest.fixture(
    params=[
        (VaultKv1Case, vault_through),
        (VaultKv2Case, vault_through),
        (ConsulCase, http_through),
        (EtcdCase, http_through),
    ],
    ids=lambda param: param[0].__name__,
)
def behind_relay(request):
    """A case that holds a value, a relay before its server, and the configuration that goes through it."""
    build, through = request.param
    case = build()
    case.put(HELD)
    parts = urlsplit(case.server if hasattr(case, "server") else case.url)
    with ExitStack() as stack:
        stack.callback(case.close)
        relay = stack.enter_context(relay_to(parts.hostname, parts.port))
        yield case, relay, case.config(conn_id=through(case, relay.port), timeout=0.5)


def test_a_connection_closed_between_arm_and_write_is_made_anew(behind_relay):
    case, relay, config = behind_relay
    armed = ready(config)
    held = armed.read()
    relay.cut()
    time.sleep(0.05)  # until the closing has arrived
    write_to(armed, pair(NEW), held=held, mark=MARK)
    assert case.seen().current == NEW


def test_a_silent_server_is_given_up_on(behind_relay):
    """The client's own timeout ends the wait, the store's value stays, and a later try works."""
    case, relay, config = behind_relay
    armed = ready(config)
    held = armed.read()
    before = case.evidence()
    relay.fall_silent()
    for call in (armed.read, lambda: write_to(armed, pair(NEW), held=held, mark=MARK)):
        with raises_quietly(StoreUnreachable, config.full_name):
            call()
    assert case.evidence() == before
    with raises_quietly(StoreUnreachable, config.full_name):
        ready(config).read()
