"""The switches for what Featurebase does not document about two webhooks with one url."""

from __future__ import annotations

import json

import pytest

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.clock import iso_ms

pytestmark = pytest.mark.asyncio


@pytest.fixture
def switch(api):
    async def switch(**switches):
        answer = await api.post("/_sandbox/behaviour", json=switches)
        assert answer.status_code == 200, answer.text

    return switch


@pytest.fixture
def patch(api):
    async def patch(webhook, **fields):
        answer = await api.patch(f"/v2/webhooks/{webhook['id']}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return patch


@pytest.fixture
def emit(api):
    async def emit(**body):
        answer = await api.post("/_sandbox/events", json={"topic": "post.created", **body})
        assert answer.status_code == 202, answer.text
        return answer.json()["eventIds"]

    return emit


@pytest.fixture
def advance(api):
    """Moves the clock, after everything that is under way has ended, and waits for what this has started."""

    async def advance(seconds):
        answer = await api.post("/_sandbox/clock", json={"advance": seconds})
        assert answer.status_code == 200, answer.text

    return advance


@pytest.fixture
def attempts(api, state):
    """(webhook, fingerprint, status) of each attempt so far, in order."""

    async def attempts():
        await state.deliveries.settle()
        shown = (await api.get("/_sandbox/deliveries")).json()
        return [(one["webhookId"], one["fingerprint"], one["statusCode"]) for one in shown]

    return attempts


async def events_of(api):
    return (await api.get("/_sandbox/events")).json()


@pytest.mark.parametrize("event_ids", ["each", "shared"])
async def test_two_webhooks_get_one_event_under_one_id_or_two(api, create, target, switch, emit, attempts, event_ids):
    """What happened is the same either way; only the webhook differs, and perhaps the id."""
    await switch(event_ids=event_ids)
    pair = [await create(url=f"{target.url}/status/200") for _ in range(2)]
    ids = await emit(topic="post.created", count=2)
    await attempts()

    events = await events_of(api)
    assert ids == [event["id"] for event in events]
    assert [event["emission"] for event in events] == [1, 1, 2, 2]
    assert [event["webhookId"] for event in events] == [webhook["id"] for webhook in pair] * 2
    assert len(set(ids)) == {"each": 4, "shared": 2}[event_ids]
    assert (ids[0] == ids[1]) is (event_ids == "shared")
    assert all((event["delivered"], event["attempts"]) == (True, 1) for event in events)
    bodies = sorted((json.loads(body) for _, _, body in target.got), key=lambda body: body["createdAt"])
    told = [(body["topic"], body["createdAt"], body["organizationId"], body["data"]) for body in bodies]
    assert len({json.dumps(one) for one in told}) == 2, "two happenings, each told twice alike"
    assert {body["webhookId"] for body in bodies} == {webhook["id"] for webhook in pair}


async def test_emissions_that_reach_nobody_can_be_counted(api, create, target, patch, emit, attempts):
    """With two webhooks, one of which refuses: an emission counts as delivered if one of its events was."""
    good = await create(url=f"{target.url}/status/200")
    await create(url=f"{target.url}/status/500")
    await emit()
    await attempts()
    await patch(good, status="paused")
    await emit()
    await emit(topic="comment.created")
    await attempts()
    emissions = {}
    for event in await events_of(api):
        emissions.setdefault(event["emission"], []).append((event["webhookId"] is None, event["delivered"]))
    assert {number: sorted(events) for number, events in emissions.items()} == {
        1: [(False, False), (False, True)],
        2: [(False, False)],
        3: [(True, False)],
    }


async def test_first_attempt_waits_for_the_lag(create, target, switch, emit, advance, state):
    await switch(delivery_lag=3600)
    await create(url=f"{target.url}/status/200")
    await emit()
    await advance(3000)
    assert target.got == []
    await advance(600)
    (event,), (attempt,) = state.journal.events, state.journal.attempts
    assert event.delivered
    assert attempt.at_ms - event.emitted_at_ms == pytest.approx(3_600_000, abs=60_000)
    created_at = json.loads(target.got[0][2])["createdAt"]
    assert created_at == iso_ms(event.emitted_at_ms), "the time of the emission, not of the delivery"


@pytest.mark.parametrize("lag", [0, 30])
@pytest.mark.parametrize("matched", ["emission", "delivery"])
@pytest.mark.parametrize("change", ["topics", "status"])
async def test_events_are_matched_when_emitted_or_when_delivered(
    api, create, target, switch, patch, emit, advance, attempts, lag, matched, change
):
    """One webhook wants the event when it is emitted, the other one when it is delivered."""
    await switch(delivery_lag=lag, matched=matched, pausing="keeps")
    url = f"{target.url}/status/200"
    wanted, unwanted = {
        "topics": ({"topics": ["post.created"]}, {"topics": ["comment.created"]}),
        "status": ({"status": "active"}, {"status": "paused"}),
    }[change]
    early, late = await create(url=url), await create(url=url)
    await patch(late, **unwanted)
    await emit()
    (event,) = await events_of(api)
    undecided = lag and matched == "delivery"
    assert event["webhookId"] == (None if undecided else early["id"])
    await attempts()
    await patch(early, **unwanted)
    await patch(late, **wanted)
    await advance(lag + 1)
    expected = late if undecided else early
    assert await attempts() == [(expected["id"], fingerprint_of(expected["secret"]), 200)]
    (event,) = await events_of(api)
    assert (event["webhookId"], event["delivered"]) == (expected["id"], True)


async def test_event_that_nobody_wants_at_delivery_stays_without_a_webhook(
    api, create, target, switch, patch, emit, advance, attempts
):
    await switch(delivery_lag=30, matched="delivery", pausing="keeps")
    webhook = await create(url=f"{target.url}/status/200")
    ids = await emit()
    await patch(webhook, status="paused")
    await advance(31)
    assert await attempts() == []
    (event,) = await events_of(api)
    assert [event["id"]] == ids
    assert (event["webhookId"], event["delivered"], event["attempts"]) == (None, False, 0)


@pytest.mark.parametrize("waits_for", ["first attempt", "retry"])
@pytest.mark.parametrize(
    ("pausing", "end", "sent"),
    [
        ("drops", "paused", False),
        ("keeps", "paused", True),
        ("keeps", "suspended", False),
        ("keeps", "deleted", False),
        ("drops", "active", True),
    ],
)
async def test_pausing_drops_or_keeps_what_waits(
    api, create, target, switch, emit, advance, attempts, waits_for, pausing, end, sent
):
    """A webhook that is paused and set active again before the time has come gets it either way."""
    await switch(pausing=pausing, delivery_lag=60 if waits_for == "first attempt" else 0)
    webhook = await create(url=f"{target.url}/status/500")
    await emit()
    before = len(await attempts())
    assert before == (waits_for == "retry")
    if end == "deleted":
        await api.delete(f"/v2/webhooks/{webhook['id']}")
    else:
        for status in ("paused", end):
            await api.post(f"/_sandbox/webhooks/{webhook['id']}", json={"status": status})
    await advance(61)
    assert len(await attempts()) == before + sent
    if end == "paused":
        await emit()
        assert (await events_of(api))[-1]["webhookId"] is None, "a paused webhook gets no new event"


async def test_first_delivery_after_a_change_depends_on_what_was_loaded(
    api, create, target, switch, patch, emit, advance, attempts
):
    """Loaded shortly before: the old secret, url and headers; not loaded, or long before: the new ones."""
    await switch(config_cache=3600)
    webhook = await create(url=f"{target.url}/status/200", requestConfig={"headers": {"X-Key": "old"}})

    async def change(number):
        secret = (await api.post(f"/v2/webhooks/{webhook['id']}/secret")).json()["secret"]
        await patch(webhook, url=f"{target.url}/status/20{number}", requestConfig={"headers": {"X-Key": str(number)}})
        return fingerprint_of(secret)

    async def deliver():
        await emit()
        *_, (_, fingerprint, code) = await attempts()
        return fingerprint, code, target.got[-1][1]["x-key"]

    first = await change(1)
    assert await deliver() == (first, 201, "1"), "it was not loaded before"
    second = await change(2)
    assert await deliver() == (first, 201, "1")
    await advance(3000)
    assert await deliver() == (first, 201, "1"), "a use does not extend a copy's time"
    await advance(600)
    assert await deliver() == (second, 202, "2")
    await advance(3600)
    fourth = await change(4)
    assert await deliver() == (fourth, 204, "4"), "the copy was too old"


async def test_cached_status_and_topics_decide_who_gets_an_event(
    api, create, target, switch, patch, emit, advance, attempts
):
    await switch(config_cache=60)
    url = f"{target.url}/status/200"
    old, new = await create(url=url), await create(url=url, topics=["comment.created"])
    gone = await create(url=url)
    await patch(new, status="paused")
    await emit()
    await patch(new, status="active", topics=["post.created"])
    await patch(old, status="paused")
    await api.delete(f"/v2/webhooks/{gone['id']}")
    await emit()
    await advance(61)
    await emit()
    reached = [webhook_id for webhook_id, _, _ in await attempts()]
    assert sorted(reached[:4]) == sorted([old["id"], gone["id"]] * 2)
    assert reached[4:] == [new["id"]]
    shown = (await api.get(f"/v2/webhooks/{old['id']}")).json()
    assert (shown["status"], shown["lastStatus"]["code"]) == ("paused", 200), "the API shows what is true now"


async def test_retry_uses_the_cached_secret_and_status(api, create, target, switch, emit, patch, advance, attempts):
    """A retry loads its own webhook only; the other one's copy gets no younger by it."""
    await switch(config_cache=90)
    failing = await create(url=f"{target.url}/status/500")
    other = await create(url=f"{target.url}/status/200", topics=["comment.created"])
    await emit()
    await attempts()
    new = (await api.post(f"/v2/webhooks/{failing['id']}/secret")).json()
    await patch(failing, status="paused")
    await patch(other, topics=["post.created"])
    await advance(61)
    assert [one[1] for one in await attempts()] == [fingerprint_of(failing["secret"])] * 2
    await patch(failing, status="active")
    await advance(3601)
    assert [one[1] for one in await attempts()][2:] == [fingerprint_of(new["secret"])]
    await emit()
    assert {one[0] for one in (await attempts())[3:]} == {failing["id"], other["id"]}


async def test_cache_can_be_switched_off_at_once(create, target, switch, patch, emit, attempts):
    await switch(config_cache=1000)
    webhook = await create(url=f"{target.url}/status/200")
    await emit()
    await patch(webhook, url=f"{target.url}/status/204")
    await switch(config_cache=0)
    await emit()
    assert sorted(code for _, _, code in await attempts()) == [200, 204]


async def test_automatic_pausing_is_not_cached(api, create, target, switch, emit, attempts):
    """Health counts at once; deliveries go on as long as the copy says active."""
    await switch(config_cache=1000, pause_after=2)
    webhook = await create(url=f"{target.url}/status/500")
    for _ in range(3):
        await emit()
        await attempts()
    shown = (await api.get(f"/v2/webhooks/{webhook['id']}")).json()
    assert (shown["status"], shown["health"]["consecutiveFailures"]) == ("paused", 3)


@pytest.mark.parametrize("same_url", ["accepted", "refused"])
async def test_url_of_another_webhook_is_accepted_or_refused(api, create, switch, same_url):
    await switch(same_url=same_url)
    body = {"name": "n", "url": "https://example.com/hook", "topics": ["post.created"]}
    first = await create()
    second = await api.post("/v2/webhooks", json=body)
    third = await create(url="https://example.com/other")
    moved = await api.patch(f"/v2/webhooks/{third['id']}", json={"url": first["url"], "name": "moved"})
    kept = await api.patch(f"/v2/webhooks/{first['id']}", json={"url": first["url"], "name": "kept"})
    renamed = await api.patch(f"/v2/webhooks/{third['id']}", json={"name": "renamed"})
    assert (kept.status_code, renamed.status_code) == (200, 200)
    if same_url == "accepted":
        assert (second.status_code, moved.status_code) == (201, 200)
    else:
        for refused in (second, moved):
            assert refused.status_code == 400
            assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == ("url_taken", "url")
        shown = {one["id"]: one for one in (await api.get("/v2/webhooks")).json()["data"]}
        assert set(shown) == {first["id"], third["id"]}
        assert shown[third["id"]]["url"] == third["url"]
        logged = (await api.get("/v2/audit-logs?action=webhook.updated")).json()["data"]
        assert len(logged) == 2, "what was refused is not logged as done"


@pytest.mark.parametrize(
    ("refresh_paused", "status", "code"),
    [
        ("accepted", "paused", 200),
        ("refused", "paused", 400),
        ("refused", "active", 200),
        ("refused", "suspended", 200),
    ],
)
async def test_refresh_of_a_paused_webhook_is_accepted_or_refused(api, create, switch, refresh_paused, status, code):
    await switch(refresh_paused=refresh_paused)
    webhook = await create()
    before = (await api.post(f"/_sandbox/webhooks/{webhook['id']}", json={"status": status})).json()
    answer = await api.post(f"/v2/webhooks/{webhook['id']}/secret")
    assert answer.status_code == code
    after = (await api.get(f"/v2/webhooks/{webhook['id']}")).json()
    assert (after["secret"] != webhook["secret"]) is (code == 200)
    if code == 400:
        assert answer.json()["error"]["code"] == "webhook_paused"
        assert after == before
        assert len((await api.get("/_sandbox/secrets")).json()) == 1
