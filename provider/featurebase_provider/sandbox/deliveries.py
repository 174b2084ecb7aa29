"""Signed deliveries with Featurebase's retries (its guides "Security" and "Delivery behaviors").

The signature is computed here from the documentation, not with ``featurebase.signatures``, so that the sandbox can
reveal an error in that module.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import httpx

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.cancelling import cancel_all
from featurebase_provider.sandbox.clock import SandboxClock, iso_ms
from featurebase_provider.sandbox.config_cache import ConfigCache
from featurebase_provider.sandbox.journal import Attempt, Event, Journal
from featurebase_provider.sandbox.webhooks import Webhook, Webhooks

RETRY_DELAYS = (60.0, 3600.0, 21600.0)
"""Seconds from the end of the first, second and third attempt to the next one."""
ACCEPTED_STATUSES = frozenset({200, 201, 202, 204})
MAX_TIMEOUT = 30.0
"""The longest ``timeoutMs`` of a webhook, in seconds."""
ORGANIZATION_ID = "65f000000000000000000001"
NO_ANSWER_CODE = 0
"""``lastStatus.code`` of an attempt without a response; Featurebase does not document its value."""


def signature_headers(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """The two headers that authenticate a delivery; ``timestamp`` in Unix seconds."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Webhook-Timestamp": str(timestamp), "X-Webhook-Signature": digest}


