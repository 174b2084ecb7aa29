"""The local Featurebase as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from featurebase_provider.sandbox.api_routes import api_router
from featurebase_provider.sandbox.control_routes import control_router
from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.gate import Gate
from featurebase_provider.sandbox.misbehaviour import Misbehaviour
from featurebase_provider.sandbox.state import DEFAULT_API_KEY, SandboxSettings, SandboxState


def create_sandbox(api_key: str = DEFAULT_API_KEY, **settings: Any) -> FastAPI:
    """A local Featurebase with an empty workspace.

    Its state is in ``app.state.sandbox``. A server ends what is under way with the lifespan. Under
    ``httpx.ASGITransport``, which runs none, await ``app.state.sandbox.aclose()`` where events were emitted.

    :param api_key: the one key that the API accepts.
    :param settings: further fields of :class:`~featurebase_provider.sandbox.state.SandboxSettings`.
    """
    state = SandboxState(SandboxSettings(api_key=api_key, **settings))

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
    # The last one added is the first one that a call meets.
    app.add_middleware(Misbehaviour, state=state)
    app.add_middleware(Gate, state=state)
    app.include_router(api_router(state))
    app.include_router(control_router(state))
    return app


async def _answer_refusal(_: Request, error: CallRefused) -> Response:
    return JSONResponse(error.body(), error.status)


async def _answer_http_error(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path} is not an endpoint of this API"
    refusal = CallRefused(error.status_code, "endpoint_not_found", message)
    return JSONResponse(refusal.body(), error.status_code, headers=error.headers)


async def _answer_invalid_control(_: Request, error: RequestValidationError) -> Response:
    """Say what is wrong with a control call's body, without quoting it: it may hold a secret."""
    problems = [f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in error.errors()]
    refusal = CallRefused(422, "invalid_parameter", "; ".join(problems))
    return JSONResponse(refusal.body(), refusal.status)
