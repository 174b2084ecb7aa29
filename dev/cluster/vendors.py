"""The real stores beside each lane's config service; none of them is a file that hosts would have to share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import urlsplit

from tests.contract.s3_cases import client_of, moto_server
from tests.servers import openbao, redis_server

Slots = tuple[str | None, str | None]
"""What a store holds: the current and the previous secret."""
KEY, PREVIOUS_KEY = "SIGNING", "SIGNING_PREVIOUS"


class Vendor(ABC):
    """A store of one lane.

    :param name: of the lane.
    :param keeps_previous: whether it keeps two secrets.
    """

    type: str
    conn_id: str

    def __init__(self, name: str, *, keeps_previous: bool) -> None:
        self.name, self.keeps_previous = name, keeps_previous

    @abstractmethod
    def connection(self) -> dict[str, Any]:
        """The Airflow connection, the same for all lanes."""

    @abstractmethod
    def place(self) -> dict[str, Any]:
        """Where the secret lies, as the rotation file says it."""

    @abstractmethod
    def put(self, secret: str) -> None:
        """Store the secret that receivers have before the rotation."""

    @abstractmethod
    def slots(self) -> Slots:
        """What a reader sees."""

    def entry(self) -> dict[str, Any]:
        """The store's entry in the rotation file."""
        place = {key: value for key, value in self.place().items() if self.keeps_previous or key != "previous_key"}
        return {"type": self.type, "conn_id": self.conn_id, "timeout": "PT60S", **place}


class OpenBao(Vendor):
    """KV version 2 of a real OpenBao server."""

    type, conn_id = "hashicorp_vault", "cluster_vault"

    def connection(self) -> dict[str, Any]:
        """By token."""
        url = urlsplit(openbao.openbao())
        return {"conn_type": "vault", "host": url.hostname, "port": url.port, "password": openbao.ROOT}

    def place(self) -> dict[str, Any]:
        """Two keys of one secret."""
        return {"mount": "secret", "path": self.name, "key": KEY, "previous_key": PREVIOUS_KEY, "kv_version": 2}

    def put(self, secret: str) -> None:
        """As its owner."""
        openbao.admin().secrets.kv.v2.create_or_update_secret(self.name, {KEY: secret}, mount_point="secret")

    def slots(self) -> Slots:
        """The newest version's."""
        read = openbao.admin().secrets.kv.v2.read_secret_version
        data = read(self.name, mount_point="secret", raise_on_deleted_version=True)["data"]["data"]
        return data.get(KEY), data.get(PREVIOUS_KEY) or None


class Redis(Vendor):
    """Two keys of a real Redis, in another database than the broker's."""

    type, conn_id = "redis", "cluster_redis"
    database = 1

    def connection(self) -> dict[str, Any]:
        """As the default user."""
        extra = json.dumps({"db": self.database})
        server = {"host": "127.0.0.1", "port": redis_server.redis_server(), "password": redis_server.PASSWORD}
        return {"conn_type": "redis", "extra": extra, **server}

    def place(self) -> dict[str, Any]:
        """A key for each secret."""
        return {"key": f"{self.name}:signing", "previous_key": f"{self.name}:signing-previous"}

    def put(self, secret: str) -> None:
        """As its owner."""
        with redis_server.admin(db=self.database) as client:
            client.set(self.place()["key"], secret)

    def slots(self) -> Slots:
        """Both keys."""
        with redis_server.admin(db=self.database, decode_responses=True) as client:
            current, previous = client.mget(self.place()["key"], self.place()["previous_key"])
            return current, previous or None


class SecretsManager(Vendor):
    """JSON in AWS Secrets Manager, as moto plays it."""

    type, conn_id = "aws_secrets_manager", "cluster_aws"
    service = "secretsmanager"

    def connection(self) -> dict[str, Any]:
        """Moto knows no rights unless it is told to."""
        extra = json.dumps({"endpoint_url": moto_server()[1], "region_name": "us-east-1"})
        return {"conn_type": "aws", "login": "root", "password": "root", "extra": extra}

    def place(self) -> dict[str, Any]:
        """Two keys of one JSON object."""
        return {"name": f"/cluster/{self.name}", "key": KEY, "previous_key": PREVIOUS_KEY}

    def put(self, secret: str) -> None:
        """As its owner."""
        client_of(self.service).create_secret(Name=self.place()["name"], SecretString=json.dumps({KEY: secret}))

    def text(self) -> str:
        """The whole value."""
        # moto forgets that AWSCURRENT is what a reader gets who names no stage, once the label has been moved.
        name, stage = self.place()["name"], "AWSCURRENT"
        found: str = client_of(self.service).get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]
        return found

    def slots(self) -> Slots:
        """Both keys."""
        data = json.loads(self.text())
        return data.get(KEY), data.get(PREVIOUS_KEY) or None


class ParameterStore(SecretsManager):
    """JSON in AWS Parameter Store, as moto plays it."""

    type = "aws_ssm"
    service = "ssm"

    def put(self, secret: str) -> None:
        """As its owner."""
        value = json.dumps({KEY: secret})
        client_of(self.service).put_parameter(Name=self.place()["name"], Value=value, Type="SecureString")

    def text(self) -> str:
        """The whole value."""
        found = client_of(self.service).get_parameter(Name=self.place()["name"], WithDecryption=True)
        text: str = found["Parameter"]["Value"]
        return text


VENDORS: tuple[type[Vendor], ...] = (OpenBao, Redis, SecretsManager, ParameterStore)
