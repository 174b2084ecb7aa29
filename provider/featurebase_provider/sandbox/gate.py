"""The checks that every API call passes first: journal, API key, rate limit, version."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featurebase_provider.sandbox.errors import CallRefused
from featurebase_provider.sandbox.journal import Call
from featurebase_provider.sandbox.state import SandboxState

API_PREFIX = "/v2"
VERSIONS = ("2025-12-12.clover", "2026-01-01.nova", "2026-08-19.orbit")
FIRST_WITH_WEBHOOKS = "2026-01-01.nova"
VERSION_HEADER = "Featurebase-Version"
_CALL = "featurebase_sandbox.call"


def call_of(scope: Scope) -> Call:
    """The journal entry of the current call."""
    call: Call = scope[_CALL]
    return call


def is_api_path(path: str) -> bool:
    """Whether a path belongs to the Featurebase API, and not to the sandbox's own control calls."""
    return path == API_PREFIX or path.startswith(f"{API_PREFIX}/")


class Gate:
    """Writes the journal; refuses calls without the API key, with an unsupported version, or over the rate limit."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an ASGI call."""
        if scope["type"] != "http" or not is_api_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        call = Call(self._state.clock.unix_ms(), scope["method"], scope["path"])
        self._state.journal.calls.append(call)
        rate_headers: dict[str, str] = {}

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                MutableHeaders(scope=message).update(rate_headers)
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_key(headers)
            verdict = self._state.rate_limit.count()
            rate_headers.update(verdict.headers)
            if not verdict.allowed:
                raise CallRefused(
                    429,
                    "rate_limited",
                    "Too many requests of this API key; wait for the next one-minute window",
                )
            self._check_version(headers, scope["path"])
        except CallRefused as refusal:
            await JSONResponse(refusal.body(), refusal.status)(scope, receive, send_noted)
            return
        await self._app({**scope, _CALL: call}, receive, send_noted)

    def _check_key(self, headers: Headers) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if not key or scheme.lower() != "bearer":
            raise CallRefused(401, "missing_api_key", "Send the API key as Authorization: Bearer sk_...")
        if not hmac.compare_digest(key.strip().encode(), self._state.settings.api_key.encode()):
            raise CallRefused(401, "invalid_api_key", "The API key is not valid")

    def _check_version(self, headers: Headers, path: str) -> None:
        version = headers.get(VERSION_HEADER, self._state.settings.default_version)
        if version not in VERSIONS:
            known = ", ".join(VERSIONS)
            raise CallRefused(400, "invalid_version", f"{VERSION_HEADER} must be one of {known}", VERSION_HEADER)
        is_newer_call = path.startswith((f"{API_PREFIX}/webhooks", f"{API_PREFIX}/audit-logs"))
        if is_newer_call and VERSIONS.index(version) < VERSIONS.index(FIRST_WITH_WEBHOOKS):
            raise CallRefused(
                404,
                "endpoint_not_in_version",
                f"This endpoint needs {VERSION_HEADER} {FIRST_WITH_WEBHOOKS} or newer, not {version}",
                VERSION_HEADER,
            )
