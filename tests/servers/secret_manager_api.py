"""The part of Google Cloud's Secret Manager that the store needs, as its public documentation describes it.

Stands in for the real one; ``gcplocal``, an emulator from the package index, answers ``addVersion`` and ``access`` with
a fixed text. Requests and answers are parsed by the vendor's own message classes, so a field that the API does not
have fails the test. Tokens are signed JWTs, checked with the accounts' public keys. Errors quote the request.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import secretmanager_v1 as vendor
from google.iam.v1 import iam_policy_pb2
from google.protobuf import json_format

from tests.servers.tls_hosts import Answer, Request, TlsHosts, tls_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = [
    "secretmanager.googleapis.com",
    "secretmanager.europe-west3.rep.googleapis.com",
    "oauth2.googleapis.com",
    "iamcredentials.googleapis.com",
]
ALL = None
"""May do everything."""
ADMIN, ROTATION = "admin@acme-feedback.iam.gserviceaccount.com", "rotation@acme-feedback.iam.gserviceaccount.com"
_NUMBERS = {"acme-feedback": "1234567890"}
_PARENT = r"projects/(?P<project>[^/]+)(?:/locations/(?P<location>[^/:]+))?"
_PATH = re.compile(
    rf"^/v1/{_PARENT}/secrets(?:/(?P<secret>[^/:]+)(?P<versions>/versions)?(?:/(?P<version>[^/:]+))?)?"
    r"(?::(?P<verb>[A-Za-z]+))?$"
)
_SETTINGS = {"replication", "expireTime", "rotation", "topics", "versionAliases", "customerManagedEncryption"}
"""What stays as it was when the secret was created: a version that is added changes none of it."""
_PERMISSION = {
    ("GET", "secret", None): "secrets.get",
    ("PATCH", "secret", None): "secrets.update",
    ("DELETE", "secret", None): "secrets.delete",
    ("POST", "secret", "addVersion"): "versions.add",
    ("GET", "version", "access"): "versions.access",
    ("GET", "version", None): "versions.get",
    ("GET", "versions", None): "versions.list",
    ("POST", "version", "disable"): "versions.disable",
    ("POST", "version", "destroy"): "versions.destroy",
    ("POST", "secrets", None): "secrets.create",
}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, status: str, message: str = "") -> None:
        self.answer = Answer(code, {"error": {"code": code, "status": status, "message": message}})


@dataclass
class FakeSecretManager:
    """Secrets, and who may do what.

    :param granted: permissions by account; ALL for everything. Tokens that are no JWT are accounts by themselves.
    :param faults: what becomes of the next requests to the API: an answer, "drop" (the connection breaks before it
        took effect), "drop_after", a callable that is run first, or None (nothing).
    :param adding_changes_etag: whether a new version gives the secret a new etag, which is not documented.
    """

    granted: dict[str, set[str] | None] = field(default_factory=lambda: {ADMIN: ALL, ROTATION: ALL})
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: deque[Any] = field(default_factory=deque)
    adding_changes_etag: bool = False
    tokens: list[str] = field(default_factory=list)
    token_faults: deque[Answer] = field(default_factory=deque)
    clock: int = 0
    hosts: TlsHosts = field(default_factory=TlsHosts)

    def answer(self, request: Request) -> Answer | None:
        try:
            if request.host == "oauth2.googleapis.com":
                return self.token_faults.popleft() if self.token_faults else self._token(request)
            account = self._account(request)
            if request.host == "iamcredentials.googleapis.com":
                return self._impersonate(request, account)
            fault = self.faults.popleft() if self.faults else None
            if isinstance(fault, Answer):
                return fault
            if callable(fault):
                fault()
            if fault == "drop":
                return None
            said = Answer(body=self._api(request, account))
        except Refusal as refusal:
            return refusal.answer
        return None if fault == "drop_after" else said

    def _token(self, request: Request) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if asked.get("grant_type") != "refresh_token" or asked.get("refresh_token") not in self.granted:
            return Answer(400, {"error": "invalid_grant", "error_description": f"quotes {request.body.decode()}"})
        self.tokens.append(asked["refresh_token"])
        return Answer(body={"access_token": asked["refresh_token"], "expires_in": 3600, "token_type": "Bearer"})

    def _account(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.tokens:
            return token
        try:
            claims = jwt.decode(token, key_pair()[1], ["RS256"], options={"verify_aud": False, "verify_iat": False})
        except jwt.InvalidTokenError:
            raise Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.") from None
        assert claims["scope"]
        account: str = claims["iss"]
        if account not in self.granted:
            raise Refusal(401, "UNAUTHENTICATED", "Account is unknown.")
        return account

    def _impersonate(self, request: Request, account: str) -> Answer:
        target = unquote(request.path).rpartition("/")[2].partition(":")[0]
        if not request.path.endswith(":generateAccessToken"):
            raise Refusal(404, "NOT_FOUND")
        granted = self.granted[account]
        if granted is not ALL and "impersonate" not in granted:
            raise Refusal(403, "PERMISSION_DENIED", "iam.serviceAccounts.getAccessToken")
        self.tokens.append(target)
        return Answer(body={"accessToken": target, "expireTime": "2099-01-01T00:00:00Z"})

    def _api(self, request: Request, account: str) -> dict[str, Any]:
        match = _PATH.match(request.path)
        if match is None:
            raise Refusal(404, "NOT_FOUND", request.path)
        parts = match.groupdict()
        regional = f"secretmanager.{parts['location']}.rep.googleapis.com" if parts["location"] else HOSTS[0]
        assert request.host == regional, "regional secrets have endpoints of their own"
        kind = "version" if parts["version"] else "versions" if parts["versions"] else "secret"
        kind = kind if parts["secret"] else "secrets"
        granted = self.granted[account]
        place = request.path.removeprefix("/v1/").partition("/secrets")[0]
        name = f"{place}/secrets/{parts['secret'] or request.query.get('secretId')}"
        if parts["verb"] == "testIamPermissions":
            return self._test_permissions(request, name, granted)
        permission = "secretmanager." + _PERMISSION[request.method, kind, parts["verb"]]
        unknown = parts["project"] not in _NUMBERS
        if unknown or (granted is not ALL and permission not in granted):
            raise Refusal(
                403, "PERMISSION_DENIED", f"Permission '{permission}' denied on resource '{name}': {request.body!r}"
            )
        if kind == "secrets":
            return self._create(request, name, parts["location"])
        if name not in self.secrets:
            raise Refusal(404, "NOT_FOUND", f"Secret [{name}] not found.")
        return self._secret(request, name, kind, parts["version"], parts["verb"])

    def _test_permissions(self, request: Request, name: str, granted: set[str] | None) -> dict[str, Any]:
        asked = json_format.Parse(request.body, iam_policy_pb2.TestIamPermissionsRequest()).permissions
        if name not in self.secrets:  # documented: an empty set, no NOT_FOUND
            return {}
        return {"permissions": [one for one in asked if granted is ALL or one in granted]}

    def _create(self, request: Request, name: str, location: str | None) -> dict[str, Any]:
        secret = vendor.Secret.from_json(request.body)
        if name in self.secrets:
            raise Refusal(409, "ALREADY_EXISTS", f"Secret [{name}] already exists.")
        if bool(location) == ("replication" in secret):
            raise Refusal(400, "INVALID_ARGUMENT", "replication")
        self.secrets[name] = {
            "annotations": dict(secret.annotations),
            "labels": {},
            "etag": self._tick(),
            "versions": [],
            "settings": {name: value for name, value in json.loads(request.body).items() if name in _SETTINGS},
        }
        return self._described(name)

    def _secret(self, request: Request, name: str, kind: str, version: str | None, verb: str | None) -> dict[str, Any]:
        secret = self.secrets[name]
        if kind == "versions":
            return self._list(request, name)
        if kind == "version":
            return self._version(request, name, version or "", verb)
        if verb == "addVersion":
            added = vendor.AddSecretVersionRequest.from_json(request.body)
            if len(added.payload.data) > 65_536:
                raise Refusal(400, "INVALID_ARGUMENT", f"quotes {request.body!r}")
            secret["versions"].append({"data": added.payload.data, "state": "ENABLED", "etag": self._tick()})
            if self.adding_changes_etag:
                secret["etag"] = self._tick()
            return self._described(name, len(secret["versions"]))
        if request.method == "PATCH":
            self._update(request, secret)
        elif request.method == "DELETE":
            del self.secrets[name]
            return {}
        return self._described(name)

    def _update(self, request: Request, secret: dict[str, Any]) -> None:
        wanted = vendor.Secret.from_json(request.body)
        paths = request.query["updateMask"].split(",")
        assert set(paths) <= {"annotations", "labels"}
        if wanted.etag and wanted.etag != secret["etag"]:
            raise Refusal(400, "FAILED_PRECONDITION", f"etag mismatch: {request.body!r}")
        for path in paths:
            secret[path] = dict(getattr(wanted, path))
        secret["etag"] = self._tick()

    def _list(self, request: Request, name: str) -> dict[str, Any]:
        wanted = request.query.get("filter", "").removeprefix("state:")
        numbers = range(len(self.secrets[name]["versions"]), 0, -1)
        shown = [self._described(name, number) for number in numbers]
        found = [one for one in shown if wanted in ("", one["state"])]
        start = int(request.query.get("pageToken", 0))
        page = found[start : start + 2]  # small pages, so that clients have to follow them
        more = {"nextPageToken": str(start + 2)} if len(found) > start + 2 else {}
        return self._checked(vendor.ListSecretVersionsResponse, {"versions": page, "totalSize": len(found), **more})

    def _version(self, request: Request, name: str, asked: str, verb: str | None) -> dict[str, Any]:
        versions = self.secrets[name]["versions"]
        number = len(versions) if asked == "latest" else int(asked)
        if not 0 < number <= len(versions) or versions[number - 1]["state"] == "MISSING":  # a number never given
            raise Refusal(404, "NOT_FOUND", f"Secret Version [{name}/versions/{asked}] not found.")
        version = versions[number - 1]
        if verb in {"disable", "destroy"}:
            etag = json.loads(request.body or "{}").get("etag")
            if version["state"] == "DESTROYED" or (etag and etag != version["etag"]):
                raise Refusal(400, "FAILED_PRECONDITION", "etag mismatch")
            version.update(state="DISABLED" if verb == "disable" else "DESTROYED", etag=self._tick())
        if verb != "access":
            return self._described(name, number)
        if version["state"] != "ENABLED":
            raise Refusal(
                400, "FAILED_PRECONDITION", f"Secret Version [{name}/versions/{number}] is in {version['state']} state."
            )
        data = base64.b64encode(version["data"]).decode()
        shown = {"name": self._described(name, number)["name"], "payload": {"data": data}}
        return self._checked(vendor.AccessSecretVersionResponse, shown)

    def _described(self, name: str, number: int | None = None) -> dict[str, Any]:
        secret = self.secrets[name]
        for project, digits in _NUMBERS.items():  # Google answers with the project's number
            name = name.replace(f"projects/{project}/", f"projects/{digits}/")
        if number is None:
            facts = {key: secret[key] for key in ("annotations", "labels", "etag")} | secret.get("settings", {})
            return self._checked(vendor.Secret, {"name": name, **facts})
        version = secret["versions"][number - 1]
        facts = {"state": version["state"], "etag": version["etag"]}
        return self._checked(vendor.SecretVersion, {"name": f"{name}/versions/{number}", **facts})

    @staticmethod
    def _checked(message: Any, document: dict[str, Any]) -> dict[str, Any]:
        message.from_json(json.dumps(document))
        return document

    def _tick(self) -> str:
        self.clock += 1
        return f'"{self.clock:x}"'


@cache
def key_pair() -> tuple[str, str]:
    """One key for all accounts of the session: PEM of the private and the public half."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pkcs8 = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pkcs8.decode(), public.decode()


def account_key(account: str) -> dict[str, str]:
    """A service account's key file."""
    return {
        "type": "service_account", "client_email": account, "private_key": key_pair()[0], "private_key_id": "1",
        "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token", "project_id": "acme-feedback",
    }  # fmt: skip


@contextmanager
def fake_secret_manager() -> Iterator[FakeSecretManager]:
    """A stand-in for the time of a test."""
    fake = FakeSecretManager()
    with tls_hosts(HOSTS, fake.answer) as fake.hosts:
        yield fake
