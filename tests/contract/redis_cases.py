"""Strings and hashes in a real Redis, by a user that may do what docs/stores/redis.md grants."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from dotenv import dotenv_values

from featurebase_provider.stores.redis import RedisStore
from tests.contract.store_case import HELD, Seen, StoreCase
from tests.servers.dead_servers import silent_server
from tests.servers.local_server import free_port
from tests.servers.redis_server import admin, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[2] / "docs/stores/redis.md"
GRANTS = [line.split() for line in PAGE.read_text().splitlines() if line.startswith("ACL SETUSER")]
MAY_READ = "-@all +eval +exists +get +hget +acl|whoami +acl|dryrun"


class RedisCase(StoreCase):
    calls_to_readable = 1
    keeps_previous = True
    asks_airflow = True
    may_write: str

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.admin = admin(decode_responses=True)
        self.key = f"app:{uuid4().hex}"
        self.conn_id = self.connection(self.user(self.may_write))

    def user(self, rights: str) -> str:
        name = f"user-{uuid4().hex}"
        self.admin.execute_command(
            "ACL", "SETUSER", name, "on", ">of-the-tests", f"~{self.key}*", f"&{self.key}*", *rights.split()
        )
        return name

    def connection(self, user: str, port: int | None = None, *, schema: str = "", **extra: Any) -> str:
        conn_id = f"redis_{uuid4().hex}"
        fields = {"host": "127.0.0.1", "port": port or redis_server(), "login": user, "password": "of-the-tests"}
        fields["schema"] = schema
        self.patch.setenv(
            f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "redis", "extra": extra, **fields})
        )
        return conn_id

    def close(self) -> None:
        self.patch.undo()
        self.admin.close()

    def place(self) -> dict[str, Any]:
        raise NotImplementedError

    def config(self, **changes: Any) -> RedisStore:
        return RedisStore(**{"conn_id": self.conn_id, "channel": f"{self.key}:reload", **self.place(), **changes})

    def remove(self) -> None:
        self.admin.delete(self.key, f"{self.key}:previous")

    def evidence(self) -> Any:
        with admin() as client:
            keys = sorted(client.keys(f"{self.key}*"))
            return [(key, client.dump(key), client.expiretime(key), client.object("refcount", key)) for key in keys]

    def put_to_stay(self, current: str) -> None:
        self.put(current)
        self.admin.persist(self.key)

    def put_for_a_while(self, current: str) -> str:
        self.put(current)
        self.admin.expireat(self.key, 4102488000)
        return "2100-01-01"

    def missing_place(self) -> RedisStore:
        user = self.user(f"{self.may_write} +select")
        return self.config(conn_id=self.connection(user, db=999), create=True)

    @contextmanager
    def writing_denied(self) -> Iterator[RedisStore]:
        yield self.config(conn_id=self.connection(self.user(MAY_READ)))

    @contextmanager
    def server_down(self) -> Iterator[RedisStore]:
        yield self.config(conn_id=self.connection("any", free_port()))

    @contextmanager
    def dead(self) -> Iterator[tuple[RedisStore, Callable[[], None]]]:
        with silent_server() as server:
            yield self.config(conn_id=self.connection("any", server.port), timeout=300), server.wait


class RedisStringCase(RedisCase):
    bare = True
    may_write = " ".join(right for right in GRANTS[0] if right.startswith(("+", "-@")))

    def place(self) -> dict[str, Any]:
        return {"key": self.key, "previous_key": f"{self.key}:previous"}

    @property
    def previous_as_current(self) -> dict[str, Any]:  # type: ignore[override]
        return {"key": f"{self.key}:previous", "previous_key": None}

    def put(self, current: str, previous: str | None = None) -> None:
        self.admin.set(self.key, current)
        self.admin.expireat(self.key, 4102444800)
        if previous:
            self.admin.set(f"{self.key}:previous", previous)

    def put_beside(self, current: str, previous: str) -> None:
        self.admin.set(f"{self.key}:previous", previous)

    def seen(self) -> Seen | None:
        if not self.admin.exists(self.key):
            return None
        expires = self.admin.expiretime(self.key)
        return Seen(self.admin.get(self.key), self.admin.get(f"{self.key}:previous"), expires)

    def put_wrong_type(self) -> None:
        self.admin.lpush(self.key, HELD)


class RedisHashCase(RedisCase):
    bare = True
    misspelt: ClassVar = {"field": "singing", "previous_field": None}
    previous_as_current: ClassVar = {"field": "before", "previous_field": None}
    may_write = " ".join(right for right in GRANTS[1] if right.startswith(("+", "-@")))

    def place(self) -> dict[str, Any]:
        return {"key": self.key, "field": "signing", "previous_field": "before"}

    def put(self, current: str, previous: str | None = None) -> None:
        self.admin.hset(self.key, mapping={"owner": "feedback-team", "signing": current})
        self.admin.expireat(self.key, 4102444800)
        if previous:
            self.admin.hset(self.key, "before", previous)

    def put_beside(self, current: str, previous: str) -> None:
        self.admin.hset(self.key, "before", previous)

    def seen(self) -> Seen | None:
        fields = self.admin.hgetall(self.key)
        if not fields:
            return None
        return Seen(fields.pop("signing", None), fields.pop("before", None), (fields, self.admin.expiretime(self.key)))

    def put_wrong_type(self) -> None:
        self.admin.set(self.key, HELD)


class RedisDotenvCase(RedisCase):
    """A whole env file under one key."""

    misspelt: ClassVar = {"entry": "SINGING", "previous_entry": None}
    previous_as_current: ClassVar = {"entry": "SIGNING_OLD", "previous_entry": None}
    may_write = RedisStringCase.may_write

    def place(self) -> dict[str, Any]:
        return {"key": self.key, "format": "dotenv", "entry": "SIGNING", "previous_entry": "SIGNING_OLD"}

    def put(self, current: str, previous: str | None = None) -> None:
        old = f"SIGNING_OLD={previous}\n" if previous else ""
        self.admin.set(self.key, f"# of the app\nHOST=a\nexport SIGNING='{current}'\n{old}DEBUG=1\n")
        self.admin.expireat(self.key, 4102444800)

    def seen(self) -> Seen | None:
        text = self.admin.get(self.key)
        if text is None:
            return None
        values = dotenv_values(stream=io.StringIO(text))
        current, previous = (values.pop(key, None) for key in ("SIGNING", "SIGNING_OLD"))
        return Seen(current, previous, (values, self.admin.expiretime(self.key)))

    def put_wrong_type(self) -> None:
        self.admin.set(self.key, f"SIGNING='{HELD}\n")
