"""A real etcd with access control on, spoken to through its HTTP gateway."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any
from uuid import uuid4

import requests

from tests.servers.local_server import free_port, program, start

_ROOT = {"name": "root", "password": "root-of-the-tests"}


def coded(text: str) -> str:
    """Keys and values as the gateway wants them."""
    return base64.b64encode(text.encode()).decode()


@cache
def etcd() -> tuple[str, str]:
    """One server for the whole test session: its URL, and root's token."""
    binary = program("etcd", "apt-get install etcd-server")
    url, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    options = {
        "--listen-client-urls": url, "--advertise-client-urls": url, "--listen-peer-urls": peers,
        "--initial-advertise-peer-urls": peers, "--initial-cluster": f"default={peers}", "--auth-token-ttl": "3600",
        "--unsafe-no-fsync": None,
    }  # fmt: skip

    def is_ready() -> bool:
        return requests.get(f"{url}/health", timeout=1).json().get("health") == "true"

    given = [part for name, value in options.items() if value for part in (name, value)]
    start([binary, *given], is_ready, folder_option="--data-dir")
    for path, body in [
        ("user/add", _ROOT), ("user/grant", {"user": "root", "role": "root"}), ("auth/enable", {}),
    ]:  # fmt: skip
        requests.post(f"{url}/v3/auth/{path.removeprefix('auth/')}", json=body, timeout=30).raise_for_status()
    return url, _login(url, _ROOT)


def _login(url: str, user: dict[str, str]) -> str:
    answer = requests.post(f"{url}/v3/auth/authenticate", json=user, timeout=30)
    answer.raise_for_status()
    token: str = answer.json()["token"]
    return token


def call(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask as root."""
    url, token = etcd()
    answer = requests.post(f"{url}/v3/{path}", json=body, headers={"Authorization": token}, timeout=30)
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


def token_for(key: str, kind: str) -> str:
    """The token of a new user that may do this (READ, READWRITE) with the keys that start so, and nothing else."""
    name, end = f"user-{uuid4().hex}", key[:-1] + chr(ord(key[-1]) + 1)
    user = {"name": name, "password": "of-the-tests"}
    call("auth/user/add", user)
    call("auth/role/add", {"name": name})
    permission = {"permType": kind, "key": coded(key), "range_end": coded(end)}
    call("auth/role/grant", {"name": name, "perm": permission})
    call("auth/user/grant", {"user": name, "role": name})
    return _login(etcd()[0], user)
