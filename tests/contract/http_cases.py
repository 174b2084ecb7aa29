"""The store type http with a real etcd through its HTTP gateway, and with a stand-in for Consul."""

from __future__ import annotations

import base64
import io
import json
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
import requests
from dotenv import dotenv_values

from featurebase_provider.stores.http import HttpStore
from tests.contract.store_case import HELD, Seen, StoreCase, not_applicable
from tests.servers import consul_kv, etcd
from tests.servers.dead_servers import silent_server
from tests.servers.local_server import free_port
from tests.world.recipes import recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class HttpCase(StoreCase):
    calls_to_readable = 1
    bare = True
    asks_airflow = True
    recipe: str
    """Which recipe of docs/stores/http.md it is that runs here."""

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.key = f"{uuid4().hex}/feedback"
        self.conn_id = self.connection(self.header(writes=True))

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def header(self, *, writes: bool) -> dict[str, str]:
        """The credential, as a header."""

    def connection(self, headers: dict[str, str], url: str | None = None) -> str:
        conn_id = f"http_{uuid4().hex}"
        connection = {"conn_type": "http", "host": url or self.url, "extra": headers}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.patch.undo()

    def config(self, **changes: Any) -> HttpStore:
        fields = recipe("http.md", self.recipe, **{"apps/feedback": self.key}) | {"conn_id": self.conn_id}
        return HttpStore(**{**fields, **changes})

    @contextmanager
    def writing_denied(self) -> Iterator[HttpStore]:
        yield self.config(conn_id=self.connection(self.header(writes=False)))

    @contextmanager
    def server_down(self) -> Iterator[HttpStore]:
        yield self.config(conn_id=self.connection({}, f"http://127.0.0.1:{free_port()}"))

    @contextmanager
    def dead(self) -> Iterator[tuple[HttpStore, Callable[[], None]]]:
        with silent_server() as server:
            yield self.config(conn_id=self.connection({}, f"http://127.0.0.1:{server.port}"), timeout=300), server.wait


class EtcdCase(HttpCase):
    keeps_previous = True
    recipe = "etcd"

    @property
    def url(self) -> str:
        return etcd.etcd()[0]

    def header(self, *, writes: bool) -> dict[str, str]:
        return {"Authorization": etcd.token_for(self.key, "READWRITE" if writes else "READ")}

    def _names(self) -> list[str]:
        return [f"{self.key}/signing", f"{self.key}/previous", f"{self.key}/zz-other"]

    def _put(self, key: str, value: str) -> None:
        etcd.call("kv/put", {"key": etcd.coded(key), "value": value})

    def put(self, current: str, previous: str | None = None) -> None:
        for key, value in zip(self._names(), (current, previous, "of others"), strict=True):
            if value:
                self._put(key, etcd.coded(value))

    def put_beside(self, current: str, previous: str) -> None:
        self._put(self._names()[1], etcd.coded(previous))

    def put_wrong_type(self) -> None:
        self._put(self._names()[0], base64.b64encode(b"\xff\xfe").decode())

    def remove(self) -> None:
        etcd.call("kv/deleterange", {"key": etcd.coded(self._names()[0])})

    def evidence(self) -> Any:
        answers = [etcd.call("kv/range", {"key": etcd.coded(key)}).get("kvs") for key in self._names()]
        return [found[0] if found else None for found in answers]

    def seen(self) -> Seen | None:
        current, previous, others = (found and base64.b64decode(found["value"]).decode() for found in self.evidence())
        return Seen(current, previous, others) if current else None

    def missing_place(self) -> HttpStore:
        config = self.config(create=True)
        read = {**config.model_dump()["read"], "url": "/v4/kv/txn"}
        return self.config(create=True, read=read)


class ConsulCase(HttpCase):
    proves_writability = False
    recipe = "Consul"

    @property
    def url(self) -> str:
        return consul_kv.consul_kv()[0]

    def header(self, *, writes: bool) -> dict[str, str]:
        return {"X-Consul-Token": consul_kv.WRITER if writes else consul_kv.READER}

    def _call(self, method: str, data: bytes | None = None) -> requests.Response:
        url = f"{self.url}/v1/kv/{self.key}/signing"
        return requests.request(method, url, data=data, headers=self.header(writes=True), timeout=60)

    def put(self, current: str, previous: str | None = None) -> None:
        self._call("PUT", current.encode()).raise_for_status()

    def put_wrong_type(self) -> None:
        self._call("PUT", b"\xff\xfe").raise_for_status()

    def remove(self) -> None:
        self._call("DELETE").raise_for_status()

    def evidence(self) -> Any:
        answer = self._call("GET")
        return answer.json()[0] if answer.status_code == 200 else None

    def seen(self) -> Seen | None:
        found = self.evidence()
        return Seen(base64.b64decode(found["Value"]).decode()) if found else None

    def missing_place(self) -> HttpStore:
        not_applicable("Consul's keys lie in no folder")


class ConsulDotenvCase(ConsulCase):
    """A whole env file under one key."""

    bare = False
    keeps_previous = True
    misspelt: ClassVar = {"entry": "SINGING", "previous_entry": None}
    previous_as_current: ClassVar = {"entry": "SIGNING_OLD", "previous_entry": None}

    def config(self, **changes: Any) -> HttpStore:
        entries = {"format": "dotenv", "entry": "SIGNING", "previous_entry": "SIGNING_OLD"}
        return super().config(**{**entries, **changes})

    def put(self, current: str, previous: str | None = None) -> None:
        old = f"SIGNING_OLD={previous}\n" if previous else ""
        super().put(f"# of the app\nHOST=a\nexport SIGNING='{current}'\n{old}DEBUG=1\n")

    def put_wrong_type(self) -> None:
        super().put(f"SIGNING='{HELD}\n")

    def seen(self) -> Seen | None:
        found = super().seen()
        if found is None:
            return None
        values = dotenv_values(stream=io.StringIO(found.current))
        current, previous = (values.pop(key, None) for key in ("SIGNING", "SIGNING_OLD"))
        return Seen(current, previous, (values, found.others))
