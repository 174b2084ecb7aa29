"""Real stores that go down or are changed by somebody else in the midst of a Dag run."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from tests.contract.hashicorp_vault_cases import VaultKv2Case
from tests.contract.http_cases import EtcdCase
from tests.contract.local_file_cases import LocalDotenvCase, LocalJsonCase
from tests.contract.memory_case import MemoryJsonCase
from tests.contract.redis_cases import RedisStringCase
from tests.faults.cases import BY_HAND, NOT_STARTED
from tests.servers.openbao import token_for
from tests.servers.redis_server import redis_server
from tests.servers.relay import relay_to

if TYPE_CHECKING:
    from tests.contract.store_case import StoreCase
    from tests.faults.runs import FaultyWorld

SECTION = "Real stores"


class RealStore(ABC):
    """A store that a Dag run writes, and that a test can take away."""

    goes_down = True

    @abstractmethod
    def entry(self) -> dict[str, Any]:
        """Its entry in the rotation file."""

    @abstractmethod
    def put(self, value: str) -> None:
        """Write, as somebody else would."""

    @abstractmethod
    def value(self) -> str | None:
        """What a reader finds."""

    @abstractmethod
    def down(self) -> None:
        """Take it away."""

    @abstractmethod
    def up(self) -> None:
        """Bring it back."""

    def close(self) -> None:  # noqa: B027 - most have nothing to clean up
        """Clean up."""


class OfCase(RealStore):
    """A store of the contract suite."""

    def __init__(self, case: StoreCase) -> None:
        self.case: Any = case

    def entry(self) -> dict[str, Any]:
        config = self.case.config()
        return {"type": config.type, **config.model_dump(mode="json", exclude_unset=True)}

    def put(self, value: str) -> None:
        self.case.put(value)

    def value(self) -> str | None:
        seen = self.case.seen()
        return seen.current if seen else None

    def close(self) -> None:
        self.case.close()


class LocalFile(OfCase):
    """Its folder vanishes, as that of a file system that is no longer mounted."""

    def down(self) -> None:
        self.case.folder.rename(self.case.root / "away")

    def up(self) -> None:
        (self.case.root / "away").rename(self.case.folder)


class Memory(OfCase):
    """fsspec's file system in memory; its connection is reset."""

    def down(self) -> None:
        self.case.fs.read_error = ConnectionResetError("reset")

    def up(self) -> None:
        self.case.fs.read_error = None


class BehindRelay(OfCase):
    """A real server; nobody listens at the connection's port any more."""

    def __init__(self, case: StoreCase) -> None:
        super().__init__(case)
        host, port = self.server()
        self._stack = ExitStack()
        self._relay = self._stack.enter_context(relay_to(host, port))
        self._way = self.connect(self._relay.port)

    def server(self) -> tuple[str, int]:
        """Where the real one listens."""
        parts = urlsplit(self.case.server if hasattr(self.case, "server") else self.case.url)
        return str(parts.hostname), int(parts.port or 0)

    def connect(self, port: int) -> str:
        """A connection to this port; its id."""
        if isinstance(self.case, VaultKv2Case):
            return self.case.connection(token_for(self.case.policy()), port)
        return str(self.case.connection(self.case.header(writes=True), f"http://127.0.0.1:{port}"))

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), "conn_id": self._way, "timeout": 5}

    def down(self) -> None:
        self._relay.close()

    def up(self) -> None:
        straight = self.connect(self.server()[1])
        os.environ[f"AIRFLOW_CONN_{self._way.upper()}"] = os.environ[f"AIRFLOW_CONN_{straight.upper()}"]

    def close(self) -> None:
        self._stack.close()
        super().close()


class Redis(BehindRelay):
    """A real Redis."""

    def server(self) -> tuple[str, int]:
        return "127.0.0.1", redis_server()

    def connect(self, port: int) -> str:
        return str(self.case.connection(self.case.user(self.case.may_write), port))


class Variable(RealStore):
    """A Variable of the Airflow whose tasks write it; it can't be down while they run."""

    goes_down = False

    def __init__(self, world: FaultyWorld) -> None:
        self._world = world

    def entry(self) -> dict[str, Any]:
        return self._world.variable_store()

    def put(self, value: str) -> None:
        self._world.airflow.set_variable(self._world.variable, value)

    def value(self) -> str | None:
        row = self._world.airflow.variable(self._world.variable)
        return row.val if row else None

    def down(self) -> None:
        raise NotImplementedError

    def up(self) -> None:
        raise NotImplementedError


PLACES = {
    "airflow_variable": Variable,
    "local file, JSON": lambda world: LocalFile(LocalJsonCase()),
    "local file, dotenv": lambda world: LocalFile(LocalDotenvCase()),
    "object in memory": lambda world: Memory(MemoryJsonCase()),
    "Redis": lambda world: Redis(RedisStringCase()),
    "etcd over HTTP": lambda world: BehindRelay(EtcdCase()),
    "Vault (OpenBao)": lambda world: BehindRelay(VaultKv2Case()),
}


@dataclass(frozen=True)
class RealFault:
    """What happens to a real store, and when."""

    key: str
    words: str
    what: Literal["down", "theirs"]
    expected: str
    pause_after: str | None
    task: str | None


KINDS = (
    RealFault("before", "down before the run", "down", NOT_STARTED, None, "preflight"),
    RealFault("between", "goes down before the refresh", "down", NOT_STARTED, "preflight", "rotate"),
    RealFault("after", "goes down after the refresh", "down", BY_HAND, "rotate", None),
    RealFault("theirs", "changed by somebody else after the refresh", "theirs", BY_HAND, "rotate", None),
)
FAULTS = [(place, fault) for fault in KINDS for place in PLACES if fault.what != "down" or place != "airflow_variable"]
