"""The least that any task can do between the refresh and the stores, with everything else done before."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from dev.airflow.world import API_VERSION
from dev.bench.exposure.places import KEY, STORES, VAULT_MOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.bench.exposure.places import Place

PAUSE_SECONDS = 0.3


class Floor:
    """Clients that are built, logged in and have made a call, and a thread for each. Within a task only.

    A Variable is set by the main thread meanwhile, as Airflow wants it.
    """

    def __init__(self, place: Place) -> None:
        from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook
        from airflow.providers.amazon.aws.hooks.ssm import SsmHook
        from airflow.providers.hashicorp.hooks.vault import VaultHook
        from airflow.sdk import BaseHook, Variable

        self._place = place
        connection = BaseHook.get_connection(place.conn_id("featurebase"))
        headers = {"Authorization": f"Bearer {connection.password}", "Featurebase-Version": API_VERSION}
        self._http = httpx.Client(base_url=str(connection.host), headers=headers, trust_env=False, timeout=30)
        vault = VaultHook(vault_conn_id=place.conn_id("vault")).get_conn()
        self._vault: Any = vault.secrets.kv.v2
        self._secrets: Any = SecretsManagerHook(aws_conn_id=place.conn_id("aws")).get_conn()
        self._ssm: Any = SsmHook(aws_conn_id=place.conn_id("aws")).get_conn()
        self._pool = ThreadPoolExecutor(len(STORES) - 1)
        self._variable = Variable

    def __enter__(self) -> Floor:
        self.pause()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self._http.close()

    def pause(self) -> None:
        """Let the machine come to rest, and make each connection's warm-up call."""
        time.sleep(PAUSE_SECONDS)
        place = self._place
        self._variable.get(place.dag_id)
        warming = [
            self._pool.submit(self._vault.read_secret_version, place.dag_id, mount_point=VAULT_MOUNT),
            self._pool.submit(self._ssm.get_parameter, Name=place.parameter, WithDecryption=True),
            self._pool.submit(self._secrets.get_secret_value, SecretId=place.dag_id, VersionStage="AWSCURRENT"),
            self._pool.submit(Path(place.file).read_text),
        ]
        self._version = warming[2].result()["VersionId"]
        for warm in warming:
            warm.result()
        self._http.get(f"/v2/webhooks/{place.webhook_id}").raise_for_status()

    def rotate(self, *, least: bool) -> dict[str, float]:
        """Refresh and write all stores.

        :param least: whether the version in Secrets Manager is put without becoming current and its label is moved, on
            the condition that nobody else has moved it; False puts it as the current one.
        :returns: milliseconds from just before the refresh was sent until each store had answered its last call.
        """
        began = time.monotonic()
        answer = self._http.post(f"/v2/webhooks/{self._place.webhook_id}/secret")
        secret = answer.json()["secret"]
        writes: dict[str, Callable[[str], object]] = {
            "object_storage": self._write_file,
            "hashicorp_vault": self._write_vault,
            "aws_secrets_manager": self._put_and_move if least else self._put,
            "aws_ssm": self._write_ssm,
        }
        writing = {store: self._pool.submit(_time_after, partial(write, secret)) for store, write in writes.items()}
        self._variable.set(self._place.dag_id, secret)
        times = {"airflow_variable": time.monotonic(), **{store: job.result() for store, job in writing.items()}}
        answer.raise_for_status()
        return {store: (times[store] - began) * 1000 for store in STORES}

    def _write_file(self, secret: str) -> None:
        new = Path(f"{self._place.file}.new")
        new.write_text(f"{KEY}={secret}\n")
        os.replace(new, self._place.file)

    def _write_vault(self, secret: str) -> None:
        self._vault.create_or_update_secret(self._place.dag_id, {KEY: secret}, mount_point=VAULT_MOUNT)

    def _write_ssm(self, secret: str) -> None:
        self._ssm.put_parameter(Name=self._place.parameter, Value=secret, Type="SecureString", Overwrite=True)

    def _put(self, secret: str) -> None:
        self._secrets.put_secret_value(SecretId=self._place.one_call_secret, SecretString=secret)

    def _put_and_move(self, secret: str) -> None:
        name = self._place.dag_id
        put = self._secrets.put_secret_value(SecretId=name, SecretString=secret, VersionStages=["floor"])
        self._secrets.update_secret_version_stage(
            SecretId=name,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=self._version,
            MoveToVersionId=put["VersionId"],
        )


def _time_after(write: Callable[[], object]) -> float:
    write()
    return time.monotonic()
