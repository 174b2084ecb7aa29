from __future__ import annotations

import pickle
import re

import httpx
import pytest

from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.errors import CallRefused

pytestmark = pytest.mark.asyncio

UNKNOWN = "507f1f77bcf86cd799439011"


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, type and param, once the error body has been found to be of the documented form."""
    error = answer.json()["error"]
    assert set(error) == {"type", "code", "message", "param", "status"}
    assert error["status"] == answer.status_code
    assert error["code"]
    assert error["message"]
    return answer.status_code, error["type"], error["param"]


async def test_created_webhook_has_the_documented_form(create):
    webhook = await create(description="All events", requestConfig={"timeoutMs": 7000, "headers": {"X-A": "b"}})
    assert list(webhook) == [
        "object", "id", "name", "description", "url", "secret", "topics", "status", "version", "requestConfig",
        "lastStatus", "health", "createdAt", "updatedAt",
    ]  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{24}", webhook["id"])
    assert re.fullmatch(r"whsec_[0-9a-f]{48}", webhook["secret"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", webhook["createdAt"])
    assert webhook["requestConfig"] == {"timeoutMs": 7000, "headers": {"X-A": "b"}}
    assert webhook["status"] == "active"
    assert webhook["lastStatus"] is None
    assert webhook["health"] == {
        "lastResponseTime": 0,
        "avgResponseTime": 0,
        "lastSuccessAt": None,
        "errorsSinceLastSuccess": 0,
        "consecutiveFailures": 0,
    }


async def test_get_shows_the_whole_webhook_with_its_secret(api, create):
    webhook = await create()
    assert (await api.get(f"/v2/webhooks/{webhook['id']}")).json() == webhook
    assert (await api.get(f"/v2/webhooks/{webhook['id'].upper()}")).json() == webhook


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, "missing_api_key"),
        ({"Authorization": "Bearer sk_wrong"}, "invalid_api_key"),
        ({"Authorization": "Bearer sk_sandbox\u00e9".encode("latin-1")}, "invalid_api_key"),
        ({"Authorization": "Basic sk_sandbox"}, "missing_api_key"),
    ],
)
async def test_calls_without_the_key_are_401_and_tell_no_rate_limit(app, sent, code):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://sandbox") as client:
        answer = await client.get("/v2/webhooks", headers={"Featurebase-Version": "2026-01-01.nova", **sent})
    assert error_of(answer) == (401, "authentication_error", None)
    assert answer.json()["error"]["code"] == code
    assert "x-ratelimit-limit" not in answer.headers


async def test_version_header_is_needed_and_checked(app, api):
    """Without a version the workspace's default applies, which has no webhooks yet."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://sandbox") as bare:
        answer = await bare.get("/v2/webhooks", headers={"Authorization": "Bearer sk_sandbox"})
    assert error_of(answer) == (404, "invalid_request_error", "Featurebase-Version")
    assert "2026-01-01.nova" in answer.json()["error"]["message"]

    old = await api.get("/v2/webhooks", headers={"Featurebase-Version": "2025-12-12.clover"})
    assert error_of(old) == (404, "invalid_request_error", "Featurebase-Version")
    unknown = await api.get("/v2/webhooks", headers={"Featurebase-Version": "2026-01-01"})
    assert error_of(unknown) == (400, "invalid_request_error", "Featurebase-Version")
    newest = await api.get("/v2/webhooks", headers={"Featurebase-Version": "2026-08-19.orbit"})
    assert newest.status_code == 200


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": None}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 7}, "name"),
        ({"url": "http://example.com/hook"}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://[broken"}, "url"),
        ({"url": "/hook"}, "url"),
        ({"topics": ["post.created", "post.eaten"]}, "topics.1"),
        ({"topics": "post.created"}, "topics"),
        ({"description": "x" * 501}, "description"),
        ({"requestConfig": {"timeoutMs": 999}}, "requestConfig.timeoutMs"),
        ({"requestConfig": {"timeoutMs": 30001}}, "requestConfig.timeoutMs"),
        ({"requestConfig": {"headers": {f"X-{n}": "v" for n in range(11)}}}, "requestConfig.headers"),
        ({"requestConfig": {"headers": {"X-A": 1}}}, "requestConfig.headers"),
        ({"requestConfig": {"headers": {"X-A": "hunter2\r\nX-B: c"}}}, "requestConfig.headers"),
        ({"requestConfig": {"headers": {"hunter2 a": "b"}}}, "requestConfig.headers"),
        ({"requestConfig": None}, "requestConfig"),
    ],
)
async def test_invalid_fields_are_400_and_change_nothing(api, create, change, param):
    body = {"name": "Production", "url": "https://example.com/hook", "topics": ["post.created"]}
    refused = await api.post("/v2/webhooks", json={**body, **change})
    assert error_of(refused) == (400, "invalid_request_error", param)
    assert "hunter2" not in refused.text

    webhook = await create()
    refused = await api.patch(f"/v2/webhooks/{webhook['id']}", json=change)
    assert error_of(refused) == (400, "invalid_request_error", param)
    assert (await api.get("/v2/webhooks")).json()["data"] == [webhook]


