"""A real Redis server."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import redis

from tests.servers.local_server import free_port, program, start
from tests.servers.self_signed import self_signed

PASSWORD = "admin-of-the-tests"


@cache
def redis_server() -> int:
    """One server for the whole test session: its port; TLS is on another one. Its default user may do everything."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="redis-tls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    certificate, key = self_signed(folder)
    tls_port = free_port()
    options = ["--tls-port", str(tls_port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    options += ["--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate)]
    _start(port, options)
    return port


@cache
def redis_replica() -> int:
    """A replica of that server, with the same users: its port."""
    port, primary = free_port(), str(redis_server())
    _start(port, ["--replicaof", "127.0.0.1", primary, "--masterauth", PASSWORD, "--dir", "."])
    return port


def _start(port: int, options: list[str]) -> None:
    command = program("redis-server", "apt-get install redis-server")
    options += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]

    def is_ready() -> bool:
        try:
            with redis.Redis(port=port, password=PASSWORD) as client:
                return bool(client.ping()) and client.info("replication").get("master_link_status", "up") == "up"
        except redis.ConnectionError:
            return False

    start([command, *options], is_ready)


def tls() -> tuple[int, str]:
    """The port that takes TLS, and the path of its certificate."""
    with admin(decode_responses=True) as client:
        return int(client.config_get("tls-port")["tls-port"]), client.config_get("tls-cert-file")["tls-cert-file"]


def admin(port: int | None = None, **options: object) -> redis.Redis:
    """A client that may do everything, on the server or another one."""
    return redis.Redis(port=port or redis_server(), password=PASSWORD, **options)
