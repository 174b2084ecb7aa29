"""One client for all triggers with the same connection: shared, replaced and closed, against a real sandbox."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.client import AsyncClient
from featurebase_provider.featurebase.errors import AuthenticationFailed, RateLimited
from featurebase_provider.featurebase.pace import Pace
from featurebase_provider.featurebase.settings import ApiSettings
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.sandbox.faults import FaultInput
from featurebase_provider.sandbox.server import SandboxServer
from featurebase_provider.triggers import pauses
from featurebase_provider.triggers import shared_reads as module
from featurebase_provider.triggers.pauses import JITTER, jittered
from featurebase_provider.triggers.shared_reads import NotConnected, SharedReads, shared_reads
from featurebase_provider.triggers.webhook_delivery_health import WebhookDeliveryHealthTrigger

Configure = Callable[..., None]


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def configure(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Set up the connection ``fb``, or change it."""

    def configure(key: str = server.api_key, host: str = server.url) -> None:
        document = {"conn_type": "featurebase", "host": host, "password": key}
        monkeypatch.setenv("AIRFLOW_CONN_FB", json.dumps(document))

    configure()
    return configure


@pytest.fixture
def webhook_id(server: SandboxServer) -> str:
    body = {"name": "P", "url": "https://example.com/hook", "topics": ["post.created"]}
    headers = {"Authorization": f"Bearer {server.api_key}", "Featurebase-Version": "2026-01-01.nova"}
    answer = httpx.post(f"{server.url}/v2/webhooks", json=body, headers=headers, trust_env=False)
    return str(answer.json()["id"])


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[AsyncClient]:
    """Every client that is built."""
    built: list[AsyncClient] = []
    real = FeaturebaseHook.aclient

    async def aclient(hook: FeaturebaseHook, settings: ApiSettings, **options: Any) -> AsyncClient:
        built.append(await real(hook, settings, **options))
        return built[-1]

    monkeypatch.setattr(FeaturebaseHook, "aclient", aclient)
    return built


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns without a pause, and no wait for a scheduler."""
    monkeypatch.setattr(module, "Pace", lambda: Pace(1_000_000))
    monkeypatch.setattr(pauses, "SCHEDULER_LAG", 0.0)


def is_closed(client: AsyncClient) -> bool:
    return client._http.is_closed


def trigger(webhook_id: str, conn_id: str = "fb") -> WebhookDeliveryHealthTrigger:
    return WebhookDeliveryHealthTrigger(
        webhook_id=webhook_id,
        featurebase_conn_id=conn_id,
        counts_from="2026-01-15T10:30:00+00:00",
        deadline=time.time() + 60,
        poll_interval=0.01,
    )


def start(trigger: WebhookDeliveryHealthTrigger) -> asyncio.Task[Any]:
    async def first() -> Any:
        return await anext(trigger.run())

    return asyncio.create_task(first())


def reads(server: SandboxServer) -> int:
    return sum(call.method == "GET" for call in server.state.journal.calls)


async def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


@pytest.mark.asyncio
@pytest.mark.usefixtures("configure", "fast")
async def test_many_triggers_use_one_client_and_the_last_one_closes_it(
    server: SandboxServer, webhook_id: str, clients: list[AsyncClient]
) -> None:
    """A trigger that is cancelled leaves the others their client."""
    running = [start(trigger(webhook_id)) for _ in range(20)]
    await until(lambda: reads(server) >= 40)
    assert len(clients) == 1
    for task in running[:-1]:
        task.cancel()
    await asyncio.gather(*running[:-1], return_exceptions=True)
    gc.collect()
    seen = reads(server)
    await until(lambda: reads(server) > seen)
    assert not is_closed(clients[0])
    running[-1].cancel()
    await asyncio.gather(running[-1], return_exceptions=True)
    await until(lambda: is_closed(clients[0]))
    assert module._SHARED == {}


@pytest.mark.asyncio
async def test_other_connections_have_clients_of_their_own(
    configure: Configure, clients: list[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "featurebase", "password": "sk_other"}))
    async with shared_reads("fb") as one, shared_reads("other") as other, shared_reads("fb") as again:
        assert one is again
        assert one is not other
    assert [client.settings.api_key.get_secret_value() for client in clients][1] == "sk_other"
    assert all(map(is_closed, clients))


@pytest.mark.asyncio
async def test_refused_key_is_looked_up_once_for_all(
    server: SandboxServer,
    webhook_id: str,
    configure: Configure,
    clients: list[AsyncClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API key was rotated and the connection changed: triggers that wait already go on with the new key."""
    monkeypatch.setattr(module, "Pace", lambda: Pace(1_000_000))
    configure(key="sk_the_old_key")
    async with shared_reads("fb") as shared:
        configure()
        found = await asyncio.gather(*[shared.get_webhook(webhook_id) for _ in range(10)])
        assert {webhook.id for webhook in found} == {webhook_id}
        assert len(clients) == 2
        assert shared.clock is clients[0].clock
        assert is_closed(clients[0])
        assert not is_closed(clients[1])
    assert is_closed(clients[1])


