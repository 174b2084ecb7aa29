"""The part of Azure Key Vault and of its login that the store needs, as their public documentation describes it.

Stands in for the real ones, under their real host names and over TLS. Errors quote the request.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from uuid import uuid4

from tests.servers.tls_hosts import Answer, Request, TlsHosts, tls_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = [
    "*.vault.azure.net",
    "*.vault.usgovcloudapi.net",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
]
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT_SECRET = "client-secret-of-the-tests"
ALL = frozenset({"get", "set", "list", "delete"})
ADMIN, ROTATION = "admin-client", "rotation-client"


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str = "", inner: str | None = None) -> None:
        error = {"code": code, "message": message} | ({"innererror": {"code": inner}} if inner else {})
        self.answer = Answer(status, {"error": error})


@dataclass
class FakeKeyVault:
    """Secrets by vault and name, and who may do what.

    :param granted: permissions by client id.
    :param faults: what becomes of the next authorised requests: an answer, "drop" (the connection breaks before it
        took effect), "drop_after", a callable that is run first, or None (nothing).
    :param login_faults: the same for requests for a token.
    """

    granted: dict[str, frozenset[str]] = field(default_factory=lambda: {ADMIN: ALL, ROTATION: ALL})
    secrets: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    deleted: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    faults: deque[Any] = field(default_factory=deque)
    login_faults: deque[Any] = field(default_factory=deque)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    purge_protection: bool = False
    clock: int = 1_700_000_000
    hosts: TlsHosts = field(default_factory=TlsHosts)

    def answer(self, request: Request) -> Answer | None:
        try:
            if request.host.startswith("login."):
                return self.login_faults.popleft() if self.login_faults else self._login(request)
            if (client := self._client(request)) is None:
                return self._challenge(request)
            fault = self.faults.popleft() if self.faults else None
            if isinstance(fault, Answer):
                return fault
            if callable(fault):
                fault()
            if fault == "drop":
                return None
            said = Answer(body=self._api(request, client))
        except Refusal as refusal:
            return refusal.answer
        return None if fault == "drop_after" else said

    @staticmethod
    def _challenge(request: Request) -> Answer:
        assert b"whsec" not in request.body, "nothing secret before the login"
        cloud = request.host.partition(".")[2]
        login = "login.microsoftonline.us" if "usgov" in cloud else "login.microsoftonline.com"
        challenge = f'Bearer authorization="https://{login}/{TENANT}", resource="https://{cloud}"'
        return Answer(401, {"error": {"code": "Unauthorized"}}, {"WWW-Authenticate": challenge})

    def _client(self, request: Request) -> str | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        client, scope = self.tokens.get(token, (None, ""))
        if client is not None:
            assert scope == f"https://{request.host.partition('.')[2]}/.default"
        return client

    def _login(self, request: Request) -> Answer:
        base = f"https://{request.host}/{TENANT}"
        if request.path == "/common/discovery/instance":
            hosts = [request.host]
            metadata = {"preferred_network": request.host, "preferred_cache": request.host, "aliases": hosts}
            return Answer(body={"tenant_discovery_endpoint": f"{base}/v2.0", "metadata": [metadata]})
        if request.path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            paths = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
            found = {name: f"{base}/oauth2/v2.0/{path}" for name, path in paths.items()}
            return Answer(body={**found, "issuer": f"{base}/v2.0"})
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if request.path != f"/{TENANT}/oauth2/v2.0/token":
            return Answer(400, {"error": "invalid_tenant", "error_description": "AADSTS90002: no such tenant"})
        if asked["client_id"] not in self.granted or asked.get("client_secret") != CLIENT_SECRET:
            quoted = f"AADSTS7000215: Invalid client secret provided: {asked.get('client_secret')}"
            return Answer(401, {"error": "invalid_client", "error_description": quoted})
        token = uuid4().hex
        self.tokens[token] = (asked["client_id"], asked["scope"].split()[0])
        return Answer(body={"token_type": "Bearer", "expires_in": 3600, "access_token": token})

    def _api(self, request: Request, client: str) -> dict[str, Any]:
        assert request.query["api-version"]
        kind, name, *rest = request.path.strip("/").split("/")
        key = (request.host, name.lower())
        needed = {"PUT": "set", "PATCH": "set", "DELETE": "delete"}.get(request.method, "get")
        if needed not in self.granted[client]:
            raise Refusal(403, "Forbidden", f"Caller is not authorized: {request.body!r}", "ForbiddenByRbac")
        if kind == "deletedsecrets":
            if key not in self.deleted:
                raise Refusal(404, "SecretNotFound", "Deleted Secret not found")
            described = self._described(key, self.deleted[key], 0)
            described["attributes"]["recoveryLevel"] = "Recoverable" + "+Purgeable" * (not self.purge_protection)
            dates = {"deletedDate": self.clock, "scheduledPurgeDate": self.clock + 90 * 86_400}
            return {**described, **dates, "recoveryId": f"https://{request.host}/{kind}/{name}"}
        if request.method == "PUT":
            return self._set(request, key)
        if key not in self.secrets:
            raise Refusal(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        if request.method == "DELETE":
            self.deleted[key] = self.secrets.pop(key)
            return self._described(key, self.deleted[key], 0)
        versions = self.secrets[key]
        number = next((index for index, one in enumerate(versions) if rest and one["version"] == rest[0]), -1)
        if request.method == "PATCH":
            versions[number]["enabled"] = request.document["attributes"]["enabled"]
        elif not versions[number]["enabled"]:
            raise Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return self._described(key, versions, number)

    def _set(self, request: Request, key: tuple[str, str]) -> dict[str, Any]:
        if key in self.deleted:
            raise Refusal(
                409, "Conflict", f"is currently in a deleted but recoverable state: {request.body!r}",
                "ObjectIsDeletedButRecoverable",
            )  # fmt: skip
        document = request.document
        assert set(document) <= {"value", "tags", "contentType", "attributes"}
        tags = document.get("tags") or {}
        if len(tags) > 15 or len(document["value"].encode()) > 25_600 or any(len(text) > 256 for text in tags.values()):
            raise Refusal(400, "BadParameter", f"{request.body!r}")
        attributes = document.get("attributes") or {}
        assert set(attributes) <= {"enabled", "exp", "nbf"}
        self.clock += 1
        version = {
            "version": uuid4().hex, "value": document["value"], "tags": tags, "created": self.clock,
            "contentType": document.get("contentType"), "enabled": True, "kid": None,
            "exp": attributes.get("exp"), "nbf": attributes.get("nbf"),
        }  # fmt: skip
        self.secrets.setdefault(key, []).append(version)
        return self._described(key, self.secrets[key], -1)

    @staticmethod
    def _described(key: tuple[str, str], versions: list[dict[str, Any]], number: int) -> dict[str, Any]:
        one = versions[number]
        times = {"created": one["created"], "updated": one["created"], "recoveryLevel": "Recoverable+Purgeable"}
        times |= {name: one[name] for name in ("exp", "nbf") if one.get(name) is not None}
        shown = {
            "value": one["value"], "id": f"https://{key[0]}/secrets/{key[1]}/{one['version']}", "tags": one["tags"],
            "contentType": one["contentType"], "kid": one["kid"], "attributes": {"enabled": one["enabled"], **times},
        }  # fmt: skip
        return {name: fact for name, fact in shown.items() if fact is not None}


@contextmanager
def fake_key_vault() -> Iterator[FakeKeyVault]:
    """A stand-in for the time of a test."""
    fake = FakeKeyVault()
    with tls_hosts(HOSTS, fake.answer) as fake.hosts:
        yield fake
