"""The workspace's audit log: each change with who, what and when, after a lag if wanted, or not at all."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.asyncio
PATH = "/v2/audit-logs"


async def read(api, **query):
    answer = await api.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def actions(api, **query):
    return [entry["action"] for entry in (await read(api, **query))["data"]]


async def test_every_change_is_entered_newest_first(api, create):
    webhook = await create()
    path = f"/v2/webhooks/{webhook['id']}"
    await api.patch(path, json={"status": "paused"})
    refreshed = (await api.post(f"{path}/secret")).json()
    await api.delete(path)
    page = await read(api)
    assert [entry["action"] for entry in page["data"]] == [
        "webhook.deleted",
        "webhook.secret_rotated",
        "webhook.updated",
        "webhook.created",
    ]
    assert page["nextCursor"] is None
    assert {entry["resource"]["id"] for entry in page["data"]} == {webhook["id"]}
    rotated = page["data"][1]
    assert (rotated["actor"]["type"], rotated["actor"]["apiKey"]["name"]) == ("api_key", "sandbox")
    # As bad as the real thing may be: a reader that keeps metadata keeps secrets.
    states = rotated["metadata"]
    assert (states["before"]["secret"], states["after"]["secret"]) == (webhook["secret"], refreshed["secret"])


async def test_what_failed_or_only_read_is_not_entered(api, create):
    webhook = await create()
    await api.get(f"/v2/webhooks/{webhook['id']}")
    await api.patch(f"/v2/webhooks/{webhook['id']}", json={"topics": []})
    await api.delete(f"/v2/webhooks/{'0' * 24}")
    assert await actions(api) == ["webhook.created"]


async def test_filters_and_pages(api, create):
    webhook = await create()
    for _ in range(3):
        await api.post(f"/v2/webhooks/{webhook['id']}/secret")
    seen, cursor = [], None
    while True:
        page = await read(api, limit=2, action="webhook.secret_rotated", **({"cursor": cursor} if cursor else {}))
        seen += page["data"]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert len({entry["id"] for entry in seen}) == 3
    assert [entry["id"] for entry in seen] == sorted((entry["id"] for entry in seen), reverse=True)
    at = seen[0]["createdAt"]
    assert len((await read(api, startDate=at, endDate=at))["data"]) >= 1
    assert (await read(api, endDate="2020-01-01"))["data"] == []
    assert (await read(api, domain="billing"))["data"] == []


@pytest.mark.parametrize("query", [{"startDate": "soon"}, {"cursor": "x"}, {"limit": "0"}])
async def test_what_makes_no_sense_is_refused(api, query):
    assert (await api.get(PATH, params=query)).status_code == 400


async def test_it_needs_the_version_of_the_webhooks(api):
    answer = await api.get(PATH, headers={"Featurebase-Version": "2025-12-12.clover"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "endpoint_not_in_version")


async def test_entries_may_lag(api, create):
    await api.post("/_sandbox/behaviour", json={"audit_log_lag": 30})
    await create()
    assert await actions(api) == []
    await api.post("/_sandbox/clock", json={"advance": 31})
    assert await actions(api) == ["webhook.created"]


@pytest.mark.parametrize(("switch", "status"), [("forbidden", 403), ("missing", 404)])
async def test_it_may_not_be_readable(api, switch, status):
    await api.post("/_sandbox/behaviour", json={"audit_log": switch})
    assert (await api.get(PATH)).status_code == status


async def test_a_secret_that_is_forced_is_a_persons_doing(api, create):
    webhook = await create()
    await api.post(f"/_sandbox/webhooks/{webhook['id']}", json={"secret": "whsec_by_hand"})
    await api.post(f"/_sandbox/webhooks/{webhook['id']}", json={"status": "suspended"})
    newest = (await read(api))["data"][0]
    assert (newest["action"], newest["actor"]["type"]) == ("webhook.secret_rotated", "admin")
    assert newest["actor"]["apiKey"] is None


async def test_a_webhook_has_a_topic(api, create):
    """An empty list of topics is refused; what Featurebase does with one is not documented."""
    webhook = await create()
    for answer in (
        await api.post("/v2/webhooks", json={"name": "n", "url": "https://example.com", "topics": []}),
        await api.patch(f"/v2/webhooks/{webhook['id']}", json={"topics": []}),
    ):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "topics")
