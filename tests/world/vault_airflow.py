"""A real Airflow with all its daemons, whose connections are in OpenBao and whose task logs go to S3."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dev.airflow.local_airflow import LocalAirflow
from featurebase_provider.cli.example_dags import DAG_FILES
from tests.contract.s3_cases import client_of, moto_server
from tests.servers import openbao
from tests.world.featurebase import FeaturebaseWorld

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

    from dev.airflow.processes import Process
    from tests.servers.scripted_server import Scripted

CONNECTION, LOGS_CONNECTION = "featurebase_default", "task_logs"
BACKEND = "airflow.providers.hashicorp.secrets.vault.VaultBackend"
START_SECONDS, RUN_SECONDS = 300.0, 600.0


class _Daemons(LocalAirflow):
    """Each component has a token of its own for OpenBao, by which its requests are told from others'."""

    backend: Mapping[str, Any]
    tokens: Mapping[str, str]

    def _process(self, name: str) -> Process:
        process = super()._process(name)
        process.env["AIRFLOW__SECRETS__BACKEND"] = BACKEND
        process.env["AIRFLOW__SECRETS__BACKEND_KWARGS"] = json.dumps({**self.backend, "token": self.tokens[name]})
        return process


class VaultAirflow:
    """A context manager, with one webhook. No connection is in Airflow's database or in its environment.

    :param folder: for everything that it writes.
    :param variables: whether Airflow looks for Variables in OpenBao as well.
    :param entry: what differs from the usual entry of the rotation file.
    """

    def __init__(self, folder: Path, *, variables: bool, entry: Mapping[str, Any]) -> None:
        self.bucket, self._base = f"task-logs-{uuid4().hex}", f"airflow-{uuid4().hex}"
        self._variables, self._entry = variables, entry
        self._s3_secret = secrets.token_urlsafe(24)
        self._rotation_file = folder / "rotation.yaml"
        self.world = FeaturebaseWorld(folder / "world")
        self.airflow = _Daemons(
            folder / "airflow",
            dags=DAG_FILES,
            settings={
                "AIRFLOW__FEATUREBASE__ROTATION_CONFIG": str(self._rotation_file),
                "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
                "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{self.bucket}/logs",
                "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": LOGS_CONNECTION,
                # No file changes, and each parse takes a second of a core.
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            },
            api_timeout=120,
        )
        self.api = self.airflow.api

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self.world)
            entry = self.world.entry(**{"schedule": None, "featurebase_conn_id": CONNECTION, **self._entry})
            self._rotation_file.write_text(json.dumps({"audit": {"schedule": None}, "webhooks": [entry]}))
            client_of("s3").create_bucket(Bucket=self.bucket)
            self._vault: Scripted = opened.enter_context(openbao.overheard())
            self._fill_vault()
            opened.callback(self.airflow.kill)
            self.airflow.start(seconds=START_SECONDS)
            self.airflow.wait_for_dag(self.dag_id, seconds=START_SECONDS)
            self.api.unpause(self.dag_id)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _fill_vault(self) -> None:
        self._put(
            f"connections/{CONNECTION}", conn_type="featurebase", host=self.world.url, password=self.world.api_key
        )
        s3 = {"endpoint_url": moto_server()[1], "region_name": "us-east-1"}
        self._put(f"connections/{LOGS_CONNECTION}", conn_type="aws", login="logs", password=self._s3_secret, extra=s3)
        policy = f'path "secret/data/{self._base}/*" {{ capabilities = ["read"] }}'
        self.airflow.tokens = {name: openbao.token_for(policy) for name in self.airflow.components}
        self.airflow.backend = {
            "url": f"http://{self._vault.address}",
            "mount_point": "secret",
            "connections_path": f"{self._base}/connections",
            "variables_path": f"{self._base}/variables" if self._variables else None,
            "config_path": None,
        }

    def _put(self, path: str, **fields: Any) -> None:
        openbao.admin().secrets.kv.v2.create_or_update_secret(f"{self._base}/{path}", fields, mount_point="secret")

    @property
    def dag_id(self) -> str:
        """The Dag of the webhook."""
        return f"featurebase_rotate__{self.world.name}"

    def run(self, **conf: Any) -> tuple[str, list[tuple[str, str]]]:
        """Run the Dag by hand to its end; events happen once a task waits for deliveries.

        :returns: the run's id, and each task with each state in which it was seen.
        """
        run_id, seen = self.api.trigger(self.dag_id, conf), []
        for task_id, state in self.api.follow(self.dag_id, run_id, seconds=RUN_SECONDS):
            seen.append((task_id, state))
            if state == "deferred":
                self.world.control("POST", "/events", topic="post.created", count=20_000, per_second=5)
        self.world.control("DELETE", "/events")
        return run_id, seen

    def put_variable(self, key: str, value: str) -> None:
        """Put a Variable into OpenBao, where Airflow looks first if it looks there at all."""
        self._put(f"variables/{key}", value=value)

    def remove_variable(self, key: str) -> None:
        """Take it out again."""
        path = f"{self._base}/variables/{key}"
        openbao.admin().secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point="secret")

    def records(self) -> dict[str, str]:
        """The provider's records in Airflow's own Variables."""
        found = self.api.call("GET", "/variables", params={"limit": 100})["variables"]
        return {one["key"]: one["value"] for one in found if one["key"].startswith("featurebase_rotation__")}

    def asked(self, component: str) -> set[str]:
        """What a component has asked OpenBao for: ``connections/...`` and ``variables/...``."""
        paths = set()
        for number, request in enumerate(self._vault.requests):
            path = request.split(b" ", 2)[1].decode()
            if self._vault.headers(number).get("x-vault-token") == self.airflow.tokens[component]:
                paths.add(path.removeprefix(f"/v1/secret/data/{self._base}/"))
        return paths

    def logs(self) -> dict[str, bytes]:
        """The objects of the bucket, by key."""
        s3 = client_of("s3")
        found = s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {one["Key"]: s3.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read() for one in found}

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that must turn up nowhere, by name."""
        tokens = {f"token of {name}": token for name, token in self.airflow.tokens.items()}
        return {**self.world.secrets, **tokens, "key of S3": self._s3_secret}