@pytest.mark.parametrize("missing", ["name", "url", "topics"])
async def test_create_needs_name_url_and_topics(api, missing):
    body = {"name": "Production", "url": "https://example.com/hook", "topics": ["post.created"]}
    del body[missing]
    answer = await api.post("/v2/webhooks", json=body)
    assert error_of(answer) == (400, "invalid_request_error", missing)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"\xff"])
async def test_bodies_that_are_no_json_object_are_400(api, create, content):
    webhook = await create()
    for call in (
        api.post("/v2/webhooks", content=content),
        api.patch(f"/v2/webhooks/{webhook['id']}", content=content),
    ):
        assert error_of(await call) == (400, "invalid_request_error", None)


@pytest.mark.parametrize(
    "url", ["http://localhost:8788/x", "http://127.0.0.5", "http://[::1]:9/", "http://[::ffff:127.0.0.1]/"]
)
async def test_http_is_taken_for_loopback_receivers(create, url):
    assert (await create(url=url))["url"] == url


async def test_unknown_body_fields_are_ignored(create):
    webhook = await create(colour="green", requestConfig={"retries": 9})
    assert "colour" not in webhook
    assert webhook["requestConfig"] == {"timeoutMs": 5000, "headers": {}}


async def test_limits_of_length_are_inclusive(create):
    headers = {f"X-{n}": "v" for n in range(10)}
    webhook = await create(
        name="x" * 100, description="y" * 500, requestConfig={"timeoutMs": 30000, "headers": headers}
    )
    assert webhook["requestConfig"] == {"timeoutMs": 30000, "headers": headers}


async def test_the_eleventh_webhook_is_refused(api, create):
    webhooks = [await create() for _ in range(10)]
    body = {"name": "n", "url": "https://example.com", "topics": ["post.created"]}
    assert error_of(await api.post("/v2/webhooks", json=body)) == (400, "invalid_request_error", None)
    await api.delete(f"/v2/webhooks/{webhooks[0]['id']}")
    assert (await api.post("/v2/webhooks", json=body)).status_code == 201


@pytest.mark.parametrize("webhook_id", ["x", "507f1f77bcf86cd79943901", "507f1f77bcf86cd79943901g"])
async def test_malformed_ids_are_400_and_unknown_ones_404(api, webhook_id):
    calls = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/secret")]
    for method, tail in calls:
        malformed = await api.request(method, f"/v2/webhooks/{webhook_id}{tail}")
        assert error_of(malformed) == (400, "invalid_request_error", "id")
        unknown = await api.request(method, f"/v2/webhooks/{UNKNOWN}{tail}")
        assert error_of(unknown) == (404, "invalid_request_error", "id")


async def test_patch_changes_only_what_is_sent(api, create):
    webhook = await create(description="old", requestConfig={"timeoutMs": 2000, "headers": {"X-A": "b"}})
    path = f"/v2/webhooks/{webhook['id']}"

    renamed = (await api.patch(path, json={"name": "New"})).json()
    assert renamed == {**webhook, "name": "New", "updatedAt": renamed["updatedAt"]}
    assert renamed["updatedAt"] > webhook["updatedAt"]

    cleared = (await api.patch(path, json={"description": None, "topics": ["comment.created"]})).json()
    assert (cleared["description"], cleared["topics"]) == (None, ["comment.created"])

    replaced = (await api.patch(path, json={"requestConfig": {"headers": {"X-C": "d"}}})).json()
    assert replaced["requestConfig"] == {"timeoutMs": 2000, "headers": {"X-C": "d"}}
    assert (await api.patch(path, json={"url": "https://example.org"})).json()["url"] == "https://example.org"


async def test_clients_may_set_active_and_paused_only(api, create):
    path = f"/v2/webhooks/{(await create())['id']}"
    assert (await api.patch(path, json={"status": "paused"})).json()["status"] == "paused"
    refused = await api.patch(path, json={"status": "suspended"})
    assert error_of(refused) == (400, "invalid_request_error", "status")
    assert (await api.get(path)).json()["status"] == "paused"


async def test_setting_active_resets_health_but_not_the_last_status(api, create):
    webhook = await create()
    path = f"/v2/webhooks/{webhook['id']}"
    last = {"code": 401, "message": "no", "timestamp": "2026-01-15T10:30:00.000Z"}
    health = {"consecutiveFailures": 7, "errorsSinceLastSuccess": 9, "avgResponseTime": 5}
    await api.post(f"/_sandbox{path[3:]}", json={"status": "suspended", "lastStatus": last, "health": health})
    active = (await api.patch(path, json={"status": "active"})).json()
    assert active["status"] == "active"
    assert active["health"] == webhook["health"]
    assert active["lastStatus"] == last


