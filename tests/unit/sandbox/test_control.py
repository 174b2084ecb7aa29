from __future__ import annotations

from email.utils import parsedate_to_datetime

import httpx
import pytest

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.clock import iso_ms

pytestmark = pytest.mark.asyncio


async def test_control_needs_no_key_but_a_loopback_peer(app):
    for peer, status in (("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.7", 403)):
        transport = httpx.ASGITransport(app=app, client=(peer, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            assert (await client.get("/_sandbox/requests")).status_code == status
            assert (await client.post("/_sandbox/reset")).status_code == status


async def test_journal_has_each_api_call_and_nothing_else(api, create):
    webhook = await create()
    await api.post("/v2/webhooks", json={})
    await api.get(f"/v2/webhooks/{webhook['id']}?expand=all")
    await api.patch(f"/v2/webhooks/{webhook['id']}", json={"name": "x"})
    await api.post(f"/v2/webhooks/{webhook['id']}/secret")
    await api.get("/v2/webhooks", headers={"Authorization": "Bearer no"})
    await api.get("/elsewhere")
    await api.delete(f"/v2/webhooks/{webhook['id']}")
    calls = (await api.get("/_sandbox/requests")).json()
    assert all(set(call) == {"at", "method", "path", "status", "committed"} for call in calls)
    assert [call["at"] for call in calls] == sorted(call["at"] for call in calls)
    path = f"/v2/webhooks/{webhook['id']}"
    assert [(call["method"], call["path"], call["status"], call["committed"]) for call in calls] == [
        ("POST", "/v2/webhooks", 201, True),
        ("POST", "/v2/webhooks", 400, False),
        ("GET", path, 200, False),
        ("PATCH", path, 200, True),
        ("POST", f"{path}/secret", 200, True),
        ("GET", "/v2/webhooks", 401, False),
        ("DELETE", path, 200, True),
    ]


async def test_control_can_force_what_clients_cannot_set(api, create, target):
    webhook = await create(url=f"{target.url}/status/200")
    path = f"/v2/webhooks/{webhook['id']}"
    forced = {
        "status": "suspended",
        "secret": "whsec_known",
        "topics": ["brand.new"],
        "createdAt": "2025-01-01T00:00:00Z",
        "lastStatus": {"code": 500, "message": "boom", "timestamp": "2026-01-15T10:30:00.123Z"},
        "health": {"consecutiveFailures": 3, "lastSuccessAt": "2026-01-15T11:30:00+01:00", "avgResponseTime": 9},
        "extra": {"newField": [1]},
    }
    answer = await api.post(f"/_sandbox{path[3:]}", json=forced)
    shown = (await api.get(path)).json()
    assert answer.json() == shown
    assert shown["status"] == "suspended"
    assert shown["secret"] == "whsec_known"
    assert shown["topics"] == ["brand.new"]
    assert shown["createdAt"] == "2025-01-01T00:00:00.000Z"
    assert shown["updatedAt"] > webhook["updatedAt"]
    assert shown["lastStatus"] == forced["lastStatus"]
    assert shown["health"] == {
        **webhook["health"],
        "consecutiveFailures": 3,
        "lastSuccessAt": "2026-01-15T10:30:00.000Z",
        "avgResponseTime": 9,
    }
    assert shown["newField"] == [1]
    assert (await api.post("/_sandbox/events", json={"topic": "brand.new"})).status_code == 400  # suspended
    await api.post(f"/_sandbox{path[3:]}", json={"status": "active", "lastStatus": None})
    assert (await api.get(path)).json()["lastStatus"] is None
    assert (await api.post("/_sandbox/events", json={"topic": "brand.new"})).status_code == 202


async def test_control_can_hide_the_secret_and_disable_refreshes(api, create):
    webhook = await create()
    path = f"/v2/webhooks/{webhook['id']}"
    await api.post(f"/_sandbox{path[3:]}", json={"keep_secret": True})
    assert (await api.post(f"{path}/secret")).json()["secret"] == webhook["secret"]
    await api.post(f"/_sandbox{path[3:]}", json={"omit_secret": True})
    assert "secret" not in (await api.get(path)).json()
    assert "secret" not in (await api.get("/v2/webhooks")).json()["data"][0]
    assert "secret" not in (await api.post(f"{path}/secret")).json()


async def test_control_says_what_is_wrong_without_quoting_it(api, create):
    path = f"/_sandbox/webhooks/{(await create())['id']}"
    answer = await api.post(path, json={"secret": ["whsec_hunter2"], "status": "dead"})
    assert answer.status_code == 422
    assert "secret:" in answer.json()["error"]["message"]
    assert "hunter2" not in answer.text
    assert (await api.post("/_sandbox/webhooks/507f1f77bcf86cd799439011", json={})).status_code == 404
    assert (await api.post("/_sandbox/webhooks/x", json={})).status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("events", {"topic": "post.eaten"}, 400),
        ("events", {"topic": "post.created", "count": 0}, 422),
        ("events", {"topic": "post.created", "count": 10_001}, 400),
        ("events", {"topic": "post.created", "per_second": 0}, 422),
        ("events", {}, 422),
        ("clock", {"speed": 0}, 422),
        ("clock", {"speed": 1_000_001}, 422),
        ("clock", {}, 422),
        ("clock", {"advance": -1}, 422),
        ("clock", {"advance": 3e9}, 400),
        ("behaviour", {"updated_at": "falls"}, 422),
        ("behaviour", {"reads": []}, 422),
        ("behaviour", {"reads": ["old"]}, 422),
        ("behaviour", {"stale_share": 1.1}, 422),
        ("behaviour", {"pause_after": -1}, 422),
        ("behaviour", {"colour": "green"}, 422),
    ],
)
async def test_control_refuses_what_it_cannot_do(api, path, body, status):
    assert (await api.post(f"/_sandbox/{path}", json=body)).status_code == status


