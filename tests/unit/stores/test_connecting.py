from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.rotation.errors import StoreUnreachable
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    closed = 0

    def close(self) -> None:
        self.closed += 1


class Connecting(ConnectingStore[Client]):
    def prove_writable(self) -> Writability:
        raise NotImplementedError

    def read(self) -> StoredValue:
        raise NotImplementedError

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        raise NotImplementedError


def building(*steps: Client | Exception) -> tuple[Connecting, deque[Client | Exception]]:
    left = deque(steps)

    def build() -> Client:
        step = left.popleft()
        if isinstance(step, Exception):
            raise step
        return step

    return Connecting("a", build), left


def test_the_client_is_built_when_the_store_connects_and_once_only() -> None:
    client = Client()
    store, left = building(client)
    assert left
    store.connect()
    store.connect()
    assert store.client is client
    store.close()
    assert client.closed == 1


def test_it_is_built_where_it_is_needed_by_somebody_who_did_not_connect() -> None:
    client = Client()
    assert building(client)[0].client is client


@pytest.mark.parametrize("call", [Connecting.connect, lambda store: store.client])
def test_a_login_that_failed_leaves_nothing_to_close_and_can_be_tried_again(
    call: Callable[[Connecting], object],
) -> None:
    store, _ = building(StoreUnreachable("a", "no answer"), Client())
    with pytest.raises(StoreUnreachable):
        call(store)
    store.close()
    call(store)
