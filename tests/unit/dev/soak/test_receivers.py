"""The soak's receivers fail as told by the seed: the first attempts of some events, and never the probe's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from dev.soak.receivers import Hiccups

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def receiver(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was sent."""
    body = (await receive()).get("body", b"")
    await PlainTextResponse(body.decode())(scope, receive, send)


async def statuses(event: Any, *, share: float, times: int = 4) -> list[int]:
    hiccups = Hiccups(receiver, seed=1, share=share)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(hiccups), base_url="http://receiver") as client:
        return [(await client.post("/webhook", content=json.dumps(event))).status_code for _ in range(times)]


@pytest.mark.asyncio
async def test_two_attempts_fail_and_the_third_arrives() -> None:
    assert await statuses({"id": "notif_1"}, share=1.0) == [503, 503, 200, 200]


@pytest.mark.asyncio
async def test_event_can_say_how_often_it_fails() -> None:
    """Whatever the share."""
    event = {"id": "notif_1", "data": {"item": {"fails": 3}}}
    assert await statuses(event, share=0.0) == [503, 503, 503, 200]
    event["data"] = {"item": {"fails": 0}}
    assert await statuses(event, share=1.0) == [200] * 4


@pytest.mark.asyncio
@pytest.mark.parametrize("event", [{"id": "notif_probe_1"}, {"no": "id"}, ["no event"]])
async def test_what_is_no_event_is_passed_on(event: Any) -> None:
    assert await statuses(event, share=1.0) == [200] * 4


@pytest.mark.asyncio
async def test_share_of_the_events_fails() -> None:
    failing = [(await statuses({"id": f"notif_{n}"}, share=0.3, times=1))[0] == 503 for n in range(300)]
    assert 60 < sum(failing) < 120


@pytest.mark.asyncio
async def test_body_arrives_whole_behind_it() -> None:
    hiccups = Hiccups(receiver, seed=1, share=0.0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(hiccups), base_url="http://receiver") as client:
        assert (await client.post("/", content=b'{"id": "a"}')).text == '{"id": "a"}'
        assert (await client.get("/received")).status_code == 200