class Deliveries:
    """Sends events to webhooks, each attempt in its own task, and records them in the journal.

    :param webhooks: the webhooks; read before each attempt. One that is not active gets no further attempt, but with
        the switch ``pausing`` a paused one can.
    :param clock: the sandbox's clock, which also runs the retries.
    :param behaviour: returns the current switches.
    """

    def __init__(
        self, webhooks: Webhooks, journal: Journal, clock: SandboxClock, behaviour: Callable[[], Behaviour]
    ) -> None:
        self._webhooks, self._journal, self._clock, self._behaviour = webhooks, journal, clock, behaviour
        self._attempts: set[asyncio.Task[None]] = set()
        self._emissions: set[asyncio.Task[None]] = set()
        self._configs = ConfigCache(webhooks, lambda: behaviour().config_cache, clock.unix)
        self._emitted = 0
        self._client: httpx.AsyncClient | None = None

    def emit(self, topic: str, item: dict[str, Any] | None = None) -> list[Event]:
        """Emit an event: each active webhook that subscribes to the topic gets its own.

        :returns: the events; a single one without a webhook if no webhook gets one, or if that is not decided yet.
        """
        self._emitted += 1
        behaviour = self._behaviour()
        events = [Event(_new_event_id(), topic, None, self._clock.unix_ms(), self._emitted)]
        self._journal.events += events
        data = _event_data(topic, item)

        def deliver() -> None:
            if behaviour.matched == "delivery":
                self._match(events, data)
            for event in events:
                if event.webhook_id is not None:
                    self._begin_attempt(event, event.webhook_id)

        if behaviour.matched == "emission":
            self._match(events, data)
        if behaviour.delivery_lag:
            self._clock.call_later(behaviour.delivery_lag, deliver)
        else:
            deliver()
        return events

    def emit_paced(self, topic: str, item: dict[str, Any] | None, *, count: int, per_second: float) -> None:
        """Emit an event ``count`` times at an even pace, in the background."""
        self._start(self._emit_paced(topic, item, count, per_second), self._emissions)

    def stop_emissions(self) -> None:
        """End all paced emissions; what was emitted is still delivered."""
        for task in self._emissions:
            task.cancel()

    async def settle(self) -> None:
        """Wait until no attempt is running and all retries are scheduled."""
        while self._attempts:
            await asyncio.wait([*self._attempts])

    async def aclose(self) -> None:
        """End emissions, attempts and the clock with its waiting retries, and close connections."""
        self._clock.close()
        await cancel_all([*self._emissions])  # first, for they start attempts
        await cancel_all([*self._attempts])
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def _start(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _emit_paced(self, topic: str, item: dict[str, Any] | None, count: int, per_second: float) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for index in range(count):
            await asyncio.sleep(max(0.0, begin + index / per_second - loop.time()))
            await self._clock.stands()
            self.emit(topic, item)

    def _match(self, events: list[Event], data: dict[str, Any]) -> None:
        """Give the emitted event to a subscriber, and add one for each further subscriber."""
        emitted = events[0]
        shared = self._behaviour().event_ids == "shared"
        for number, webhook in enumerate(self._configs.subscribed_to(emitted.topic)):
            if number:
                events.append(replace(emitted, id=emitted.id if shared else _new_event_id()))
                self._journal.events.append(events[-1])
            events[-1].webhook_id = webhook.id
            events[-1].body = _event_body(events[-1], data)

    def _begin_attempt(self, event: Event, webhook_id: str, first_secret: str | None = None) -> None:
        self._start(self._deliver(event, webhook_id, first_secret), self._attempts)

    async def _deliver(self, event: Event, webhook_id: str, first_secret: str | None) -> None:
        webhook = self._configs.find(webhook_id)
        sent_while = ("active", "paused") if self._behaviour().pausing == "keeps" else ("active",)
        if webhook is None or webhook.status not in sent_while:
            return
        first_secret = first_secret or webhook.secret
        secret = webhook.secret if self._behaviour().retry_signing == "current" else first_secret
        event.delivered = await self._attempt(event, webhook, secret)
        if not event.delivered and event.attempts <= len(RETRY_DELAYS):
            delay = RETRY_DELAYS[event.attempts - 1]
            self._clock.call_later(delay, lambda: self._begin_attempt(event, webhook_id, first_secret))

    async def _attempt(self, event: Event, webhook: Webhook, secret: str) -> bool:
        now = self._clock.unix()
        event.attempts += 1
        attempt = Attempt(event.id, webhook.id, event.attempts, int(now * 1000), fingerprint_of(secret))
        self._journal.attempts.append(attempt)
        headers = httpx.Headers({"Content-Type": "application/json", "User-Agent": "featurebase-sandbox"})
        headers.update(webhook.headers)
        headers.update(signature_headers(secret, event.body, int(now)))
        begin = time.monotonic()
        try:
            attempt.status_code = await asyncio.wait_for(
                self._send(webhook.url, headers, event.body), timeout=webhook.timeout_ms / 1000
            )
        except asyncio.TimeoutError:
            attempt.error = f"no answer within {webhook.timeout_ms} ms"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            attempt.error = f"no answer: {type(error).__name__}"
        accepted = attempt.status_code in ACCEPTED_STATUSES
        self._count(attempt, accepted, response_ms=(time.monotonic() - begin) * 1000)
        return accepted

    async def _send(self, url: str, headers: httpx.Headers, body: bytes) -> int:
        if self._client is None:
            # A new connection for each delivery: one that the receiver is closing must not fail an event.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            self._client = httpx.AsyncClient(limits=limits, timeout=MAX_TIMEOUT, trust_env=False)
        async with self._client.stream("POST", url, headers=headers, content=body) as response:
            return response.status_code

    def _count(self, attempt: Attempt, accepted: bool, response_ms: float) -> None:
        webhook = self._webhooks.find(attempt.webhook_id)
        if webhook is None:  # deleted since the attempt began
            return
        failure = attempt.error or f"Request failed with status code {attempt.status_code}"
        webhook.count_attempt(
            code=attempt.status_code or NO_ANSWER_CODE,
            message="Success" if accepted else failure,
            ok=accepted,
            response_ms=response_ms,
            at_ms=self._clock.unix_ms(),
        )
        failures, pause_after = webhook.health.consecutive_failures, self._behaviour().pause_after
        if pause_after and failures >= pause_after and webhook.status == "active":
            webhook.status = "paused"
            self._webhooks.touch(webhook)


def _new_event_id() -> str:
    return f"notif_{uuid.uuid4()}"


def _event_data(topic: str, item: dict[str, Any] | None) -> dict[str, Any]:
    """What happened: the same for all webhooks that are told of it."""
    subject, _, happened = topic.partition(".")
    data: dict[str, Any] = {
        "object": "notification_event_data",
        "item": item if item is not None else {"object": subject, "id": secrets.token_hex(12)},
    }
    if happened.endswith("updated"):
        data["changes"] = [{"field": "title", "oldValue": "a", "newValue": "b"}]
    return data


def _event_body(event: Event, data: dict[str, Any]) -> bytes:
    document = {
        "object": "notification_event",
        "id": event.id,
        "topic": event.topic,
        "organizationId": ORGANIZATION_ID,
        "webhookId": event.webhook_id,
        "createdAt": iso_ms(event.emitted_at_ms),
        "deliveryStatus": "pending",
        "data": data,
    }
    return json.dumps(document).encode()