@pytest.mark.asyncio
async def test_key_that_was_replaced_while_a_read_waited_for_its_turn_is_looked_up(
    server: SandboxServer, webhook_id: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a 429 reads wait for up to 70 seconds. Another trigger read the connection meanwhile, before the change."""
    monkeypatch.setattr(module, "REFUSED_KEY_KEPT_FOR", 0.1)
    configure(key="sk_the_old_key")
    async with shared_reads("fb") as shared:
        shared._pace._held_until = time.monotonic() + 0.5
        waits = asyncio.create_task(shared.get_webhook(webhook_id))
        await asyncio.sleep(0)
        await shared._checked_since(time.monotonic())
        configure()
        assert (await waits).id == webhook_id


@pytest.mark.asyncio
async def test_refused_key_of_an_unchanged_connection_is_refused(
    server: SandboxServer, webhook_id: str, configure: Configure, clients: list[AsyncClient]
) -> None:
    configure(key="sk_wrong")
    async with shared_reads("fb") as shared:
        with pytest.raises(AuthenticationFailed):
            await shared.get_webhook(webhook_id)
    assert reads(server) == 1
    assert len(clients) == 1


@pytest.mark.asyncio
async def test_changed_connection_is_used_after_a_while(
    webhook_id: str, configure: Configure, clients: list[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the old key is still accepted."""
    async with shared_reads("fb") as shared:
        await shared.get_webhook(webhook_id)
        configure(host="http://localhost:1")
        await shared.get_webhook(webhook_id)
        assert len(clients) == 1
        monkeypatch.setattr(module, "CONNECTION_KEPT_FOR", 0.0)
        configure()
        await shared.get_webhook(webhook_id)
        assert len(clients) == 1, "unchanged"
        configure(key="sk_next")
        with pytest.raises(AuthenticationFailed):
            await shared.get_webhook(webhook_id)
        assert len(clients) == 2


@pytest.mark.asyncio
@pytest.mark.usefixtures("configure")
async def test_connection_that_can_not_be_read_again_stays_in_use(
    webhook_id: str, clients: list[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of Airflow or of a secrets backend ends no wait."""
    async with shared_reads("fb") as shared:
        monkeypatch.delenv("AIRFLOW_CONN_FB")
        monkeypatch.setattr(module, "CONNECTION_KEPT_FOR", 0.0)
        assert (await shared.get_webhook(webhook_id)).id == webhook_id
    assert len(clients) == 1


@pytest.mark.asyncio
@pytest.mark.usefixtures("configure")
async def test_connection_that_takes_long_to_be_read_again_holds_nobody_else_up(
    webhook_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secrets backend may hang. New triggers and waiting ones go on with what is known."""
    async with shared_reads("fb") as shared:
        hangs = asyncio.Event()

        async def asettings(hook: FeaturebaseHook) -> ApiSettings:
            hangs.set()
            await asyncio.sleep(600)
            raise AssertionError

        monkeypatch.setattr(FeaturebaseHook, "asettings", asettings)
        monkeypatch.setattr(module, "CONNECTION_KEPT_FOR", 0.0)
        stuck = asyncio.create_task(shared.get_webhook(webhook_id))
        await hangs.wait()
        async with shared_reads("fb") as again:
            assert (await again.get_webhook(webhook_id)).id == webhook_id
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)


@pytest.mark.asyncio
async def test_read_under_way_ends_before_its_client_is_closed(
    server: SandboxServer, webhook_id: str, configure: Configure, clients: list[AsyncClient]
) -> None:
    server.state.faults.add(FaultInput(method="GET", kind="latency", seconds=0.3))
    async with shared_reads("fb") as shared:
        slow = asyncio.create_task(shared.get_webhook(webhook_id))
        await until(lambda: reads(server) >= 1)
        configure(host=server.url.replace("127.0.0.1", "localhost"))
        await shared._checked_since(time.monotonic())
        assert len(clients) == 2
        assert not is_closed(clients[0])
        assert (await slow).id == webhook_id
        assert is_closed(clients[0])


@pytest.mark.asyncio
async def test_triggerer_without_the_connection_says_which() -> None:
    with pytest.raises(NotConnected, match="'nowhere'") as found:
        async with shared_reads("nowhere"):
            pass
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)
    assert module._SHARED == {}


@pytest.mark.asyncio
@pytest.mark.usefixtures("configure")
async def test_one_429_holds_all_and_is_not_repeated(server: SandboxServer, webhook_id: str) -> None:
    """The API is asked once; the other 19 triggers wait until it answers again."""
    server.state.rate_limit._limit = 0
    async with shared_reads("fb") as shared:
        running = [asyncio.create_task(shared.get_webhook(webhook_id)) for _ in range(20)]
        (first,) = (await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))[0]
        assert isinstance(first.exception(), RateLimited)
        await asyncio.sleep(0.3)
        assert reads(server) <= 3, "those under way when the answer came"
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def test_pauses_differ_and_never_become_shorter() -> None:
    pauses = [jittered(15.0) for _ in range(200)]
    assert len(set(pauses)) == 200
    assert 15.0 <= min(pauses) < max(pauses) <= 15.0 * (1 + JITTER)


def test_every_event_loop_has_its_own(configure: Configure, clients: list[AsyncClient]) -> None:
    """``airflow dags test`` runs each trigger in a loop of its own."""

    async def use() -> SharedReads:
        async with shared_reads("fb") as shared:
            return shared

    assert asyncio.run(use()) is not asyncio.run(use())
    assert len(clients) == 2
