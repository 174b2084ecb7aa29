"""What the contestants work with: the sandbox, OpenBao, moto, a network with latency, and one real Airflow for all."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from dev.airflow.local_airflow import LocalAirflow
from dev.airflow.processes import DemoError, Process, free_port, wait_for
from dev.airflow.world import API_KEY, API_VERSION, TOPIC
from dev.bench.exposure.places import CONTESTANTS, KEY, LATENCIES, PLACES_FILE, VAULT_MOUNT, Place, write_places
from dev.bench.exposure.readers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".bench"
"""Kept until the next run, for the logs."""
DAGS = Path(__file__).parent / "dags"
AIRFLOWS_OWN = {
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
}
"""Airflow's defaults, where the demo's Airflow is set to be quicker: the usual Dag gets the scheduler that people
have."""


class ExposureWorld:
    """Started on entering, stopped on leaving.

    :param say: tells what is being started.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._opened = ExitStack()
        self._processes: list[Process] = []
        self._http = httpx.Client(trust_env=False, timeout=30)
        self.places: list[Place] = []

    def __enter__(self) -> ExposureWorld:
        with ExitStack() as opening:
            opening.callback(self._stop)
            shutil.rmtree(FOLDER, ignore_errors=True)
            FOLDER.mkdir()
            self._start_servers()
            self._make_places()
            self._start_airflow()
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _stop(self) -> None:
        self.airflow.stop()
        for process in reversed(self._processes):
            process.stop()
        self._http.close()

    def _start_servers(self) -> None:
        if find_spec("moto") is None:
            raise DemoError("moto is not installed: pip install 'moto[server]'")
        self._say("starting the sandbox, OpenBao and moto")
        self.sandbox, self.moto = free_port(), free_port()
        sandbox = ("featurebase_provider.sandbox.cli", "serve", "--port", str(self.sandbox), "--api-key", API_KEY)
        self._start("sandbox", *sandbox)
        self._start("moto", "moto.server", "-H", "127.0.0.1", "-p", str(self.moto))
        self.vault = _openbao()
        for name, url in {"sandbox": self._url("/_sandbox/events"), "moto": f"{self._moto}/moto-api/"}.items():
            wait_for(f"an answer of {name}", lambda url=url: self._answers(url), seconds=60, watched=self._processes)  # type: ignore[misc]
        self._delayed = {latency: self._delay(latency) for latency in LATENCIES}

    def _delay(self, latency: int) -> dict[int, int]:
        """For each server's port the one at which it answers that much later."""
        servers = (self.sandbox, self.vault, self.moto)
        if not latency:
            return {port: port for port in servers}
        ports = {port: free_port() for port in servers}
        routes = [f"{port}:{server}" for server, port in ports.items()]
        self._start(f"latency-{latency}", "dev.bench.exposure.latency", str(latency), *routes)
        ready = f"http://127.0.0.1:{ports[self.sandbox]}/_sandbox/events"
        wait_for("the network", lambda: self._answers(ready), seconds=60, watched=self._processes)
        return ports

    def _make_places(self) -> None:
        for latency in LATENCIES:
            for contestant in CONTESTANTS:
                body = {"name": f"{contestant} {latency}", "url": "http://127.0.0.1:9/webhook", "topics": [TOPIC]}
                made = self.api("POST", "/v2/webhooks", json=body)
                file = FOLDER / f"{contestant}-{latency}.env"
                self.places.append(Place(contestant, latency, str(made["id"]), str(file)))
        write_places(FOLDER / "places.json", self.places)

    def _start_airflow(self) -> None:
        self.airflow.start(self._say)
        for latency in LATENCIES:
            self._add_connections(latency)
        for place in self.places:
            self._put(place, self.secret(place))
        self._say("waiting for the Dags")
        for place in self.places:
            self.airflow.wait_for_dag(place.dag_id)
            self.airflow.api.unpause(place.dag_id)

    @cached_property
    def airflow(self) -> LocalAirflow:
        """One for all contestants; nothing but their runs keeps it busy."""
        settings = {
            PLACES_FILE: str(FOLDER / "places.json"),
            "PYTHONPATH": str(ROOT),  # where the Dag files' own modules are
            **AIRFLOWS_OWN,
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
            "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3600",
        }
        return LocalAirflow(FOLDER / "airflow", dags=DAGS, settings=settings)

    def _add_connections(self, latency: int) -> None:
        place, ports = next(one for one in self.places if one.latency == latency), self._delayed[latency]
        featurebase = f"http://127.0.0.1:{ports[self.sandbox]}"
        headers = {"Authorization": f"Bearer {API_KEY}", "Featurebase-Version": API_VERSION}
        aws = {"endpoint_url": f"http://127.0.0.1:{ports[self.moto]}", "region_name": "us-east-1"}
        vault = {"host": "127.0.0.1", "port": ports[self.vault], "password": _token()}
        connections: dict[str, dict[str, Any]] = {
            "featurebase": {"conn_type": "featurebase", "host": featurebase, "password": API_KEY},
            "http": {"conn_type": "http", "host": featurebase, "extra": json.dumps(headers)},
            "vault": {"conn_type": "vault", **vault},
            "aws": {"conn_type": "aws", "login": "root", "password": "root", "extra": json.dumps(aws)},
        }
        for service, fields in connections.items():
            self.airflow.api.add_connection(place.conn_id(service), **fields)

    def _put(self, place: Place, secret: str) -> None:
        """Make the place's stores, with the webhook's secret."""
        import boto3  # type: ignore[import-untyped]
        import hvac

        self.airflow.api.set_variable(place.dag_id, secret)
        file = Path(place.file)
        file.touch(mode=0o600)
        file.write_text(f"{KEY}={secret}\n")
        vault = hvac.Client(f"http://127.0.0.1:{self.vault}", _token())
        vault.secrets.kv.v2.create_or_update_secret(place.dag_id, {KEY: secret}, mount_point=VAULT_MOUNT)
        account = {"aws_access_key_id": "root", "aws_secret_access_key": "root", "region_name": "us-east-1"}
        for name in (place.dag_id, place.one_call_secret):
            boto3.client("secretsmanager", endpoint_url=self._moto, **account).create_secret(
                Name=name, SecretString=secret
            )
        boto3.client("ssm", endpoint_url=self._moto, **account).put_parameter(
            Name=place.parameter, Value=secret, Type="SecureString"
        )

    @property
    def servers(self) -> Servers:
        """Where readers find the stores, without latency."""
        key = self.airflow.env["AIRFLOW__CORE__FERNET_KEY"]
        return Servers(self.vault, _token(), self.moto, self.airflow.database, key)

    def secret(self, place: Place) -> str:
        """Featurebase's current secret."""
        return str(self.api("GET", f"/v2/webhooks/{place.webhook_id}")["secret"])

    def refreshed_at(self, place: Place) -> float:
        """When the webhook's last refresh reached the sandbox, as ``time.monotonic()`` seconds."""
        calls = self._http.get(self._url("/_sandbox/requests")).raise_for_status().json()
        path = f"/v2/webhooks/{place.webhook_id}/secret"
        at_ms = max(int(call["at"]) for call in calls if call["path"] == path and call["committed"])
        return at_ms / 1000 - _wall_ahead()

    def api(self, method: str, path: str, **kwargs: Any) -> Any:
        """Call Featurebase's API without the latency."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Featurebase-Version": API_VERSION}
        return self._http.request(method, self._url(path), headers=headers, **kwargs).raise_for_status().json()

    @property
    def _moto(self) -> str:
        return f"http://127.0.0.1:{self.moto}"

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.sandbox}{path}"

    def _start(self, name: str, module: str, *arguments: str) -> None:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        self._processes.append(Process(name, command, log=FOLDER / "logs" / f"{name}.log", env=env).start())

    def _answers(self, url: str) -> bool:
        try:
            return self._http.get(url).status_code == 200
        except httpx.HTTPError:
            return False


def _wall_ahead() -> float:
    """How far the wall clock, which the sandbox's journal has, is ahead of the monotonic one."""
    return time.time() - time.monotonic()


def _openbao() -> int:
    """The port of a real OpenBao, which ends with this process."""
    from tests.servers.openbao import openbao

    try:
        return int(urlsplit(openbao()).port or 0)
    except (pytest.skip.Exception, pytest.fail.Exception) as exc:
        raise DemoError(str(exc)) from None


def _token() -> str:
    from tests.servers.openbao import ROOT as TOKEN

    return TOKEN
