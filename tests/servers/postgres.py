"""A real PostgreSQL server."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.local_server import free_port, program, start
from tests.servers.self_signed import self_signed

PASSWORD = "superuser-of-the-tests"


@cache
def postgres() -> int:
    """One server for the whole test session: its port. It has a database ``app``, asks for passwords, and takes TLS."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    data, password_file = folder / "data", folder / "password"
    password_file.write_text(PASSWORD)
    certificate, key = self_signed(folder)
    as_user = _drop_root(folder)
    options = ["--auth=scram-sha-256", f"--pwfile={password_file}", "--username=postgres", "--encoding=UTF8"]
    made = subprocess.run(
        [*as_user, _program("initdb"), *options, "--no-sync", "--locale=C", f"--pgdata={data}"],
        capture_output=True, check=False, cwd="/",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr.decode()
    port = free_port()
    settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
    settings += ["ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}"]

    def is_ready() -> bool:
        try:
            execute("CREATE DATABASE app", port=port, dbname="postgres")
        except psycopg.OperationalError:
            return False
        return True

    server = [*as_user, _program("postgres"), "-D", str(data), *(f"--{setting}" for setting in settings)]
    start(["env", "--chdir=/", *server], is_ready)
    pid = int((data / "postmaster.pid").read_text().split()[0])
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(os.kill, pid, signal.SIGINT)  # "fast": doesn't wait for clients
    return port


def certificate() -> str:
    """Path of the server's certificate."""
    return str(execute("SHOW ssl_cert_file")[0][0])


def execute(statement: Any, parameters: Any = None, *, port: int | None = None, **login: str) -> list[Any]:
    """As the superuser, or with another login, run one statement."""
    with psycopg.connect(
        **{"dbname": "app", "user": "postgres", "password": PASSWORD, **login},
        host="127.0.0.1", port=port or postgres(), autocommit=True,
    ) as connection:  # fmt: skip
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def _program(name: str) -> str:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else program(name, "apt-get install postgresql")


def _drop_root(folder: Path) -> list[str]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return []
    import pwd

    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    setpriv = program("setpriv", "apt-get install util-linux")
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
