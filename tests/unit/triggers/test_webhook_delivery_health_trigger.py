"""The trigger against a real sandbox, in the event loop in which the triggerer would run it."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.client import AsyncClient
from featurebase_provider.featurebase.settings import ApiSettings
from featurebase_provider.hooks.featurebase import FeaturebaseHook
from featurebase_provider.sandbox.server import SandboxServer
from featurebase_provider.sensors.webhook_delivery_health import WebhookDeliveryHealthSensor
from featurebase_provider.triggers import pauses
from featurebase_provider.triggers.pauses import SCHEDULER_LAG
from featurebase_provider.triggers.webhook_delivery_health import MAX_POLL_FAILURES, WebhookDeliveryHealthTrigger

MODULE = import_module("featurebase_provider.triggers.webhook_delivery_health")
Make = Callable[..., WebhookDeliveryHealthTrigger]


class Vendor:
    """A sandbox with one webhook."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        headers = {"Authorization": f"Bearer {server.api_key}", "Featurebase-Version": "2026-01-01.nova"}
        self.http = httpx.Client(base_url=server.url, headers=headers, trust_env=False)
        body = {"name": "P", "url": "https://example.com/hook", "topics": ["post.created"]}
        self.webhook_id = self.http.post("/v2/webhooks", json=body).json()["id"]

    def force(self, **state: Any) -> None:
        self.http.post(f"/_sandbox/webhooks/{self.webhook_id}", json=state).raise_for_status()

    def delivered(self, code: int, *, failures: int = 0, ago: float = 0.0) -> None:
        """Show a delivery result, and so many consecutive failures."""
        at = (datetime.now(tz=timezone.utc) - timedelta(seconds=ago)).isoformat()
        health = {"consecutiveFailures": failures, **({} if failures else {"lastSuccessAt": at})}
        self.force(lastStatus={"code": code, "message": "so it ended", "timestamp": at}, health=health)

    def fault(self, **fault: Any) -> None:
        self.http.post("/_sandbox/faults", json={"method": "GET", **fault}).raise_for_status()

    def until_read(self, times: int) -> None:
        """Wait until the webhook was read so often."""
        give_up = time.monotonic() + 60
        while self.reads < times:
            assert time.monotonic() < give_up
            time.sleep(0.005)

    @property
    def reads(self) -> int:
        calls = self.server.state.journal.calls
        return sum(call.method == "GET" for call in calls)


@pytest.fixture(autouse=True)
def scheduler_lag(monkeypatch: pytest.MonkeyPatch) -> float:
    """No wait for a scheduler, of which there is none."""
    monkeypatch.setattr(pauses, "SCHEDULER_LAG", 0.0)
    return SCHEDULER_LAG


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    with SandboxServer() as server:
        vendor = Vendor(server)
        document = {
            "conn_type": "featurebase",
            "host": server.url,
            "password": server.api_key,
            "extra": {"max_retries": 0},
        }
        monkeypatch.setenv("AIRFLOW_CONN_FB", json.dumps(document))
        yield vendor
        vendor.http.close()


@pytest.fixture
def make(vendor: Vendor) -> Make:
    """A trigger that counts from a minute ago and polls without a pause."""

    def trigger(**arguments: Any) -> WebhookDeliveryHealthTrigger:
        since = datetime.now(tz=timezone.utc) - timedelta(minutes=1)
        return WebhookDeliveryHealthTrigger(
            **{
                "webhook_id": vendor.webhook_id,
                "featurebase_conn_id": "fb",
                "counts_from": since.isoformat(),
                "deadline": time.time() + 30,
                "poll_interval": 0.01,
                **arguments,
            }
        )

    return trigger


async def events_of(trigger: WebhookDeliveryHealthTrigger) -> list[Any]:
    return [event.payload async for event in trigger.run()]


def event(vendor: Vendor, kind: str) -> dict[str, str]:
    return {"webhook_id": vendor.webhook_id, "kind": kind}


@pytest.mark.asyncio
async def test_success_after_the_push_is_healthy(vendor: Vendor, make: Make) -> None:
    """One event, of ids and a verdict only; it is stored in the metadata database."""
    vendor.delivered(200)
    assert await events_of(make()) == [event(vendor, "healthy")]


@pytest.mark.asyncio
async def test_a_triggerer_without_the_connection_hands_back(vendor: Vendor, make: Make) -> None:
    """After a pause: an event right after the deferral fails the task (Airflow 3.3)."""
    began = time.monotonic()
    assert await events_of(make(featurebase_conn_id="the_workers_own", poll_interval=0.3)) == [
        event(vendor, "unwatched")
    ]
    assert time.monotonic() - began >= 0.3


@pytest.mark.asyncio
async def test_success_before_the_push_does_not_count(vendor: Vendor, make: Make) -> None:
    vendor.delivered(200, ago=120)
    assert await events_of(make(deadline=time.time())) == [event(vendor, "quiet")]


