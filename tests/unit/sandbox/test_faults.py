from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

pytestmark = pytest.mark.asyncio


@pytest.fixture
def fault(api):
    async def add(**fields):
        answer = await api.post("/_sandbox/faults", json=fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return add


@pytest.fixture
def secret_now(state):
    return lambda webhook: state.webhooks.get(webhook["id"]).secret


async def refresh(api, webhook):
    return await api.post(f"/v2/webhooks/{webhook['id']}/secret")


@pytest.mark.parametrize("commit", [False, True])
async def test_status_fault_answers_in_error_form(api, create, fault, state, secret_now, commit):
    webhook = await create()
    await fault(kind="status", status=503, commit=commit, headers={"Retry-After": "7"})
    answer = await refresh(api, webhook)
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "api_error"
    assert answer.json()["error"]["status"] == 503
    assert answer.headers["Retry-After"] == "7"
    assert "X-RateLimit-Remaining" in answer.headers
    assert (secret_now(webhook) != webhook["secret"]) is commit
    call = state.journal.calls[-1]
    assert (call.status, call.committed) == (503, commit)
    assert (await refresh(api, webhook)).status_code == 200


@pytest.mark.parametrize(
    ("status", "type"),
    [(401, "authentication_error"), (403, "authorization_error"), (410, "invalid_request_error"),
     (429, "rate_limit_error"), (502, "api_error")],
)  # fmt: skip
async def test_status_fault_has_the_type_that_belongs_to_its_status(api, fault, status, type):
    await fault(kind="status", status=status)
    assert (await api.get("/v2/webhooks")).json()["error"]["type"] == type


async def test_status_fault_can_be_no_error(api, fault):
    """An empty success, and a redirect, are answers that no client may take for a webhook."""
    await fault(kind="status", status=302, headers={"Location": "/elsewhere"})
    await fault(kind="status", status=204)
    redirect = await api.get("/v2/webhooks")
    assert (redirect.status_code, redirect.headers["Location"], redirect.text) == (302, "/elsewhere", "{}")
    assert (await api.get("/v2/webhooks")).content == b""


@pytest.mark.parametrize("commit", [False, True])
async def test_latency_comes_before_or_after_the_effect(api, create, fault, secret_now, commit):
    webhook = await create()
    await fault(kind="latency", seconds=0.1, commit=commit)
    begin = time.monotonic()
    call = asyncio.create_task(refresh(api, webhook))
    await asyncio.sleep(0.03)
    assert (secret_now(webhook) != webhook["secret"]) is commit
    answer = await call
    assert time.monotonic() - begin >= 0.1
    assert answer.json()["secret"] == secret_now(webhook) != webhook["secret"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("reset", httpx.ReadError), ("hang", httpx.ReadTimeout), ("drop_response", httpx.RemoteProtocolError)],
)
@pytest.mark.parametrize("commit", [False, True])
async def test_faults_without_an_answer_raise_the_clients_error(
    api, create, fault, state, secret_now, kind, error, commit
):
    """In process there is no connection, so the client's error is raised instead of caused."""
    webhook = await create()
    committed = commit or kind == "drop_response"
    await fault(kind=kind, **({"commit": commit} if kind != "drop_response" else {}))
    with pytest.raises(error):
        await refresh(api, webhook)
    assert (secret_now(webhook) != webhook["secret"]) is committed
    call = state.journal.calls[-1]
    assert (call.status, call.committed) == (None, committed)


@pytest.mark.parametrize(("given", "status"), [({"status": 500}, 500), ({}, None)])
async def test_late_commit_answers_or_hangs_and_takes_effect_later(
    api, create, fault, state, secret_now, eventually, given, status
):
    webhook = await create()
    await fault(kind="late_commit", seconds=0.05, **given)
    if status is None:
        with pytest.raises(httpx.ReadTimeout):
            await refresh(api, webhook)
    else:
        assert (await refresh(api, webhook)).status_code == status
    call = state.journal.calls[-1]
    assert (call.status, call.committed) == (status, False)
    assert secret_now(webhook) == webhook["secret"]
    await eventually(lambda: call.committed)
    assert secret_now(webhook) != webhook["secret"]
    assert call.status == status


async def test_late_commit_carries_the_body_of_its_call(api, create, fault, state, eventually):
    webhook = await create()
    await fault(kind="late_commit", seconds=0.01, status=504, method="PATCH")
    await api.patch(f"/v2/webhooks/{webhook['id']}", json={"name": "Later"})
    await eventually(lambda: state.webhooks.get(webhook["id"]).name == "Later")


async def test_reset_ends_late_commits(api, create, fault, state, eventually):
    webhook = await create()
    await fault(kind="late_commit", seconds=3600, status=504)
    before = asyncio.all_tasks()
    await refresh(api, webhook)
    call = state.journal.calls[-1]
    late = asyncio.all_tasks() - before
    assert late
    await api.post("/_sandbox/reset")
    assert all(task.done() for task in late)
    assert call.committed is False


