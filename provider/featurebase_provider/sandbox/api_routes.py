"""The webhook endpoints of the Featurebase API (its webhook reference, 2026-01-01.nova)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from featurebase_provider.sandbox.gate import API_PREFIX, call_of
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
from featurebase_provider.sandbox.misbehaviour import reads_stale
from featurebase_provider.sandbox.state import SandboxState
from featurebase_provider.sandbox.webhooks import Webhook


def api_router(state: SandboxState) -> APIRouter:
    """The endpoints, working on this state.

    No handler awaits between looking and changing, so each call takes effect at once or not at all.
    """
    router = APIRouter(prefix=f"{API_PREFIX}/webhooks")

    def shown(request: Request, webhook: Webhook) -> dict[str, Any]:
        return webhook.as_json(state.behaviour.time_text(request.method))

    def changed(request: Request, document: dict[str, Any], status: int = 200) -> Response:
        call_of(request.scope).committed = True
        state.keep()
        return JSONResponse(document, status)

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
        webhook = state.webhooks.create(read_body(CreateInput, await request.body()))
        return changed(request, shown(request, webhook), status=201)

    @router.get("/{webhook_id}")
    async def get_webhook(request: Request, webhook_id: str) -> Response:
        stale = reads_stale(request.scope)
        return JSONResponse(shown(request, state.webhooks.get(read_webhook_id(webhook_id), stale=stale)))

    @router.patch("/{webhook_id}")
    async def update_webhook(request: Request, webhook_id: str) -> Response:
        webhook_id = read_webhook_id(webhook_id)
        state.webhooks.get(webhook_id)  # an unknown webhook is told before a faulty body
        wanted = read_body(UpdateInput, await request.body())
        return changed(request, shown(request, state.webhooks.update(webhook_id, wanted)))

    @router.delete("/{webhook_id}")
    async def delete_webhook(request: Request, webhook_id: str) -> Response:
        webhook_id = read_webhook_id(webhook_id)
        state.webhooks.delete(webhook_id)
        return changed(request, {"id": webhook_id, "object": "webhook", "deleted": True})

    @router.post("/{webhook_id}/secret")
    async def refresh_secret(request: Request, webhook_id: str) -> Response:
        moves = state.behaviour.updated_at == "moves"
        webhook = state.webhooks.refresh_secret(read_webhook_id(webhook_id), moves_updated_at=moves)
        return changed(request, shown(request, webhook))

    return router
