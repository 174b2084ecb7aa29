"""A real PgBouncer in front of the tests' PostgreSQL."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import psycopg

from tests.servers.local_server import free_port, program, start
from tests.servers.postgres import PASSWORD, execute, postgres

PoolMode = Literal["session", "transaction", "statement"]


@cache
def pgbouncer(mode: PoolMode) -> int:
    """One for each mode and the whole test session: its port. It lets in whom PostgreSQL lets in."""
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    port = free_port()
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"postgres" "{PASSWORD}"\n')
    settings.write_text(
        f"""
        [databases]
        app = host=127.0.0.1 port={postgres()} dbname=app
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = scram-sha-256
        auth_file = {users}
        auth_user = postgres
        pool_mode = {mode}
        default_pool_size = 2
        """.replace("\n        ", "\n")
    )
    folder.chmod(0o755)
    settings.chmod(0o644)
    users.chmod(0o644)
    # Debian keeps it where not every PATH looks.
    found = "/usr/sbin/pgbouncer"
    command = found if Path(found).exists() else program("pgbouncer", "apt-get install pgbouncer")
    user = ["--user=nobody"] if os.geteuid() == 0 else []

    def is_ready() -> bool:
        try:
            execute("SELECT 1", port=port)
        except psycopg.OperationalError:
            return False
        return True

    start([command, *user, str(settings)], is_ready)
    return port