async def test_stale_read_shows_the_webhook_before_its_last_change(api, create, fault):
    webhook = await create()
    path = f"/v2/webhooks/{webhook['id']}"
    await fault(kind="stale_read", count=4)
    assert (await api.get(path)).json() == webhook  # was never changed
    first = (await refresh(api, webhook)).json()
    assert (await api.get(path)).json() == webhook
    second = (await refresh(api, webhook)).json()
    assert (await api.get(path)).json() == first
    assert (await api.get("/v2/webhooks")).json()["data"] == [first]
    assert (await api.get(path)).json() == second


async def test_stale_read_still_shows_a_deleted_webhook(api, create, fault):
    webhook = await create()
    await api.delete(f"/v2/webhooks/{webhook['id']}")
    await fault(kind="stale_read", count=2)
    assert (await api.get(f"/v2/webhooks/{webhook['id']}")).json() == webhook
    assert (await api.get("/v2/webhooks")).json()["data"] == [webhook]
    assert (await api.get("/v2/webhooks")).json()["data"] == []


@pytest.mark.parametrize("body", ["truncated", "not_json", "wrong_type", "html"])
@pytest.mark.parametrize("commit", [True, False])
async def test_malformed_answers_are_no_webhooks(api, create, fault, secret_now, body, commit):
    webhook = await create()
    await fault(kind="malformed", body=body, **({} if commit else {"commit": False}))
    answer = await refresh(api, webhook)
    assert answer.status_code == 200
    expected_type = "text/html" if body == "html" else "application/json"
    assert answer.headers["Content-Type"].startswith(expected_type)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    try:
        document = answer.json()
    except json.JSONDecodeError:
        document = None
    assert not isinstance(document, dict)
    assert (document is not None) is (body == "wrong_type")
    assert (secret_now(webhook) != webhook["secret"]) is commit


async def test_faults_are_spent_one_a_call_oldest_first(api, create, fault):
    webhook = await create()
    await fault(kind="status", status=500, count=2)
    await fault(kind="status", status=502)
    assert [(await refresh(api, webhook)).status_code for _ in range(4)] == [500, 500, 502, 200]


async def test_a_fault_can_leave_the_first_calls_alone(api, fault):
    """What it skips meets the next fault; then it comes as if it were new."""
    await fault(kind="status", status=500, skip=2)
    await fault(kind="status", status=502)
    assert [(await api.get("/v2/webhooks")).status_code for _ in range(4)] == [502, 200, 500, 200]


async def test_faults_meet_only_what_they_match(api, create, fault):
    webhook, other = await create(), await create()
    path = f"/v2/webhooks/{webhook['id']}"
    await fault(kind="status", status=500, method="post", path="/v2/webhooks/*/secret")
    await fault(kind="status", status=502, method="GET", path=path)
    assert (await api.get("/v2/webhooks")).status_code == 200
    assert (await api.get(f"/v2/webhooks/{other['id']}")).status_code == 200
    assert (await api.patch(path, json={})).status_code == 200
    assert (await api.get(path)).status_code == 502
    assert (await refresh(api, webhook)).status_code == 500


async def test_refused_calls_spend_no_fault(api, fault):
    """A fault is meant for a call that would have come through the gate."""
    await fault(kind="status", status=500)
    assert (await api.get("/v2/webhooks", headers={"Authorization": "Bearer no"})).status_code == 401
    assert (await api.get("/v2/webhooks")).status_code == 500


async def test_faults_are_listed_with_what_remains_and_cleared(api, fault):
    added = await fault(kind="status", status=500, count=3, method="GET", path="/v2/webhooks")
    await api.get("/v2/webhooks")
    assert (await api.get("/_sandbox/faults")).json() == [{**added, "remaining": 2}]
    assert (await api.delete("/_sandbox/faults")).json() == {"cleared": 1}
    assert (await api.get("/v2/webhooks")).status_code == 200


async def test_one_fault_is_removed_and_the_others_stay(api, fault):
    first, second = await fault(kind="status", status=503), await fault(kind="status", status=500)
    for cleared in (1, 0):
        assert (await api.delete(f"/_sandbox/faults/{first['id']}")).json() == {"cleared": cleared}
    assert [one["id"] for one in (await api.get("/_sandbox/faults")).json()] == [second["id"]]
    assert (await api.get("/v2/webhooks")).status_code == 500


async def test_clearing_faults_lets_held_calls_go(api, fault):
    await fault(kind="latency", seconds=3600)
    call = asyncio.create_task(api.get("/v2/webhooks"))
    await asyncio.sleep(0.02)
    await api.delete("/_sandbox/faults")
    assert (await asyncio.wait_for(call, 2)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kind": "explode"}, "kind"),
        ({"kind": "status", "count": 0}, "count"),
        ({"kind": "status", "status": 99}, "status"),
        ({"kind": "latency"}, "needs seconds"),
        ({"kind": "late_commit"}, "needs seconds"),
        ({"kind": "drop_response", "commit": False}, "contradicts"),
        ({"kind": "stale_read", "method": "POST"}, "GET only"),
        ({"kind": "status", "colour": "green"}, "colour"),
    ],
)
async def test_impossible_faults_are_refused(api, fields, problem):
    answer = await api.post("/_sandbox/faults", json=fields)
    assert answer.status_code == 422
    assert problem in answer.json()["error"]["message"]
    assert (await api.get("/_sandbox/faults")).json() == []
