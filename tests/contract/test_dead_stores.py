"""Stores whose servers are dead beside one that is well: they delay it by the slowest of them, never by their sum."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from featurebase_provider.rotation.all_stores import arming
from featurebase_provider.rotation.check import StoresToRead, check_stores, read_stores
from featurebase_provider.rotation.errors import StoreUnreachable
from featurebase_provider.rotation.refresh import CompareAndSwap
from featurebase_provider.rotation.rotate import rotate
from tests.contract.hashicorp_vault_cases import VaultKv2Case
from tests.servers.dead_servers import black_hole, silent_server
from tests.world.fakes import Clock, FakeFeaturebase, a_plan, a_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from featurebase_provider.stores.base import StoreConfig

TIMEOUT = 1.5
"""Seconds of each dead store: long beside what everything else takes."""


@pytest.fixture
def vault() -> Iterator[VaultKv2Case]:
    """A Vault that is well."""
    case = VaultKv2Case()
    case.put("whsec_0")
    arm([case.config()])  # imports what Vault needs, which is nobody's delay
    yield case
    case.close()


@pytest.fixture
def dead(vault: VaultKv2Case) -> Iterator[list[StoreConfig]]:
    """Three Vaults from which nobody gets an answer, nor a token at the login."""
    with ExitStack() as stack:
        ports = [
            stack.enter_context(silent_server()).port,
            stack.enter_context(black_hole()),
            stack.enter_context(silent_server()).port,
        ]
        login = {"login": "a-role", "extra": {"auth_type": "approle"}}
        yield [
            vault.config(label=f"dead_{number}", conn_id=vault.connection("any", port, **login), timeout=TIMEOUT)
            for number, port in enumerate(ports)
        ]


def seconds(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def arm(stores: Sequence[StoreConfig]) -> tuple[set[str], dict[str, Any]]:
    with arming(stores) as ready:
        return set(ready.held), dict(ready.problems)


def test_the_slowest_dead_store_is_all_that_the_others_wait_for(vault: VaultKv2Case, dead: list[StoreConfig]) -> None:
    """One after the other they would take three times as long as one of them."""
    ended: list[tuple[set[str], dict[str, Any]]] = []
    one = seconds(lambda: arm(dead[:1]))
    three = seconds(lambda: ended.append(arm([*dead, vault.config()])))
    ((held, problems),) = ended
    assert held == {"hashicorp_vault"}
    assert {label: type(problem) for label, problem in problems.items()} == dict.fromkeys(
        ("dead_0", "dead_1", "dead_2"), StoreUnreachable
    )
    assert three < 2 * one


def test_an_emergency_refreshes_after_the_slowest_dead_store(vault: VaultKv2Case, dead: list[StoreConfig]) -> None:
    """A leaked secret stays valid until then; the store that is well then has the new one."""
    posted: list[float] = []
    clock = Clock()
    api = FakeFeaturebase(clock)
    refresh = api.refresh_secret
    api.refresh_secret = lambda webhook_id: (posted.append(time.monotonic()), refresh(webhook_id))[1]  # type: ignore[method-assign]
    one = seconds(lambda: arm(dead[:1]))
    started = time.monotonic()
    outcome = rotate(
        CompareAndSwap(api=api, plan=a_plan(api.current), clock=clock),
        [*dead, vault.config(adopt=True)],
        a_rule(),
        server_now=clock.server_now,
        require_all=False,
    )
    assert [one.result for one in outcome.stores.values()] == ["not_armed"] * 3 + ["written"]
    seen = vault.seen()
    assert seen is not None
    assert seen.current == "whsec_1"
    assert posted[0] - started < 2 * one


def test_looking_at_the_stores_waits_no_longer(vault: VaultKv2Case, dead: list[StoreConfig]) -> None:
    """Preflight, check-stores and the audit, for stores of one webhook and of several."""
    stores = [*dead, vault.config()]
    one = seconds(lambda: arm(dead[:1]))
    assert seconds(lambda: check_stores(stores, a_rule(), current=None)) < 2 * one
    assert (
        seconds(
            lambda: read_stores(
                [StoresToRead(store.label, [store], "", None, frozenset(), frozenset()) for store in stores]
            )
        )
        < 2 * one
    )
