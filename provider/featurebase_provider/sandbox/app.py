"""The local Featurebase as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featurebase_provider.sandbox.audit_log import Wanted, cursor_before, read_date, read_log_cursor
from featurebase_provider.sandbox.behaviour import Behaviour
from featurebase_provider.sandbox.control_routes import control_router
from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.gate import API_PREFIX, Gate, call_of
from featurebase_provider.sandbox.inputs import (
    CreateInput,
    UpdateInput,
    cursor_after,
    read_body,
    read_cursor,
    read_limit,
    read_status_filter,
    read_webhook_id,
)
from featurebase_provider.sandbox.misbehaviour import Misbehaviour, reads_stale
from featurebase_provider.sandbox.state import DEFAULT_API_KEY, SandboxSettings, SandboxState
from featurebase_provider.sandbox.webhooks import Webhook


def api_router(state: SandboxState) -> APIRouter:
    """The endpoints of the API, for this state.

    No handler awaits between reading and changing the state, so each call takes effect completely or not at all.
    """
    router = APIRouter(prefix=f"{API_PREFIX}/webhooks")

    def shown(request: Request, webhook: Webhook) -> dict[str, Any]:
        return webhook.as_json(state.behaviour.time_text(request.method))

    def changed(
        request: Request, document: dict[str, Any], action: str, webhook: Webhook, before: dict[str, Any] | None
    ) -> Response:
        call_of(request.scope).committed = True
        state.audit_log.note(action, webhook, request, before=before)
        state.keep()
        return JSONResponse(document, 201 if action == "webhook.created" else 200)

    @router.get("")
    async def list_webhooks(request: Request) -> Response:
        query = request.query_params
        page, more = state.webhooks.page(
            after=read_cursor(query.get("cursor")),
            limit=read_limit(query.get("limit")),
            status=read_status_filter(query.get("status")),
            stale=reads_stale(request.scope),
        )
        next_cursor = cursor_after(page[-1].id) if more else None
        data = [shown(request, webhook) for webhook in page]
        return JSONResponse({"object": "list", "data": data, "nextCursor": next_cursor})

    @router.post("")
    async def create_webhook(request: Request) -> Response:
        wanted = read_body(CreateInput, await request.body())
        webhook = state.webhooks.create(wanted, same_url=state.behaviour.same_url)
        return changed(request, shown(request, webhook), "webhook.created", webhook, None)

    @router.get("/{webhook_id}")
    async def get_webhook(request: Request, webhook_id: str) -> Response:
        stale = reads_stale(request.scope)
        return JSONResponse(shown(request, state.webhooks.get(read_webhook_id(webhook_id), stale=stale)))

    @router.patch("/{webhook_id}")
    async def update_webhook(request: Request, webhook_id: str) -> Response:
        webhook_id = read_webhook_id(webhook_id)
        before = state.webhooks.get(webhook_id).as_json()  # an unknown webhook is reported before an invalid body
        wanted = read_body(UpdateInput, await request.body())
        webhook = state.webhooks.update(webhook_id, wanted, same_url=state.behaviour.same_url)
        return changed(request, shown(request, webhook), "webhook.updated", webhook, before)

    @router.delete("/{webhook_id}")
    async def delete_webhook(request: Request, webhook_id: str) -> Response:
        webhook = state.webhooks.get(read_webhook_id(webhook_id))
        state.webhooks.delete(webhook.id)
        document = {"id": webhook.id, "object": "webhook", "deleted": True}
        return changed(request, document, "webhook.deleted", webhook, webhook.as_json())

    @router.post("/{webhook_id}/secret")
    async def refresh_secret(request: Request, webhook_id: str) -> Response:
        behaviour = state.behaviour
        before = state.webhooks.get(read_webhook_id(webhook_id)).as_json()
        webhook = state.webhooks.refresh_secret(
            before["id"], moves_updated_at=behaviour.updated_at == "moves", paused=behaviour.refresh_paused
        )
        return changed(request, shown(request, webhook), "webhook.secret_rotated", webhook, before)

    return router


def audit_log_router(state: SandboxState) -> APIRouter:
    """The endpoint of the audit log."""
    router = APIRouter(prefix=f"{API_PREFIX}/audit-logs")

    @router.get("")
    async def list_audit_logs(request: Request) -> Response:
        if state.behaviour.audit_log == "forbidden":
            raise CallRefused(403, "plan_required", "The workspace's plan does not include audit logs")
        if state.behaviour.audit_log == "missing":
            raise CallRefused(404, "endpoint_not_found", f"GET {request.url.path} is not an endpoint of this API")
        query = request.query_params
        page, more = state.audit_log.page(
            Wanted(
                query.get("action"),
                query.get("domain"),
                *(read_date(name, query.get(name)) for name in ("startDate", "endDate")),
            ),
            after=read_log_cursor(query.get("cursor")),
            limit=read_limit(query.get("limit")),
        )
        next_cursor = cursor_before(page[-1]) if more else None
        return JSONResponse({"object": "list", "data": [entry.as_json() for entry in page], "nextCursor": next_cursor})

    return router


def create_sandbox(api_key: str = DEFAULT_API_KEY, **settings: Any) -> FastAPI:
    """Create a local Featurebase with an empty workspace.

    Its state is in ``app.state.sandbox``. Under a server, running work ends with the application's lifespan.
    ``httpx.ASGITransport`` runs no lifespan: there, await ``app.state.sandbox.aclose()`` if events were emitted.

    :param api_key: the one key that the API accepts.
    :param settings: further fields of :class:`~featurebase_provider.sandbox.state.SandboxSettings`, and switches
        of :class:`~featurebase_provider.sandbox.behaviour.Behaviour`.
    """
    switches = {name: settings.pop(name) for name in Behaviour.model_fields.keys() & settings}
    state = SandboxState(SandboxSettings(api_key=api_key, behaviour=Behaviour(**switches), **settings))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await state.aclose()

    app = FastAPI(
        title="Featurebase sandbox",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        exception_handlers={
            CallRefused: _answer_refusal,
            HTTPException: _answer_http_error,
            RequestValidationError: _answer_invalid_control,
        },
    )
    app.state.sandbox = state
    # A call passes the last one added first.
    app.add_middleware(Misbehaviour, state=state)
    app.add_middleware(Gate, state=state)
    app.add_middleware(_Dated, state=state)
    app.include_router(api_router(state))
    app.include_router(audit_log_router(state))
    app.include_router(control_router(state))
    return app


class _Dated:
    """Sets the ``Date`` header of responses without one to the sandbox's own time."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Date", formatdate(self._state.clock.unix(), usegmt=True))
            await send(message)

        await self._app(scope, receive, send_dated)


async def _answer_refusal(_: Request, error: CallRefused) -> Response:
    return JSONResponse(error.body(), error.status)


async def _answer_http_error(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path} is not an endpoint of this API"
    refusal = CallRefused(error.status_code, "endpoint_not_found", message)
    return JSONResponse(refusal.body(), error.status_code, headers=error.headers)


async def _answer_invalid_control(_: Request, error: RequestValidationError) -> Response:
    """Say what is wrong with a control call's body, without quoting it: it may contain a secret."""
    problems = [
        f"{'.'.join(str(part) for part in detail['loc'][1:]) or 'body'}: {detail['msg']}" for detail in error.errors()
    ]
    refusal = CallRefused(422, "invalid_parameter", "; ".join(problems))
    return JSONResponse(refusal.body(), refusal.status)
