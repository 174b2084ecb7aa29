"""The switches for what Featurebase does not document."""

from __future__ import annotations

import httpx
import pytest

from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.behaviour import Behaviour, Reads
from featurebase_provider.sandbox.clock import iso_ms, iso_seconds
from featurebase_provider.sandbox.server import SandboxServer


@pytest.fixture
def switch(api):
    async def switch(**switches):
        answer = await api.post("/_sandbox/behaviour", json=switches)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return switch


async def refresh(api, webhook):
    return (await api.post(f"/v2/webhooks/{webhook['id']}/secret")).json()


async def read(api, webhook, **kwargs):
    return (await api.get(f"/v2/webhooks/{webhook['id']}", **kwargs)).json()


@pytest.mark.asyncio
async def test_switches_are_shown_changed_alone_and_set_back_to_those_of_the_start(headers):
    app = create_sandbox(updated_at="stays", pause_after=3)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://sandbox") as api:
        at_start = (await api.get("/_sandbox/behaviour")).json()
        assert at_start == {**Behaviour().model_dump(mode="json"), "updated_at": "stays", "pause_after": 3}
        changed = {**at_start, "reads": ["fresh", "stale"], "seed": 5}
        answer = await api.post("/_sandbox/behaviour", json={"reads": ["fresh", "stale"], "seed": 5})
        assert answer.json() == (await api.get("/_sandbox/behaviour")).json() == changed
        await api.post("/_sandbox/reset")
        assert (await api.get("/_sandbox/behaviour")).json() == at_start


@pytest.mark.asyncio
@pytest.mark.parametrize("updated_at", ["moves", "stays"])
async def test_refresh_moves_updated_at_or_not(api, create, switch, updated_at):
    """Every other change moves it all the same."""
    webhook = await create()
    await switch(updated_at=updated_at)
    refreshed = await refresh(api, webhook)
    assert refreshed["secret"] != webhook["secret"]
    assert (refreshed["updatedAt"] == webhook["updatedAt"]) is (updated_at == "stays")
    assert (await read(api, webhook))["updatedAt"] == refreshed["updatedAt"]
    renamed = (await api.patch(f"/v2/webhooks/{webhook['id']}", json={"name": "x"})).json()
    assert renamed["updatedAt"] > refreshed["updatedAt"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("timestamps", "posted", "got"),
    [("ms", iso_ms, iso_ms), ("seconds", iso_seconds, iso_seconds), ("get_seconds", iso_ms, iso_seconds)],
)
async def test_times_are_cut_to_seconds_everywhere_or_in_answers_to_get(
    api, create, switch, state, timestamps, posted, got
):
    webhook = await create()
    last = {"code": 200, "message": "Success", "timestamp": "2026-01-15T10:30:00.789Z"}
    health = {"lastSuccessAt": "2026-01-15T10:30:00.789Z"}
    await api.post(f"/_sandbox/webhooks/{webhook['id']}", json={"lastStatus": last, "health": health})
    await switch(timestamps=timestamps)
    answered = await refresh(api, webhook)
    kept = state.webhooks.get(webhook["id"])

    def times(write):
        return [
            write(kept.updated_at_ms),
            write(kept.created_at_ms),
            write(1_768_473_000_789),
            write(1_768_473_000_789),
        ]

    def times_in(shown):
        return [
            shown["updatedAt"],
            shown["createdAt"],
            shown["lastStatus"]["timestamp"],
            shown["health"]["lastSuccessAt"],
        ]

    assert times_in(answered) == times(posted)
    assert times_in(await read(api, webhook)) == times(got)
    assert times_in((await api.get("/v2/webhooks")).json()["data"][0]) == times(got)


@pytest.mark.asyncio
async def test_reads_take_turns_at_being_fresh_and_stale(api, create, switch):
    """From where the switch was set, over single reads and lists; nothing else takes a turn."""
    webhook = await create()
    await read(api, webhook)
    refreshed = await refresh(api, webhook)
    await switch(reads=["fresh", "stale", "fresh"])
    seen = []
    for _ in range(3):
        seen.append((await read(api, webhook))["secret"])
        await api.patch(f"/v2/webhooks/{webhook['id']}/x")
        seen.append((await api.get("/v2/webhooks")).json()["data"][0]["secret"])
    new, old = refreshed["secret"], webhook["secret"]
    assert seen == [new, old, new, new, old, new]
    await switch(reads=["stale"])
    assert (await read(api, webhook)) == webhook