async def test_deliveries_can_be_asked_for_one_webhook(api, create, target, eventually, state):
    one, other = [await create(url=f"{target.url}/status/200") for _ in range(2)]
    await api.post("/_sandbox/events", json={"topic": "post.created"})
    await eventually(lambda: len(state.journal.attempts) == 2)
    for webhook in (one, other):
        attempts = (await api.get("/_sandbox/deliveries", params={"webhookId": webhook["id"]})).json()
        assert [attempt["webhookId"] for attempt in attempts] == [webhook["id"]]


async def test_every_secret_ever_issued_can_be_asked_for(api, create):
    """Of refreshes, of a change by force and of deleted webhooks too, so that a search for leaks misses none."""
    one, other = await create(), await create()
    refreshed = (await api.post(f"/v2/webhooks/{one['id']}/secret")).json()
    await api.post("/_sandbox/clock", json={"advance": 3600})
    await api.post(f"/_sandbox/webhooks/{one['id']}", json={"secret": "whsec_by_hand"})
    await api.delete(f"/v2/webhooks/{other['id']}")
    await api.post(f"/_sandbox/webhooks/{one['id']}", json={"keep_secret": True})
    await api.post(f"/v2/webhooks/{one['id']}/secret")
    issued = (await api.get("/_sandbox/secrets")).json()
    assert [(line["webhookId"], line["secret"], line["by"]) for line in issued] == [
        (one["id"], one["secret"], "POST /v2/webhooks"),
        (other["id"], other["secret"], "POST /v2/webhooks"),
        (one["id"], refreshed["secret"], "POST /v2/webhooks/{id}/secret"),
        (one["id"], "whsec_by_hand", "POST /_sandbox/webhooks/{id}"),
    ]
    assert all(line["fingerprint"] == fingerprint_of(line["secret"]) for line in issued)
    assert iso_ms(issued[0]["at"] - 5_000) < one["createdAt"] <= iso_ms(issued[0]["at"])
    assert iso_ms(issued[2]["at"]) <= refreshed["updatedAt"]
    assert issued[3]["at"] - issued[2]["at"] >= 3_600_000


async def test_moving_the_clock_moves_everything_that_has_a_time(api, create, target, eventually, state):
    """Half a year: header, webhook, journal, and the minute of the rate limit."""
    half_a_year = 183 * 86_400
    webhook = await create(url=f"{target.url}/status/200")
    before = (await api.get("/_sandbox/clock")).json()
    first = await api.get(f"/v2/webhooks/{webhook['id']}")
    moved = (await api.post("/_sandbox/clock", json={"advance": half_a_year})).json()
    assert (moved["ahead"], moved["speed"]) == (half_a_year, 1)
    assert half_a_year <= moved["now"] - before["now"] < half_a_year + 60

    then = await api.post(f"/v2/webhooks/{webhook['id']}/secret")
    assert seconds_of(then.headers["Date"]) - seconds_of(first.headers["Date"]) >= half_a_year
    assert then.json()["updatedAt"] >= iso_ms(int(moved["now"] * 1000))
    assert then.json()["createdAt"] == webhook["createdAt"]
    assert int(then.headers["X-RateLimit-Reset"]) - int(first.headers["X-RateLimit-Reset"]) >= half_a_year - 60
    calls = (await api.get("/_sandbox/requests")).json()
    assert calls[-1]["at"] - calls[0]["at"] >= half_a_year * 1000
    later = await create()
    assert int(later["id"][:8], 16) - int(webhook["id"][:8], 16) >= half_a_year

    await api.post("/_sandbox/events", json={"topic": "post.created"})
    await eventually(lambda: state.journal.events[0].delivered)
    shown = (await api.get(f"/v2/webhooks/{webhook['id']}")).json()
    assert shown["lastStatus"]["timestamp"] >= then.json()["updatedAt"]
    assert shown["health"]["lastSuccessAt"] == shown["lastStatus"]["timestamp"]
    assert abs(int(target.got[0][1]["x-webhook-timestamp"]) - moved["now"]) < 60

    await api.post("/_sandbox/reset")
    assert (await api.get("/_sandbox/clock")).json()["ahead"] == 0


async def test_rate_limit_begins_anew_when_the_clock_has_passed_a_minute(headers):
    app = create_sandbox(calls_per_minute=1)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://sandbox", headers=headers
    ) as api:
        await api.get("/v2/webhooks")
        await api.get("/v2/webhooks")
        assert (await api.get("/v2/webhooks")).status_code == 429
        await api.post("/_sandbox/clock", json={"advance": 60})
        assert (await api.get("/v2/webhooks")).status_code == 200


def seconds_of(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()