@pytest.mark.asyncio
async def test_it_waits_for_what_comes(vendor: Vendor, make: Make) -> None:
    """Nothing was delivered yet, and then something was."""
    running = asyncio.create_task(events_of(make()))
    await asyncio.to_thread(vendor.until_read, 3)
    assert not running.done()
    await asyncio.to_thread(vendor.delivered, 200)
    assert await running == [event(vendor, "healthy")]


@pytest.mark.asyncio
async def test_three_failures_in_a_row_decide(vendor: Vendor, make: Make) -> None:
    """Counted from the first one seen after the push; those before it are not ours."""
    vendor.delivered(401, failures=5)
    running = asyncio.create_task(events_of(make()))
    await asyncio.to_thread(vendor.until_read, 3)
    assert not running.done()
    await asyncio.to_thread(vendor.delivered, 401, failures=7)
    assert await running == [event(vendor, "failing")]


@pytest.mark.asyncio
async def test_webhook_that_is_no_longer_active(vendor: Vendor, make: Make) -> None:
    vendor.force(status="suspended")
    assert await events_of(make()) == [event(vendor, "inactive")]


@pytest.mark.asyncio
async def test_outage_is_bounded(vendor: Vendor, make: Make) -> None:
    """So many failed reads in a row end the wait; it judges nothing."""
    vendor.fault(kind="status", status=500, count=1000)
    assert await events_of(make()) == [event(vendor, "unreadable")]
    assert vendor.reads == MAX_POLL_FAILURES


@pytest.mark.asyncio
async def test_short_outage_is_forgotten(vendor: Vendor, make: Make) -> None:
    """Failures count in a row only: a read that works begins anew."""
    for _ in range(3):
        vendor.fault(kind="status", status=500, count=MAX_POLL_FAILURES - 1)
        vendor.fault(kind="latency", seconds=0, count=1)  # a read that works
    vendor.delivered(401, failures=1)
    running = asyncio.create_task(events_of(make()))
    await asyncio.to_thread(vendor.until_read, 3 * MAX_POLL_FAILURES)
    await asyncio.to_thread(vendor.delivered, 200)
    assert await running == [event(vendor, "healthy")]


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_refusal_is_not_repeated(vendor: Vendor, make: Make, status: int) -> None:
    """An error that no later read can mend ends the wait at once."""
    vendor.fault(kind="status", status=status, count=1000)
    assert await events_of(make()) == [event(vendor, "unreadable")]
    assert vendor.reads == 1


@pytest.mark.asyncio
async def test_outage_at_the_deadline_ends_the_wait(vendor: Vendor, make: Make) -> None:
    vendor.fault(kind="status", status=500, count=1000)
    assert await events_of(make(deadline=time.time() - 1)) == [event(vendor, "unreadable")]
    assert vendor.reads == 1


@pytest.mark.asyncio
async def test_restart_of_the_triggerer_does_not_extend_the_wait(vendor: Vendor, make: Make) -> None:
    """What the database kept makes a trigger with the same deadline; past it, one read decides."""
    path, kept = make(deadline=time.time() - 1).serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(kept)))
    vendor.delivered(401, failures=1)
    assert await events_of(again) == [event(vendor, "failing")]
    assert vendor.reads == 1


@pytest.fixture(params=[0, 3, -3], ids=lambda hours: f"triggerer {hours:+} h")
def clock_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """The triggerer's clock is so many hours ahead of Featurebase's, and of the worker's."""
    hours: float = request.param
    real = FeaturebaseHook.aclient

    async def aclient(hook: FeaturebaseHook, settings: ApiSettings, **options: Any) -> AsyncClient:
        client = await real(hook, settings, **options)
        client.clock.local = lambda: time.time() + hours * 3600
        return client

    monkeypatch.setattr(FeaturebaseHook, "aclient", aclient)
    return hours


