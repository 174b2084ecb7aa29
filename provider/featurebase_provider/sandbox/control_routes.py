"""The sandbox's control calls under ``/_sandbox/``: without an API key, for clients on this machine only."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.clock import MAX_SPEED
from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.faults import FaultInput
from featurebase_provider.sandbox.inputs import KNOWN_TOPICS, is_loopback, read_webhook_id
from featurebase_provider.sandbox.state import SandboxState
from featurebase_provider.sandbox.webhooks import LastStatus

CONTROL_PREFIX = "/_sandbox"
MAX_AT_ONCE = 10_000
END_OF_TIME = datetime(2100, 1, 1, tzinfo=timezone.utc)
"""The latest time to which the clock can be advanced: a webhook's id begins with its time in 8 hex digits."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class EventsInput(_Input):
    """Body of ``POST /_sandbox/events``. Without ``per_second`` all ``count`` events happen at once."""

    topic: str
    item: dict[str, Any] | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    per_second: Annotated[float, Field(gt=0, le=1000)] | None = None


class ClockInput(_Input):
    """Body of ``POST /_sandbox/clock``.

    :param speed: how many times as fast delivery retries are sent, including those already waiting.
    :param advance: seconds by which to advance the server's time.
    """

    speed: Annotated[float, Field(gt=0, le=MAX_SPEED)] | None = None
    advance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _asks_for_something(self) -> ClockInput:
        if not self.model_fields_set:
            raise ValueError("give speed, advance or both")
        return self


class LastStatusInput(_Input):
    """A delivery result to set."""

    code: int
    message: str
    timestamp: AwareDatetime


class HealthInput(_Input):
    """Health figures to set; those left out stay unchanged."""

    lastResponseTime: int = 0
    avgResponseTime: int = 0
    lastSuccessAt: AwareDatetime | None = None
    errorsSinceLastSuccess: int = 0
    consecutiveFailures: int = 0


class ForceInput(_Input):
    """Body of ``POST /_sandbox/webhooks/{id}``: changes that Featurebase can make to a webhook and clients can't.

    :param status: any status, including ``suspended``; the health figures stay unchanged.
    :param secret: the signing secret, as if somebody else had refreshed it to this value.
    :param omit_secret: leave ``secret`` out of responses.
    :param keep_secret: answer refreshes with an unchanged secret.
    :param topics: topics, including unknown ones.
    :param extra: further fields of the webhook object.
    """

    status: Literal["active", "paused", "suspended"] = "active"
    secret: Annotated[str, Field(min_length=1)] | None = None
    omit_secret: bool = False
    keep_secret: bool = False
    topics: list[str] = []
    createdAt: AwareDatetime | None = None
    lastStatus: LastStatusInput | None = None
    health: HealthInput = HealthInput()
    extra: dict[str, Any] = {}


def control_router(state: SandboxState) -> APIRouter:
    """The control calls, for this state."""
    router = APIRouter(prefix=CONTROL_PREFIX, dependencies=[Depends(_loopback_only)])
    _add_event_routes(router, state)
    _add_journal_routes(router, state)
    _add_fault_routes(router, state)
    _add_behaviour_routes(router, state)
    _add_clock_routes(router, state)

    @router.post("/reset")
    async def reset() -> dict[str, bool]:
        """Drop everything except the start options, and end all running work."""
        await state.reset()
        return {"reset": True}

    @router.post("/webhooks/{webhook_id}")
    async def force(request: Request, webhook_id: str, wanted: ForceInput) -> dict[str, Any]:
        """Put a webhook into a state that clients can't set through the API.

        A new secret is entered into the audit log as a person's doing at the dashboard.
        """
        webhook_id = read_webhook_id(webhook_id)
        before = state.webhooks.get(webhook_id).as_json()
        document = _force(state, webhook_id, wanted)
        if document.get("secret") != before.get("secret"):
            webhook = state.webhooks.get(webhook_id)
            state.audit_log.note("webhook.secret_rotated", webhook, request, before=before, by_key=False)
        return document

    return router


def _add_event_routes(router: APIRouter, state: SandboxState) -> None:
    @router.post("/events", status_code=202)
    async def emit(wanted: EventsInput) -> dict[str, Any]:
        """Emit events to every active webhook that subscribes to the topic.

        The response has the ids of the events that were emitted at once; events of a paced emission get their ids when
        they are emitted.
        """
        topic = wanted.topic
        if topic not in KNOWN_TOPICS and not state.webhooks.subscribed_to(topic):
            raise CallRefused(400, "unknown_topic", f"No webhook can subscribe to topic {topic!r}", "topic")
        events = []
        if wanted.per_second is not None:
            state.deliveries.emit_paced(topic, wanted.item, count=wanted.count, per_second=wanted.per_second)
        elif wanted.count > MAX_AT_ONCE:
            raise CallRefused(400, "too_many", f"More than {MAX_AT_ONCE} events need per_second", "count")
        else:
            for _ in range(wanted.count):
                events += state.deliveries.emit(topic, wanted.item)
        return {"topic": topic, "count": wanted.count, "eventIds": [event.id for event in events]}

    @router.delete("/events")
    async def stop_emissions() -> dict[str, int]:
        """End paced emissions. Events that were emitted are still delivered, and stay in the journal."""
        state.deliveries.stop_emissions()
        return {"emitted": len(state.journal.events)}


