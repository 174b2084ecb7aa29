"""Reads each store as its readers do, with connections of its own and without the added latency.

All times are ``time.monotonic()`` seconds, which on Linux every process of the machine shares.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.fernet import Fernet
from dotenv import dotenv_values

from dev.bench.exposure.places import KEY, STORES, VAULT_MOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dev.bench.exposure.places import Place

EVERY_SECONDS: Mapping[str, float] = {
    "airflow_variable": 0.01,
    "object_storage": 0.005,
    "hashicorp_vault": 0.01,
    "aws_secrets_manager": 0.025,
    "aws_ssm": 0.025,
}
"""How often a store is read. More would load the machine, and moto most, which the contestants use as well."""


class Reader(Protocol):
    """Reads one store."""

    def read(self) -> str:
        """The secret that a reader gets now."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Servers:
    """Where readers find the stores.

    :param vault: loopback port of OpenBao.
    :param vault_token: a token for it.
    :param aws: loopback port of moto.
    :param database: Airflow's database.
    :param fernet_key: Airflow's key.
    """

    vault: int
    vault_token: str
    aws: int
    database: Path
    fernet_key: str

    def holds(self, place: Place) -> dict[str, str]:
        """What each store of a place holds now."""
        held = {}
        for store, reader in self.readers(place).items():
            with closing(reader):
                held[store] = reader.read()
        return held

    def readers(self, place: Place) -> dict[str, Reader]:
        """A reader for each store of a place. Each is for one thread, which closes it."""
        target = {"secrets": "secretsmanager.GetSecretValue", "ssm": "AmazonSSM.GetParameter"}
        return {
            "airflow_variable": VariableReader(self.database, self.fernet_key, place.dag_id),
            "object_storage": FileReader(place.file),
            "hashicorp_vault": HttpReader(
                self.vault,
                f"/v1/{VAULT_MOUNT}/data/{place.dag_id}",
                headers={"X-Vault-Token": self.vault_token},
                member=("data", "data", KEY),
            ),
            "aws_secrets_manager": HttpReader(
                self.aws,
                "/",
                headers=_aws_headers("secretsmanager", target["secrets"]),
                # moto forgets that AWSCURRENT is what a reader gets who names no stage, once the label has been moved.
                body={"SecretId": place.dag_id, "VersionStage": "AWSCURRENT"},
                member=("SecretString",),
            ),
            "aws_ssm": HttpReader(
                self.aws,
                "/",
                headers=_aws_headers("ssm", target["ssm"]),
                body={"Name": place.parameter, "WithDecryption": True},
                member=("Parameter", "Value"),
            ),
        }


class VariableReader:
    """Reads a Variable out of Airflow's database: a request of the API server would keep it from the contestants."""

    def __init__(self, database: Path, fernet_key: str, key: str) -> None:
        self._database, self._fernet, self._key = database, Fernet(fernet_key.encode()), key
        self._connection: sqlite3.Connection | None = None

    def read(self) -> str:
        """The Variable's value."""
        if self._connection is None:
            self._connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, isolation_level=None)
        with closing(self._connection.execute("SELECT val FROM variable WHERE key = ?", [self._key])) as rows:
            (value,) = rows.fetchone()
        return self._fernet.decrypt(value.encode()).decode()

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()


class FileReader:
    """Reads a dotenv file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self) -> str:
        """The value of our key."""
        return str(dotenv_values(self._path, interpolate=False)[KEY])

    def close(self) -> None:
        """There is nothing to close."""


class HttpReader:
    """Asks a service over one connection.

    :param body: what is posted as JSON; None sends a GET.
    :param member: where the secret is in the answer.
    """

    def __init__(
        self,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str],
        member: tuple[str, ...],
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._path, self._headers, self._member = path, dict(headers), member
        self._body = None if body is None else json.dumps(body)

    def read(self) -> str:
        """The secret in the answer."""
        self._http.request("GET" if self._body is None else "POST", self._path, self._body, self._headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise OSError(f"{self._path} answered {answer.status}")
        found = json.loads(text)
        for name in self._member:
            found = found[name]
        return str(found)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def _aws_headers(service: str, target: str) -> dict[str, str]:
    """Moto goes by the names of service and call; it checks no signature."""
    scope = f"Credential=root/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    return {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": target,
        "Authorization": f"AWS4-HMAC-SHA256 {scope}",
    }


@dataclass(frozen=True)
class Sight:
    """When a reader first got the new secret.

    :param still_old: when the last read began that got the old one.
    :param at: when the first read had ended that got the new one.
    """

    still_old: float
    at: float


class Watch:
    """Polls all stores of a place, a thread each, until it is told to stop.

    :param old: the secret that they hold.
    """

    def __init__(self, servers: Servers, place: Place, old: str) -> None:
        self._old, self._stopped = old, threading.Event()
        self.sights: dict[str, Sight] = {}
        """By store; without those whose reader never got another secret."""
        self.errors: dict[str, Exception] = {}
        """By store, what ended a reader."""
        readers = servers.readers(place)
        self._threads = [
            threading.Thread(target=self._poll, args=(store, readers[store]), daemon=True) for store in STORES
        ]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _poll(self, store: str, reader: Reader) -> None:
        try:
            still_old = time.monotonic()
            while not self._stopped.is_set():
                began = time.monotonic()
                got = reader.read()
                if got == self._old:
                    still_old = began
                elif store not in self.sights:
                    self.sights[store] = Sight(still_old, time.monotonic())
                self._stopped.wait(EVERY_SECONDS[store])
        except (OSError, http.client.HTTPException, sqlite3.Error, LookupError, TypeError, ValueError) as error:
            self.errors[store] = error
        finally:
            reader.close()