@pytest.mark.asyncio
async def test_stale_read_is_written_as_the_switches_stand_now(api, create, switch):
    webhook = await create()
    await refresh(api, webhook)
    await switch(reads=["stale"], timestamps="seconds")
    stale = await read(api, webhook)
    assert stale["secret"] == webhook["secret"]
    assert stale["updatedAt"] == webhook["updatedAt"][:19] + "Z"


@pytest.mark.asyncio
async def test_fault_on_a_stale_read_shows_what_is_stale(api, create, switch):
    """Lag and latency come together; a stale_read fault makes a fresh turn stale."""
    webhook = await create()
    refreshed = await refresh(api, webhook)
    await switch(reads=["stale", "fresh"])
    await api.post("/_sandbox/faults", json={"kind": "latency", "seconds": 0.01})
    await api.post("/_sandbox/faults", json={"kind": "stale_read"})
    secrets = [(await read(api, webhook))["secret"] for _ in range(4)]
    assert secrets == [webhook["secret"], webhook["secret"], webhook["secret"], refreshed["secret"]]


@pytest.mark.asyncio
async def test_readers_are_told_apart_by_user_agent(api, create, switch):
    webhook = await create()
    new = (await refresh(api, webhook))["secret"]
    await switch(reads=["fresh", "stale"], reads_by="user_agent")
    seen = {}
    for agent in ("a", "b", "c", "b", "a", "b"):
        shown = await read(api, webhook, headers={"User-Agent": agent})
        seen.setdefault(agent, set()).add(shown["secret"])
    assert seen == {"a": {new}, "b": {webhook["secret"]}, "c": {new}}


def test_readers_are_told_apart_by_connection(headers):
    """As two processes that a balancer sends to different replicas."""
    with SandboxServer(reads_by="connection", reads="fresh,stale") as server:

        def client():
            return httpx.Client(base_url=server.url, headers=headers, trust_env=False)

        with client() as one, client() as other:
            body = {"name": "n", "url": "https://example.com", "topics": ["post.created"]}
            webhook = one.post("/v2/webhooks", json=body).json()
            path = f"/v2/webhooks/{webhook['id']}"
            new = one.post(f"{path}/secret").json()["secret"]
            seen = [(name, http.get(path).json()["secret"]) for name, http in [("a", one), ("b", other)] * 3]
    assert seen == [("a", new), ("b", webhook["secret"])] * 3


@pytest.mark.parametrize("reads_by", ["read", "connection"])
def test_random_lag_is_told_by_its_seed(reads_by):
    def drawn(seed, share=0.3):
        reads = Reads(Behaviour(stale_share=share, seed=seed, reads_by=reads_by))
        return [reads.next_is_stale(connection=number, user_agent="") for number in range(1000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 250 < sum(drawn(1)) < 350
    assert sum(drawn(1, share=1)) == 1000


def test_a_reader_keeps_what_it_drew():
    reads = Reads(Behaviour(stale_share=0.5, reads_by="connection"))
    for number in range(20):
        assert len({reads.next_is_stale(connection=number, user_agent="") for _ in range(10)}) == 1


def test_random_lag_comes_on_top_of_the_turns():
    reads = Reads(Behaviour(reads=("stale", "fresh"), stale_share=0.5))
    drawn = [reads.next_is_stale(connection=0, user_agent="") for _ in range(1000)]
    assert all(drawn[::2])
    assert 200 < sum(drawn[1::2]) < 300


@pytest.mark.asyncio
async def test_retry_signing_can_change_while_a_delivery_waits(api, create, target, eventually, switch):
    """Whichever way it is set, the first attempt's secret is not forgotten."""
    webhook = await create(url=f"{target.url}/status/500")
    await api.post("/_sandbox/events", json={"topic": "post.created"})
    await eventually(lambda: len(target.got) == 1)
    refreshed = await refresh(api, webhook)
    await api.post("/_sandbox/clock", json={"advance": 61})
    await switch(retry_signing="first")
    await api.post("/_sandbox/clock", json={"advance": 3601})
    issued = {line["secret"]: line["fingerprint"] for line in (await api.get("/_sandbox/secrets")).json()}
    signed = [attempt["fingerprint"] for attempt in (await api.get("/_sandbox/deliveries")).json()]
    assert signed == [issued[webhook["secret"]], issued[refreshed["secret"]], issued[webhook["secret"]]]