@pytest.mark.asyncio
async def test_triggerers_clock_neither_ends_nor_extends_the_wait(
    vendor: Vendor, make: Make, clock_off: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The deadline is Featurebase's time: ahead by hours it does not say "quiet" after 0 seconds of 900."""
    running = asyncio.create_task(events_of(make(deadline=time.time() + 900)))
    await asyncio.to_thread(vendor.until_read, 3)
    assert not running.done()
    await asyncio.to_thread(vendor.delivered, 200)
    assert await running == [event(vendor, "healthy")]
    assert await events_of(make(deadline=time.time() - 1, counts_from=future())) == [event(vendor, "quiet")]
    said = capsys.readouterr().out.count("this machine's clock is")
    assert said == (2 if clock_off else 0)  # once for each of the two triggers


def future() -> str:
    """A moment after every result."""
    return (datetime.now(tz=timezone.utc) + timedelta(minutes=5)).isoformat()


@pytest.mark.asyncio
async def test_first_read_comes_an_interval_later(
    vendor: Vendor, make: Make, monkeypatch: pytest.MonkeyPatch, scheduler_lag: float
) -> None:
    """Airflow may not have taken note of the deferral before; later ones come when the wait is over at the latest."""
    slept: list[tuple[float, int]] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append((seconds, vendor.reads))
        await real(0)

    monkeypatch.setattr(pauses, "JITTER", 0.0)
    # In the trigger's module only: the sandbox's server sleeps too.
    monkeypatch.setattr(MODULE, "asyncio", SimpleNamespace(sleep=sleep))
    trigger = make(deadline=time.time() + 20, poll_interval=15.0)
    vendor.delivered(401, failures=1)
    running = asyncio.create_task(events_of(trigger))
    while len(slept) < 3:
        await real(0.01)
    running.cancel()
    assert slept[:3] == [(15.0, 0), (15.0, 1), (15.0, 2)]
    slept.clear()
    running = asyncio.create_task(events_of(make(deadline=time.time() + 8, poll_interval=15.0)))
    while len(slept) < 2:
        await real(0.01)
    running.cancel()
    assert slept[0][0] == 15.0
    assert 5.0 < slept[1][0] < 9.0
    slept.clear()
    monkeypatch.setattr(pauses, "SCHEDULER_LAG", scheduler_lag)
    running = asyncio.create_task(events_of(make(deadline=time.time() + 60, poll_interval=1.0)))
    while len(slept) < 2:
        await real(0.01)
    running.cancel()
    assert [seconds for seconds, _ in slept[:2]] == [scheduler_lag, 1.0]


KEPT_BY_0_1_0 = {
    "webhook_id": "",
    "featurebase_conn_id": "fb",
    "counts_from": "2026-01-15T10:30:00+00:00",
    "deadline": 1768473000.5,
    "poll_interval": 0.01,
}


@pytest.mark.asyncio
async def test_trigger_that_an_older_version_stored_goes_on(vendor: Vendor) -> None:
    """The database names the class and its arguments; both are as version 0.1.0 wrote them."""
    module, _, name = "featurebase_provider.triggers.webhook_delivery_health.WebhookDeliveryHealthTrigger".rpartition(
        "."
    )
    again = getattr(import_module(module), name)(**{**KEPT_BY_0_1_0, "webhook_id": vendor.webhook_id})
    vendor.delivered(401, failures=1)
    assert await events_of(again) == [event(vendor, "failing")]


@pytest.mark.asyncio
async def test_every_argument_is_used(vendor: Vendor, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that is named, the webhook that is named, the moment from which results count."""
    asked: list[str] = []
    real = FeaturebaseHook.asettings

    async def asettings(hook: FeaturebaseHook) -> ApiSettings:
        asked.append(hook.featurebase_conn_id)
        return await real(hook)

    monkeypatch.setattr(FeaturebaseHook, "asettings", asettings)
    vendor.delivered(200, ago=30)
    now = datetime.now(tz=timezone.utc)
    over = {"deadline": time.time() - 1}
    early, late = (now - timedelta(seconds=40)).isoformat(), (now - timedelta(seconds=20)).isoformat()
    assert await events_of(make(**over, counts_from=early)) == [event(vendor, "healthy")]
    assert await events_of(make(**over, counts_from=late)) == [event(vendor, "quiet")]
    assert await events_of(make(**over, webhook_id="5" * 24)) == [{"webhook_id": "5" * 24, "kind": "unreadable"}]
    assert asked == ["fb", "fb", "fb"]


def test_only_ids_and_times_are_stored(make: Make) -> None:
    """The arguments are those of the constructor, all of them, and none is a credential."""
    trigger = make()
    assert trigger.trigger_id is None  # Airflow's own, which its triggerer reads and sets
    _, kept = trigger.serialize()
    parameters = inspect.signature(WebhookDeliveryHealthTrigger.__init__).parameters
    assert set(kept) == set(parameters) - {"self"}
    assert set(kept) == {"webhook_id", "featurebase_conn_id", "counts_from", "deadline", "poll_interval"}


def test_by_default_it_reads_as_often_as_the_sensor(make: Make) -> None:
    _, kept = make().serialize()
    del kept["poll_interval"]
    sensor = WebhookDeliveryHealthSensor(task_id="verify", webhook_id=kept["webhook_id"])
    assert WebhookDeliveryHealthTrigger(**kept).poll_interval == sensor.poll_interval


@pytest.mark.asyncio
async def test_event_loop_is_never_blocked(vendor: Vendor, make: Make) -> None:
    """While Featurebase takes its time to answer, other triggers of the same triggerer go on."""
    vendor.fault(kind="latency", seconds=0.3, count=1)
    vendor.delivered(200)
    running = asyncio.create_task(events_of(make()))
    turns = 0
    while not running.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 5
