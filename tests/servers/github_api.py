"""The part of GitHub's REST API that Actions secrets need, over HTTP on loopback, as GitHub Enterprise serves it.

Stands in for GitHub, and opens the sealed boxes with its private key. Its errors quote the request.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

_SECRETS = re.compile(r"^/api/v3(/(?:repos|orgs)/.+?)/secrets(?:/([^/]+)(/repositories)?)?$")
REPOSITORY, ENVIRONMENT, ORGANIZATION = (
    "/repos/acme/feedback/actions",
    "/repos/acme/feedback/environments/prod%20eu",
    "/orgs/acme/actions",
)


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str = "Not Found", **headers: str) -> None:
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class FakeGithub:
    """Secrets by place and name, tokens, and how the next requests fail.

    :param tokens: what each token may do with secrets: "read", "write".
    :param public_key: what it shows instead of its own.
    :param faults: what becomes of the next requests: a status, a refusal, "drop", "garbage", or None (nothing).
    """

    tokens: dict[str, set[str]] = field(default_factory=lambda: {"admin": {"read", "write"}})
    places: dict[str, dict[str, Json]] = field(
        default_factory=lambda: {place: {} for place in (REPOSITORY, ENVIRONMENT, ORGANIZATION)}
    )
    faults: deque[int | str | Refusal | None] = field(default_factory=deque)
    requests: list[tuple[str, str]] = field(default_factory=list)
    private_key: PrivateKey = field(default_factory=PrivateKey.generate)
    key_id: str = "568250167242549743"
    public_key: str | None = None
    now: datetime = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def http(self) -> ThreadingHTTPServer:
        return ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"github": self}))

    @property
    def port(self) -> int:
        port: int = self.http.server_address[1]
        return port

    def answer(self, method: str, url: str, authorization: str, body: Any) -> tuple[int, Json | None]:
        parts = urlsplit(url)
        match = _SECRETS.fullmatch(parts.path)
        self.requests.append((method, parts.path.removeprefix("/api/v3")))
        if method == "POST" and parts.path == "/api/v3/app/installations/2/access_tokens":
            expires = (datetime.now(tz=timezone.utc) + timedelta(hours=1)).isoformat()
            return 201, {"token": "rotation", "expires_at": expires, "permissions": {}, "repository_selection": "all"}
        allowed = self.tokens.get(authorization.removeprefix("token "))
        if allowed is None:
            raise Refusal(401, "Bad credentials")
        if match is None or match[1] not in self.places:
            raise Refusal(404)
        if ("read" if method == "GET" else "write") not in allowed:
            raise Refusal(403, f"Resource not accessible by personal access token: {body}")
        with self.lock:
            if match[2] is None:
                return 200, {"total_count": len(self.places[match[1]]), "secrets": []}
            return self._carry_out(method, match[1], match[2].upper(), bool(match[3]), parse_qs(parts.query), body)

    def _carry_out(
        self, method: str, place: str, name: str, audience: bool, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Json | None]:
        found = self.places[place]
        if name == "PUBLIC-KEY":
            key = base64.b64encode(self.private_key.public_key.encode()).decode()
            return 200, {"key_id": self.key_id, "key": key if self.public_key is None else self.public_key}
        if method == "PUT":
            return self._put(place, name, body)
        if name not in found:
            raise Refusal(404)
        if method == "DELETE":
            del found[name]
            return 204, None
        if audience:
            size, page = int(query["per_page"][0]), int(query["page"][0])
            ids = found[name]["repositories"]
            return 200, {
                "total_count": len(ids),
                "repositories": [{"id": one} for one in ids[size * (page - 1) : size * page]],
            }
        return 200, {key: value for key, value in found[name].items() if key not in {"value", "repositories"}}

    def _put(self, place: str, name: str, body: Any) -> tuple[int, None]:
        if not re.fullmatch(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*", name) or body["key_id"] != self.key_id:
            raise Refusal(422, f"Validation failed: {body}")
        try:
            value = SealedBox(self.private_key).decrypt(base64.b64decode(body["encrypted_value"])).decode()
        except (CryptoError, ValueError):
            raise Refusal(422, f"Validation failed: {body}") from None
        self.now += timedelta(seconds=1)
        at = self.now.isoformat().replace("+00:00", "Z")
        found = self.places[place]
        facts: Json = {"name": name, "created_at": found.get(name, {}).get("created_at", at), "updated_at": at}
        if place == ORGANIZATION:
            if body.get("visibility") not in {"all", "private", "selected"}:
                raise Refusal(422, f"visibility is required: {body}")
            selected = body["visibility"] == "selected"
            facts |= {
                "visibility": body["visibility"],
                "repositories": body.get("selected_repository_ids", []) if selected else [],
            }
        status = 204 if name in found else 201
        found[name] = {**facts, "value": value}
        return status, None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    github: FakeGithub

    def _handle(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.github.faults.popleft() if self.github.faults else None
        if fault == "drop":
            self.close_connection = True
            return
        headers: dict[str, str] = {}
        try:
            if isinstance(fault, Refusal):
                raise fault
            if isinstance(fault, int):
                raise Refusal(fault, f"while handling {raw.decode()}")
            authorization = self.headers.get("Authorization", "")
            status, answer = self.github.answer(
                self.command, self.path, authorization, json.loads(raw) if raw else None
            )
        except Refusal as refusal:
            status, answer, headers = refusal.status, {"message": refusal.message}, refusal.headers
        sent = b"" if answer is None else json.dumps(answer).encode()
        if fault == "garbage":
            status, sent = 200, b"<html>" + raw
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(sent))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_DELETE = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@contextmanager
def fake_github() -> Iterator[FakeGithub]:
    """A GitHub for the time of a test."""
    github = FakeGithub()
    thread = threading.Thread(target=github.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield github
    finally:
        github.http.shutdown()
        github.http.server_close()
        thread.join()