def _add_journal_routes(router: APIRouter, state: SandboxState) -> None:
    @router.get("/events")
    async def list_events() -> list[dict[str, Any]]:
        return [event.as_json() for event in state.journal.events]

    @router.get("/deliveries")
    async def list_attempts(webhookId: str | None = None) -> list[dict[str, Any]]:
        attempts = state.journal.attempts
        return [attempt.as_json() for attempt in attempts if webhookId is None or attempt.webhook_id == webhookId]

    @router.get("/requests")
    async def list_calls() -> list[dict[str, Any]]:
        return [call.as_json() for call in state.journal.calls]

    @router.get("/secrets")
    async def list_secrets() -> list[dict[str, Any]]:
        """Every signing secret issued since the start or a reset, for a search for leaks."""
        return [issued.as_json() for issued in state.webhooks.issued]


def _add_fault_routes(router: APIRouter, state: SandboxState) -> None:
    @router.post("/faults", status_code=201)
    async def add_fault(wanted: FaultInput) -> dict[str, Any]:
        return state.faults.add(wanted).as_json()

    @router.get("/faults")
    async def list_faults() -> list[dict[str, Any]]:
        return [fault.as_json() for fault in state.faults.waiting()]

    @router.delete("/faults/{fault_id}")
    async def remove_fault(fault_id: int) -> dict[str, int]:
        """Drop one fault that waits for calls; the calls that it holds stay held."""
        return {"cleared": int(state.faults.remove(fault_id))}

    @router.delete("/faults")
    async def clear_faults() -> dict[str, int]:
        """Drop the faults and release the calls that they hold. Pending late commits still happen."""
        cleared = len(state.faults.waiting())
        state.faults.clear()
        return {"cleared": cleared}


def _add_behaviour_routes(router: APIRouter, state: SandboxState) -> None:
    @router.get("/behaviour")
    async def show_behaviour() -> dict[str, Any]:
        return state.behaviour.model_dump()

    @router.post("/behaviour")
    async def set_behaviour(wanted: Behaviour) -> dict[str, Any]:
        """Set the switches that were sent; the turns of reads start again."""
        state.behave(state.behaviour.model_copy(update=wanted.model_dump(exclude_unset=True)))
        return state.behaviour.model_dump()


def _add_clock_routes(router: APIRouter, state: SandboxState) -> None:
    @router.get("/clock")
    async def show_clock() -> dict[str, float]:
        clock = state.clock
        return {"now": clock.unix(), "ahead": clock.ahead, "speed": clock.speed}

    @router.post("/clock")
    async def set_clock(wanted: ClockInput) -> dict[str, float]:
        """Set how fast delivery retries are sent, or advance the server's time.

        Retries that are due by then are delivered, each at its time, before this call returns.
        """
        if state.clock.unix() + wanted.advance > END_OF_TIME.timestamp():
            message = f"The clock can be advanced to {END_OF_TIME:%Y-%m-%d} at most"
            raise CallRefused(400, "too_far", message, "advance")
        if wanted.speed is not None:
            state.clock.speed = wanted.speed
        if wanted.advance:
            await state.clock.advance(wanted.advance, state.deliveries.settle)
        return await show_clock()


def _force(state: SandboxState, webhook_id: str, wanted: ForceInput) -> dict[str, Any]:
    sent = wanted.model_fields_set
    simple = {"status", "secret", "omit_secret", "keep_secret", "topics", "extra"}
    changes = {name: getattr(wanted, name) for name in sent & simple if getattr(wanted, name) is not None}
    if "createdAt" in sent and wanted.createdAt is not None:
        changes["created_at_ms"] = _unix_ms(wanted.createdAt)
    if "lastStatus" in sent:
        last = wanted.lastStatus
        changes["last_status"] = last and LastStatus(last.code, last.message, _unix_ms(last.timestamp))
    webhook = state.webhooks.force(webhook_id, changes)
    if "health" in sent:
        figures = wanted.health.model_dump(exclude_unset=True)
        if figures.get("lastSuccessAt") is not None:
            figures["lastSuccessAt"] = _unix_ms(figures["lastSuccessAt"])
        webhook.health.force(figures)
    state.keep()
    return webhook.as_json(state.behaviour.time_text("POST"))


def _unix_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _loopback_only(request: Request) -> None:
    if request.client is None or not is_loopback(request.client.host):
        raise CallRefused(403, "loopback_only", "The sandbox's control calls are accepted from this machine only")
