"""The part of a Kubernetes API server that Secrets and rollouts need, over HTTP on loopback.

Stands in for the real one, which no package index carries. It follows the API conventions for what the store relies
on: RBAC by rule before anything else, resourceVersion preconditions, patches, dry runs, immutability, and
changes that change nothing. Its errors quote the request, as real ones may.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

Object = dict[str, Any]
Key = tuple[str, str, str]

_PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<api>(?P<group>[a-z.-]+)/v1[a-z0-9]*))"
    r"/namespaces/(?P<namespace>[^/]+)/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?$"
)
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_DEFINED = {"externalsecrets", "vaultstaticsecrets"}
"""Of custom resource definitions, for which there are no strategic merge patches."""
_MERGES = {"application/merge-patch+json", "application/strategic-merge-patch+json"}
_QUALIFIED = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
)


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str = "") -> None:
        self.code = code
        self.status = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


@dataclass
class FakeKubernetes:
    """Objects, who may do what to them, and how the next requests fail.

    :param rules: RBAC rules by bearer token; None may do everything.
    :param faults: what becomes of the next requests: a status, "drop" (the connection breaks before it took effect),
        "drop_after", a redirect (a URL), "garbage" (a body that is not JSON), or None (nothing).
    :param no_dry_run: an admission webhook with side effects refuses dry runs.
    :param served: the versions of API groups that there are.
    :param operators: called with an object's key after it was patched, by the resource's name.
    """

    objects: dict[Key, Object] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=lambda: {"feedback"})
    rules: dict[str, list[Object] | None] = field(default_factory=lambda: {"admin": None})
    faults: deque[int | str | None] = field(default_factory=deque)
    no_dry_run: bool = False
    served: set[str] = field(default_factory=lambda: {"apps/v1"})
    operators: dict[str, Callable[[Key], None]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    version: int = 1000
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def http(self) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"cluster": self})
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)

    @property
    def port(self) -> int:
        return self.http.server_address[1]

    def answer(self, method: str, url: str, token: str, content_type: str, body: Object | None) -> tuple[int, Object]:
        parts = urlsplit(url)
        verb = _VERBS[method]
        match = _PATH.match(parts.path)
        if match is None:
            raise Refusal(404, "NotFound")
        group, namespace, resource, name = (match[part] or "" for part in ("group", "namespace", "resource", "name"))
        if match["api"] not in {None, *self.served}:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        dry = parse_qs(parts.query).get("dryRun")
        self.requests.append((verb + (" (dry run)" if dry else ""), f"{resource}/{name or ''}"))
        self._authorize(token, verb, group, resource, name)
        if dry and dry != ["All"]:
            raise Refusal(422, "Invalid", "dryRun must be All")
        if dry and self.no_dry_run:
            raise Refusal(400, "BadRequest", f"admission webhook does not support dry run: {body}")
        with self.lock:
            code, found = self._carry_out(verb, (resource, namespace, name), content_type, body or {})
            if not dry and verb != "get":
                self._keep((resource, namespace, found["metadata"]["name"]), None if verb == "delete" else found)
        if not dry and verb == "patch" and resource in self.operators:
            self.operators[resource]((resource, namespace, name))
        return code, found

    def set_status(self, key: Key, status: Object) -> None:
        """As a controller, replace an object's status."""
        with self.lock:
            self._keep(key, {**copy.deepcopy(self.objects[key]), "status": status})

    def _authorize(self, token: str, verb: str, group: str, resource: str, name: str) -> None:
        if token not in self.rules:
            raise Refusal(401, "Unauthorized")
        rules = self.rules[token]
        allowed = rules is None or any(
            verb in rule["verbs"]
            and group in rule["apiGroups"]
            and resource in rule["resources"]
            and (name or None) in rule.get("resourceNames", [name or None])
            for rule in rules
        )
        if not allowed:
            raise Refusal(403, "Forbidden", f"cannot {verb} resource {resource}")

    def _carry_out(self, verb: str, key: Key, content_type: str, body: Object) -> tuple[int, Object]:
        resource, namespace, name = key
        if verb == "create":
            if namespace not in self.namespaces:
                raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
            if (resource, namespace, body["metadata"]["name"]) in self.objects:
                raise Refusal(409, "AlreadyExists", f"already exists: {body}")
            return 201, self._admitted(None, {**body, "metadata": {**body["metadata"], "namespace": namespace}})
        if key not in self.objects:
            raise Refusal(404, "NotFound", f'{resource} "{name}" not found')
        before = self.objects[key]
        if verb == "patch":
            if content_type not in _MERGES or (resource in _DEFINED and "strategic" in content_type):
                raise Refusal(415, "UnsupportedMediaType", content_type)
            body = _merged(before, body)
        if verb in {"patch", "update"}:
            expected = body["metadata"].get("resourceVersion")
            if expected not in {None, before["metadata"]["resourceVersion"]}:
                raise Refusal(409, "Conflict", f"the object has been modified: {body}")
            return 200, self._admitted(before, body)
        return 200, copy.deepcopy(before)

    def _admitted(self, before: Object | None, after: Object) -> Object:
        """Validate and complete an object, as registry strategies do; one that did not change stays at its version."""
        after = copy.deepcopy(after)
        for annotation in after["metadata"].get("annotations") or {}:
            if not _QUALIFIED.fullmatch(annotation):
                raise Refusal(422, "Invalid", f"metadata.annotations: {annotation} in {after}")
        for key, value in (after.get("data") or {}).items():
            if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key):
                raise Refusal(422, "Invalid", f"data: {key} in {after}")
            try:
                base64.b64decode(value, validate=True)
            except (binascii.Error, TypeError):
                raise Refusal(400, "BadRequest", f"illegal base64 data in {after}") from None
        if sum(len(base64.b64decode(value)) for value in (after.get("data") or {}).values()) > 1024 * 1024:
            raise Refusal(422, "Invalid", f"data: Too long: must have at most 1048576 bytes: {after}")
        if before is None:
            made = datetime.now(tz=timezone.utc).isoformat()
            after["metadata"] |= {"uid": uuid4().hex, "creationTimestamp": made, "resourceVersion": "", "generation": 1}
            return after
        for name in ("uid", "creationTimestamp", "resourceVersion", "generation", "namespace"):
            after["metadata"][name] = before["metadata"][name]
        if before.get("immutable") and before.get("data") != after.get("data"):
            raise Refusal(422, "Invalid", f"field is immutable when `immutable` is set: {after}")
        if before.get("spec") != after.get("spec"):
            after["metadata"]["generation"] += 1
        return after

    def _keep(self, key: Key, after: Object | None) -> None:
        if after is None:
            del self.objects[key]
        elif after != self.objects.get(key):
            self.version += 1
            after["metadata"]["resourceVersion"] = str(self.version)
            self.objects[key] = copy.deepcopy(after)


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7386; for mappings of texts, the strategic merge does the same."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: FakeKubernetes

    def _handle(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.cluster.faults.popleft() if self.cluster.faults else None
        if fault == "drop":
            self.close_connection = True
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        content_type = self.headers.get("Content-Type", "")
        try:
            if isinstance(fault, int):
                raise Refusal(fault, "Fault", f"while handling {raw.decode()}")
            body = json.loads(raw) if raw else None
            code, answer = self.cluster.answer(self.command, self.path, token, content_type, body)
        except Refusal as refusal:
            code, answer = refusal.code, refusal.status
        if fault == "drop_after":
            self.close_connection = True
            return
        sent = b"<html>" + raw if fault == "garbage" else json.dumps(answer).encode()
        if isinstance(fault, str) and fault.startswith("http"):
            code = 307
        self.send_response(code)
        if code == 307:
            self.send_header("Location", f"{fault}{self.path}")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@contextmanager
def fake_kubernetes() -> Iterator[FakeKubernetes]:
    """A cluster for the time of a test."""
    cluster = FakeKubernetes()
    thread = threading.Thread(target=cluster.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        cluster.http.shutdown()
        cluster.http.server_close()
        thread.join()


def kube_config(port: int, token: str) -> Object:
    """A kube config for the fake on ``port``."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