async def test_delete_is_confirmed_and_final(api, create):
    webhook = await create()
    path = f"/v2/webhooks/{webhook['id']}"
    assert (await api.delete(path)).json() == {"id": webhook["id"], "object": "webhook", "deleted": True}
    assert (await api.get(path)).status_code == 404
    assert (await api.delete(path)).status_code == 404


async def test_refresh_replaces_the_secret_and_nothing_else(api, create):
    webhook = await create()
    path = f"/v2/webhooks/{webhook['id']}"
    refreshed = (await api.post(f"{path}/secret")).json()
    assert refreshed["secret"] != webhook["secret"]
    assert refreshed["updatedAt"] > webhook["updatedAt"]
    changed = {"secret", "updatedAt"}
    assert {k: v for k, v in refreshed.items() if k not in changed} == {
        k: v for k, v in webhook.items() if k not in changed
    }
    assert (await api.get(path)).json() == refreshed
    assert (await api.post(f"{path}/secret")).json()["secret"] not in (webhook["secret"], refreshed["secret"])


async def test_list_pages_through_everything_once(api, create):
    """The default page holds ten; smaller pages follow each other by cursor."""
    webhooks = [await create(name=str(n)) for n in range(10)]
    whole = (await api.get("/v2/webhooks")).json()
    assert whole == {"object": "list", "data": webhooks, "nextCursor": None}

    seen, cursor = [], ""
    while cursor is not None:
        query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = (await api.get("/v2/webhooks", params=query)).json()
        seen += page["data"]
        cursor = page["nextCursor"]
        assert cursor is None or len(cursor) <= 512
    assert seen == webhooks


async def test_cursors_survive_webhooks_that_come_and_go(api, create):
    webhooks = [await create(name=str(n)) for n in range(5)]
    first = (await api.get("/v2/webhooks?limit=2")).json()
    await api.delete(f"/v2/webhooks/{webhooks[1]['id']}")  # the one that the cursor stands on
    await api.delete(f"/v2/webhooks/{webhooks[0]['id']}")
    added = await create(name="new")
    rest = (await api.get("/v2/webhooks", params={"cursor": first["nextCursor"], "limit": "100"})).json()
    assert [one["id"] for one in rest["data"]] == [one["id"] for one in [*webhooks[2:], added]]
    assert rest["nextCursor"] is None


async def test_status_filter_applies_before_paging(api, create):
    webhooks = [await create(name=str(n)) for n in range(4)]
    for webhook in webhooks[1:3]:
        await api.patch(f"/v2/webhooks/{webhook['id']}", json={"status": "paused"})
    page = (await api.get("/v2/webhooks?status=active&limit=1")).json()
    assert [one["name"] for one in page["data"]] == ["0"]
    rest = (await api.get("/v2/webhooks", params={"status": "active", "cursor": page["nextCursor"]})).json()
    assert [one["name"] for one in rest["data"]] == ["3"]
    assert (await api.get("/v2/webhooks?status=suspended")).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("status=dead", "status"),
        ("cursor=nonsense", "cursor"),
        ("cursor=bnVsbA==", "cursor"),
        ("cursor=eyJpZCI6ICJ4In0=", "cursor"),
        ("cursor=" + "A" * 516, "cursor"),
        ("cursor=%C3%A9", "cursor"),
    ],
)
async def test_invalid_paging_is_400(api, query, param):
    assert error_of(await api.get(f"/v2/webhooks?{query}")) == (400, "invalid_request_error", param)


async def test_other_paths_and_methods_answer_in_error_form(api):
    assert error_of(await api.get("/v2/posts"))[:2] == (404, "invalid_request_error")
    assert error_of(await api.put("/v2/webhooks"))[:2] == (405, "invalid_request_error")
    assert error_of(await api.get("/v2/webhooks/"))[:2] == (404, "invalid_request_error")


async def test_rate_limit_is_told_kept_and_lifted_by_the_next_minute(headers):
    now = [1_000_000_020.0]
    app = create_sandbox(calls_per_minute=3, now=lambda: now[0])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        answers = [await client.get("/v2/webhooks") for _ in range(2)]
        answers.append(await client.get("/v2/webhooks/x"))  # errors count and tell, too
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0"]
        assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
        over = await client.get("/v2/webhooks")
        assert error_of(over) == (429, "rate_limit_error", None)
        assert over.headers["X-RateLimit-Remaining"] == "0"
        reset = float(over.headers["X-RateLimit-Reset"])
        assert reset % 60 == 0
        assert now[0] < reset <= now[0] + 60

        wrong_key = await client.get("/v2/webhooks", headers={"Authorization": "Bearer no"})
        assert wrong_key.status_code == 401
        now[0] = reset
        assert (await client.get("/v2/webhooks")).headers["X-RateLimit-Remaining"] == "2"


async def test_refusals_survive_pickling():
    refusal = pickle.loads(pickle.dumps(CallRefused(400, "invalid_id", "The id is wrong", "id")))
    assert str(refusal) == "400 invalid_id: The id is wrong"
    assert refusal.body()["error"]["param"] == "id"
