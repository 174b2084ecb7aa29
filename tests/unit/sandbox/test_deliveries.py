from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time

import httpx
import pytest

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.clock import MAX_SPEED
from featurebase_provider.sandbox.deliveries import signature_headers

pytestmark = pytest.mark.asyncio


async def emit(api, **body):
    answer = await api.post("/_sandbox/events", json={"topic": "post.created", **body})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_signature_is_that_of_a_known_example():
    """Computed with OpenSSL: printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac whsec_abc."""
    headers = signature_headers("whsec_abc", b'{"id":1}', 1_700_000_000)
    assert headers == {
        "X-Webhook-Timestamp": "1700000000",
        "X-Webhook-Signature": "18c046f8eef45b069779eaa1dca0fd321afacde38b5c7b2b9d1a88a11cd9dc5e",
    }


async def test_delivery_is_signed_and_has_the_documented_body(api, create, target, eventually):
    before = int(time.time())
    config = {"headers": {"X-Receiver-Key": "k", "x-webhook-signature": "forged"}}
    webhook = await create(url=f"{target.url}/status/204", topics=["post.updated"], requestConfig=config)
    item = {"object": "post", "id": "p1", "title": "é"}
    await emit(api, topic="post.updated", item=item)
    await eventually(lambda: target.got)

    path, headers, body = target.got[0]
    assert path == "/status/204"
    assert headers["content-type"] == "application/json"
    assert headers["x-receiver-key"] == "k"
    timestamp = headers["x-webhook-timestamp"]
    assert before <= int(timestamp) <= time.time()
    signed = hmac.new(webhook["secret"].encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    assert headers["x-webhook-signature"] == signed.hexdigest()

    event = json.loads(body)
    assert list(event) == [
        "object", "id", "topic", "organizationId", "webhookId", "createdAt", "deliveryStatus", "data",
    ]  # fmt: skip
    assert event["object"] == "notification_event"
    assert event["id"].startswith("notif_")
    assert (event["topic"], event["webhookId"]) == ("post.updated", webhook["id"])
    assert event["data"]["object"] == "notification_event_data"
    assert event["data"]["item"] == item
    assert set(event["data"]["changes"][0]) == {"field", "oldValue", "newValue"}


ACCEPTED, FAILED = (200, 201, 202, 204), (203, 206, 302, 307, 401, 500)


@pytest.mark.parametrize(
    ("code", "accepted"), [*((code, True) for code in ACCEPTED), *((code, False) for code in FAILED)]
)
async def test_only_the_documented_statuses_accept(api, create, target, eventually, state, code, accepted):
    """Redirects are failures and are not followed."""
    await create(url=f"{target.url}/status/{code}")
    await emit(api)
    attempts = state.journal.attempts
    await eventually(lambda: attempts and attempts[0].status_code == code)
    await eventually(lambda: state.journal.events[0].delivered == accepted)
    assert len(target.got) == 1
    assert attempts[0].error is None


async def test_failed_deliveries_are_tried_four_times(api, create, target, eventually, state):
    webhook = await create(url=f"{target.url}/status/500")
    state.clock.speed = MAX_SPEED
    await emit(api)
    await eventually(lambda: len(target.got) == 4)
    await asyncio.sleep(0.05)

    events = (await api.get("/_sandbox/events")).json()
    shown = {"id", "topic", "webhookId", "emittedAt", "emission", "delivered", "attempts"}
    assert [set(event) for event in events] == [shown]
    assert (events[0]["delivered"], events[0]["attempts"]) == (False, 4)
    attempts = (await api.get("/_sandbox/deliveries")).json()
    assert [attempt["attempt"] for attempt in attempts] == [1, 2, 3, 4]
    for attempt in attempts:
        assert attempt["eventId"] == events[0]["id"] == json.loads(target.got[0][2])["id"]
        assert attempt["webhookId"] == webhook["id"]
        assert (attempt["statusCode"], attempt["error"]) == (500, None)
        assert attempt["fingerprint"] == fingerprint_of(webhook["secret"])
        assert abs(attempt["at"] / 1000 - time.time()) < 60
    assert len({body for _, _, body in target.got}) == 1


async def test_retries_come_after_a_minute_an_hour_and_six_hours(api, create, target, eventually, state):
    """Asked of the clock, in its seconds; how long those last is tested with the clock."""
    waits = []
    call_later = state.clock.call_later

    def noted(seconds, job):
        waits.append(seconds)
        call_later(seconds, job)

    state.clock.call_later = noted
    state.clock.speed = MAX_SPEED
    await create(url=f"{target.url}/status/500")
    await emit(api)
    await eventually(lambda: len(target.got) == 4)
    assert waits == [60, 3600, 21600]


async def test_a_new_speed_counts_for_retries_that_wait_already(api, create, target, eventually, state):
    await create(url=f"{target.url}/status/503")
    await emit(api)
    await eventually(lambda: len(target.got) == 1)
    await asyncio.sleep(0.02)
    assert len(target.got) == 1
    assert (await api.post("/_sandbox/clock", json={"speed": 1_000_000})).json()["speed"] == 1_000_000
    await eventually(lambda: len(target.got) == 4)


async def test_moving_the_clock_delivers_what_comes_due_in_order_and_in_time(api, create, target, eventually, state):
    """Two events 59 seconds apart: seven hours later each has had its four attempts, signed when they were due."""
    await create(url=f"{target.url}/status/500")
    await emit(api)
    await eventually(lambda: len(target.got) == 1)
    await api.post("/_sandbox/clock", json={"advance": 59})
    await emit(api)
    await eventually(lambda: len(target.got) == 2)
    await api.post("/_sandbox/clock", json={"advance": 60 + 3600 + 21_600 + 5})

    attempts = (await api.get("/_sandbox/deliveries")).json()
    first, second = state.journal.events
    numbered = [(attempt["eventId"] == second.id, attempt["attempt"]) for attempt in attempts]
    assert numbered == [(False, 1), (True, 1), (False, 2), (True, 2), (False, 3), (True, 3), (False, 4), (True, 4)]
    for event in (first, second):
        at = [attempt["at"] / 1000 for attempt in attempts if attempt["eventId"] == event.id]
        # A wait begins where an attempt ends, and an attempt can take a second.
        waits = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert waits == pytest.approx([60, 3600, 21_600], abs=10)
    signed_at = [int(headers["x-webhook-timestamp"]) for _, headers, _ in target.got]
    assert signed_at == [attempt["at"] // 1000 for attempt in attempts]
    assert (await api.get("/_sandbox/clock")).json()["ahead"] == 59 + 60 + 3600 + 21_600 + 5


async def test_retries_stay_due_when_the_clock_was_not_moved_far_enough(api, create, target, eventually):
    await create(url=f"{target.url}/status/500")
    await emit(api)
    await eventually(lambda: len(target.got) == 1)
    await api.post("/_sandbox/clock", json={"advance": 58})
    assert len(target.got) == 1
    await api.post("/_sandbox/clock", json={"advance": 2})
    assert len(target.got) == 2


async def test_paced_events_wait_while_the_clock_is_moved(api, create, target, eventually, state):
    """No delivery is signed in one hour and verified in another, however slow the receiver."""
    await create(url=f"{target.url}/slow/60")
    await emit(api, count=1000, per_second=100)
    await eventually(lambda: len(state.journal.events) >= 3)
    moving = asyncio.create_task(api.post("/_sandbox/clock", json={"advance": 3600}))
    await eventually(lambda: moving.done())
    signed = [attempt.at_ms for attempt in state.journal.attempts]
    assert all(attempt.status_code == 200 for attempt in state.journal.attempts if attempt.at_ms < signed[0] + 60_000)
    await eventually(lambda: state.journal.attempts[-1].at_ms > signed[0] + 3_600_000)
    await api.delete("/_sandbox/events")


async def test_reset_ends_a_move_of_the_clock(api, create, target, eventually, state):
    await create(url=f"{target.url}/slow/5000")
    await emit(api)
    await eventually(lambda: len(target.got) == 1)
    moving = asyncio.create_task(api.post("/_sandbox/clock", json={"advance": 86_400}))
    await asyncio.sleep(0.01)
    assert not moving.done()
    await api.post("/_sandbox/reset")
    await asyncio.wait_for(moving, 2)
    assert (state.clock.ahead, state.journal.attempts) == (0, [])


@pytest.mark.parametrize("retry_signing", ["first", "current"])
async def test_retry_signing_decides_which_secret_signs(headers, target, eventually, retry_signing):
    app = create_sandbox(retry_signing=retry_signing)
    state = app.state.sandbox
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as api:
        body = {"name": "n", "url": f"{target.url}/status/401", "topics": ["post.created"]}
        old = (await api.post("/v2/webhooks", json=body)).json()
        await emit(api)
        await eventually(lambda: state.journal.attempts and state.journal.attempts[0].status_code)
        new = (await api.post(f"/v2/webhooks/{old['id']}/secret")).json()
        state.clock.speed = MAX_SPEED
        await eventually(lambda: len(state.journal.attempts) == 4)
    expected = {"first": old, "current": new}[retry_signing]
    assert state.journal.attempts[0].fingerprint == fingerprint_of(old["secret"])
    assert {one.fingerprint for one in state.journal.attempts[1:]} == {fingerprint_of(expected["secret"])}
    await state.aclose()


async def test_slow_receiver_times_out_and_delays_nobody(api, create, target, eventually, state):
    slow = await create(url=f"{target.url}/slow/4000")
    state.webhooks.get(slow["id"]).timeout_ms = 2_000
    quick = await create(url=f"{target.url}/status/200")
    await emit(api)
    attempts = state.journal.attempts
    await eventually(lambda: any(one.webhook_id == quick["id"] and one.status_code == 200 for one in attempts))
    assert [one.error for one in attempts] == [None, None]
    await eventually(lambda: any(one.error for one in attempts))
    timed_out = next(one for one in attempts if one.error)
    assert timed_out.webhook_id == slow["id"]
    assert timed_out.error == "no answer within 2000 ms"
    shown = (await api.get(f"/v2/webhooks/{slow['id']}")).json()
    assert (shown["lastStatus"]["code"], shown["lastStatus"]["message"]) == (0, "no answer within 2000 ms")
    assert shown["health"]["lastResponseTime"] >= 2_000


async def test_receiver_that_does_not_listen_is_a_failed_attempt(api, create, eventually, state):
    await create(url="http://127.0.0.1:9/hook")
    await emit(api)
    await eventually(lambda: state.journal.attempts and state.journal.attempts[0].error)
    assert state.journal.attempts[0].error == "no answer: ConnectError"
    assert state.journal.attempts[0].status_code is None


@pytest.mark.parametrize("end", ["paused", "suspended", "deleted"])
async def test_webhooks_that_are_not_active_get_no_retries(api, create, target, eventually, state, end):
    webhook = await create(url=f"{target.url}/status/500")
    await emit(api)
    await eventually(lambda: len(target.got) == 1)
    if end == "deleted":
        await api.delete(f"/v2/webhooks/{webhook['id']}")
    else:
        await api.post(f"/_sandbox/webhooks/{webhook['id']}", json={"status": end})
    state.clock.speed = MAX_SPEED
    await asyncio.sleep(0.05)
    assert len(target.got) == 1
    event = (await api.get("/_sandbox/events")).json()[0]
    assert (event["delivered"], event["attempts"]) == (False, 1)


async def test_events_go_to_active_subscribers_only(api, create, target, eventually):
    wanted = [await create(url=f"{target.url}/status/200") for _ in range(2)]
    await create(url=f"{target.url}/status/200", topics=["comment.created"])
    paused = await create(url=f"{target.url}/status/200")
    await api.patch(f"/v2/webhooks/{paused['id']}", json={"status": "paused"})
    answer = await emit(api)
    await eventually(lambda: len(target.got) == 2)
    events = (await api.get("/_sandbox/events")).json()
    assert [event["webhookId"] for event in events] == [webhook["id"] for webhook in wanted]
    assert answer == {"topic": "post.created", "count": 1, "eventIds": [event["id"] for event in events]}


async def test_event_without_a_subscriber_is_recorded_and_lost(api):
    answer = await emit(api)
    (event,) = (await api.get("/_sandbox/events")).json()
    assert event["id"] == answer["eventIds"][0]
    assert (event["webhookId"], event["delivered"], event["attempts"]) == (None, False, 0)


async def test_paced_events_are_spread_and_can_be_stopped(api, create, target, eventually, state):
    await create(url=f"{target.url}/status/200")
    begin = time.monotonic()
    assert (await emit(api, count=5, per_second=100))["eventIds"] == []
    await eventually(lambda: len(state.journal.events) == 5)
    assert time.monotonic() - begin >= 0.04
    await emit(api, count=1000, per_second=20)
    await eventually(lambda: len(state.journal.events) >= 6)
    emitted = (await api.delete("/_sandbox/events")).json()["emitted"]
    await asyncio.sleep(0.12)
    assert len(state.journal.events) == emitted
    await eventually(lambda: all(event.delivered for event in state.journal.events))


async def test_health_counts_attempts_as_they_end(api, create, target, eventually, state):
    webhook = await create(url=f"{target.url}/status/500")
    path = f"/v2/webhooks/{webhook['id']}"
    await emit(api, count=3)
    hook = state.webhooks.get(webhook["id"])
    await eventually(lambda: hook.health.attempts == 3)
    failing = (await api.get(path)).json()
    assert failing["lastStatus"]["code"] == 500
    assert failing["lastStatus"]["message"] == "Request failed with status code 500"
    assert failing["lastStatus"]["timestamp"] >= webhook["createdAt"]
    assert failing["updatedAt"] == webhook["updatedAt"]
    health = failing["health"]
    assert (health["consecutiveFailures"], health["errorsSinceLastSuccess"]) == (3, 3)
    assert health["lastSuccessAt"] is None

    await api.patch(path, json={"url": f"{target.url}/status/200"})
    await emit(api)
    await eventually(lambda: hook.health.attempts == 4)
    healthy = (await api.get(path)).json()
    assert healthy["lastStatus"]["code"] == 200
    assert healthy["lastStatus"]["message"] == "Success"
    assert healthy["health"]["lastSuccessAt"] == healthy["lastStatus"]["timestamp"]
    assert healthy["health"]["consecutiveFailures"] == healthy["health"]["errorsSinceLastSuccess"] == 0
    assert 0 <= healthy["health"]["avgResponseTime"] < 5000


@pytest.mark.parametrize("pause_after", [2, 0])
async def test_webhook_is_paused_after_enough_failures(headers, target, eventually, pause_after):
    """Zero means never."""
    app = create_sandbox(pause_after=pause_after)
    state = app.state.sandbox
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as api:
        body = {"name": "n", "url": f"{target.url}/status/500", "topics": ["post.created"]}
        webhook = (await api.post("/v2/webhooks", json=body)).json()
        hook = state.webhooks.get(webhook["id"])
        await emit(api)
        await eventually(lambda: hook.health.attempts == 1)
        assert hook.status == "active"
        await emit(api)
        await eventually(lambda: hook.health.attempts == 2)
        shown = (await api.get(f"/v2/webhooks/{webhook['id']}")).json()
    assert shown["status"] == ("paused" if pause_after else "active")
    assert shown["lastStatus"]["code"] == 500
    assert (shown["updatedAt"] > webhook["updatedAt"]) is bool(pause_after)
    await state.aclose()


async def test_reset_ends_deliveries_and_forgets_everything(api, create, target, eventually, state):
    before = asyncio.all_tasks()
    await create(url=f"{target.url}/status/500")
    await emit(api)
    await emit(api, count=1000, per_second=50)
    await eventually(lambda: len(target.got) >= 1)
    await api.post("/_sandbox/faults", json={"kind": "status", "path": "/v2/other"})
    await api.post("/_sandbox/clock", json={"speed": 5})
    under_way = asyncio.all_tasks() - before
    assert under_way
    assert (await api.post("/_sandbox/reset")).json() == {"reset": True}
    assert all(task.done() for task in under_way)
    assert state.clock.speed == 1
    for what in ("events", "deliveries", "requests", "faults"):
        assert (await api.get(f"/_sandbox/{what}")).json() == []
    assert (await api.get("/v2/webhooks")).json()["data"] == []
    state.clock.speed = MAX_SPEED
    await asyncio.sleep(0.05)
    assert (await api.get("/_sandbox/deliveries")).json() == []
