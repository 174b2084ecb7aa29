"""Rotations that end in every way in which they can, in a real Airflow: what is left of the secrets afterwards?"""

from __future__ import annotations

import secrets
import sqlite3
import uuid
from contextlib import closing, suppress
from datetime import datetime, timedelta, timezone
from threading import Thread
from typing import TYPE_CHECKING, Any

import psutil
import requests

from dev.airflow.processes import wait_for
from tests.leaks.echo import EchoingFeaturebase
from tests.leaks.real_airflow import RUN_SECONDS
from tests.servers import consul_kv
from tests.world.featurebase import HEADER_VALUE, KEY
from tests.world.recipes import recipe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.leaks.real_airflow import RealAirflow
    from tests.world.featurebase import FeaturebaseWorld
    from tests.world.pair import PairWorld

HTTP_CONN, DOWN_CONN = "config_service", "config_service_down"
HTTP_KEY = f"leaks/{uuid.uuid4().hex}"
FOREIGN = "foreign_signing_token"
DEAD = "http://127.0.0.1:9"
EMERGENCY, AUDIT = "featurebase_emergency_rotation", "featurebase_audit"
PAIR, PAIR_REFUSED, REVERT = "pair", "pair-refused", "pair, revert"
OUTCOMES = {
    "flowing": "success",
    "broken": "failed",
    "wrong-key": "failed",
    "foreign": "failed",
    "store-down": "failed",
    "receiver-down": "failed",
    "echo": "success",
    "deliveries-fail": "failed",
    "careless": "failed",
    "crash": "success",
    PAIR: "success",
    PAIR_REFUSED: "failed",
    REVERT: "success",
    EMERGENCY: "success",
    AUDIT: "failed",
}
"""How each story ends: a rotation Dag's by the webhook's name, another's by the Dag's id."""
SAYS = {
    "broken": ("probe", "refuses the signature"),
    "wrong-key": ("preflight", "answered 401"),
    "foreign": ("preflight", "may belong to something else"),
    "store-down": ("preflight", "store http"),
    "receiver-down": ("preflight", "can't be reached"),
    "echo": ("rotate", "answered 500"),
    "deliveries-fail": ("verify_delivery", "deliveries fail since the push"),
    "careless": ("push.careless", "unexpected CarelessVendorError"),
    PAIR: ("cut_over", "has delivered"),
    PAIR_REFUSED: ("probe", "No delivery was refused: deliveries have not moved. "),
    REVERT: ("cut_over", "has delivered"),
    AUDIT: ("findings", "careless"),
}
"""A task of a story and what its log says, so that the story is known to have been told."""


def http_store(conn_id: str) -> dict[str, Any]:
    """A config service with a login, as its recipe in the documentation has it."""
    return {**recipe("http.md", "Consul", **{"apps/feedback": HTTP_KEY}), "conn_id": conn_id}


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    """What differs from the usual rotation file entry; the session's own stories are not among them."""
    only_http = {"probe": None, "stores": [http_store(HTTP_CONN)]}
    careless = {"type": "careless", "path": str(folder / "careless" / "receiver" / "webhook.env")}
    differing: dict[str, dict[str, Any]] = {
        "wrong-key": {"probe": None},
        "foreign": {"probe": None, "stores": [{"type": "airflow_variable", "name": FOREIGN}]},
        "store-down": {"probe": None, "stores": [http_store(DOWN_CONN)]},
        "receiver-down": {},
        "echo": {"probe": None, "stores": [{"type": "airflow_variable", "name": "echo_signing_secret"}]},
        "deliveries-fail": only_http,
        "careless": {"probe": None, "stores": [careless]},
        "crash": {"probe": None, "retries": 1, "stores": [{"type": "airflow_variable", "name": "crash_secret"}]},
    }
    # Without a schedule: unpausing a Dag that has one starts its last missed run.
    return {name: {"schedule": None, **changes} for name, changes in differing.items()}


def pair_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """The same for pairs: one whose deliveries move, and one whose receiver knows one secret only."""
    file = {"type": "object_storage", "path": str(folder / PAIR_REFUSED / "receiver" / "webhook.env"), "key": KEY}
    probe = {"interval": "PT0.1S", "steady": "PT0S"}
    return {
        PAIR: {
            "schedule": None,
            "probe": {**probe, "timeout": "PT60S"},
            "overlap": {"first_delivery": "PT10M"},
            "verify": {"timeout": "PT60S", "poll_interval": "PT0.5S"},
        },
        PAIR_REFUSED: {
            "schedule": None,
            "probe": {**probe, "timeout": "PT2S"},
            "stores": [{**file, "format": "dotenv", "previous_key": "NOBODY_READS_THIS"}],
        },
    }


class LeakStories:
    """Tells all stories at once.

    :param real: knows the worlds of :func:`entries`, and the session's ``flowing`` and ``broken``.
    """

    def __init__(self, real: RealAirflow) -> None:
        self._real = real
        self.passwords = {
            "a wrong API key": f"sk_{secrets.token_hex(16)}",
            "a value of somebody else": f"theirs-{secrets.token_urlsafe(24)}",
            "password of a store's connection": f'pass/"{secrets.token_urlsafe(16)}" +%\'',
            "token in a store's connection": consul_kv.WRITER,
        }
        self.runs: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.trigger = b""
        """The arguments of the trigger of the pair's cut-over, as the database had them."""

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that must turn up nowhere, by name."""
        return {**self._real.secrets, **self.passwords}

    def tell(self) -> None:
        """Make things so, trigger every run, and wait for the end of each."""
        with EchoingFeaturebase(self._real.worlds["echo"]) as echo:
            self._prepare(echo)
            rotations = [name for name in OUTCOMES if name in self._real.worlds]
            failing = Thread(target=self._fail_deliveries, args=(self._real.worlds["deliveries-fail"],))
            failing.start()
            for name in sorted(rotations, key=lambda name: name != "crash"):  # that one takes longest
                self.runs[name] = self._real.trigger(name, reason="leak test")
            self._crash(self._real.worlds["crash"])
            self._wait_for_the_triggerer(self._real.pairs[PAIR])
            with self._real.pairs[PAIR].events(per_second=5):
                failing.join()
                self._wait(*rotations)
                self.runs[REVERT] = self._real.trigger(PAIR, mode="revert", reason="leak test")
                self._run_whole(EMERGENCY, webhooks=["flowing"], reason="leak test")
                self._wait(REVERT)
            self._run_whole(AUDIT)
        self._real.worlds["flowing"].control("DELETE", "/events")

    def dag_id(self, name: str) -> str:
        """The Dag of a story."""
        return name if name in (EMERGENCY, AUDIT) else self._real.dag_id(PAIR if name == REVERT else name)

    def log(self, name: str, task_id: str) -> str:
        """The log of a task's first try."""
        return self._real.airflow.api.log(self.dag_id(name), self.runs[name], task_id)

    def _run_whole(self, dag_id: str, **conf: Any) -> None:
        api = self._real.airflow.api
        self._real.airflow.wait_for_dag(dag_id)
        api.unpause(dag_id)
        self.runs[dag_id] = api.trigger(dag_id, conf)
        self._wait(dag_id)

    def _wait(self, *names: str) -> None:
        api = self._real.airflow.api
        for name in names:
            self.states[name] = api.wait_for_run(self.dag_id(name), self.runs[name], seconds=RUN_SECONDS)

    def _prepare(self, echo: EchoingFeaturebase) -> None:
        worlds, api = self._real.worlds, self._real.airflow.api
        worlds["flowing"].control("POST", "/events", topic="post.created", count=20_000, per_second=10)
        worlds["broken"].fault("malformed", body="truncated")
        self._connect(worlds["wrong-key"], password=self.passwords["a wrong API key"])
        self._connect(worlds["echo"], host=echo.url)
        api.set_variable(FOREIGN, self.passwords["a value of somebody else"])
        login = {"conn_type": "http", "login": "writer", "password": self.passwords["password of a store's connection"]}
        headers = f'{{"X-Consul-Token": "{consul_kv.WRITER}"}}'
        service, _ = consul_kv.consul_kv()
        api.add_connection(HTTP_CONN, **login, host=service, extra=headers)
        api.add_connection(DOWN_CONN, **login, host=DEAD, extra=headers)
        failing = worlds["deliveries-fail"]
        url = f"{service}/v1/kv/{HTTP_KEY}/signing"
        requests.put(url, failing.secret, headers={"X-Consul-Token": consul_kv.WRITER}, timeout=30).raise_for_status()
        worlds["receiver-down"].move(f"{DEAD}/webhook")
        worlds["careless"].secret_file.write_text(worlds["careless"].secret)
        worlds["crash"].fault("hang", commit=True)

    def _wait_for_the_triggerer(self, world: PairWorld) -> None:
        """Until it reads the pair. No event has happened before, so the cut-over can't have ended on the worker."""

        def deferred() -> bool:
            return self._real.states(PAIR, self.runs[PAIR])["cut_over"] == "deferred"

        wait_for("the cut-over's deferral", deferred, seconds=RUN_SECONDS)
        with closing(sqlite3.connect(self._real.airflow.database)) as connection:
            select = "SELECT kwargs FROM trigger WHERE classpath LIKE '%.CutOverTrigger'"
            ((arguments,),) = connection.execute(select).fetchall()
        self.trigger = arguments.encode()
        seen = world.calls("GET")
        wait_for("a read by the triggerer", lambda: world.calls("GET") > seen, seconds=60)

    def _fail_deliveries(self, world: FeaturebaseWorld) -> None:
        """Once the secret is new, show failures, whose message quotes what the receiver was sent."""
        before = world.secret
        wait_for("the refresh", lambda: world.secret != before, seconds=RUN_SECONDS)
        world.force(
            lastStatus={
                "code": 401,
                "message": f"bad key {world.secret} or {HEADER_VALUE}, Bearer {world.api_key}",
                # Later than the last push, and not so far ahead that it is taken for no result at all.
                "timestamp": (datetime.now(tz=timezone.utc) + timedelta(seconds=30)).isoformat(),
            },
            health={"consecutiveFailures": 3, "errorsSinceLastSuccess": 3},
        )

    def _connect(self, world: FeaturebaseWorld, **changes: str) -> None:
        """Change a world's connection, as a person does in the UI."""
        fields = {"host": world.url, "password": world.api_key, **changes}
        body = {"connection_id": world.conn_id, "conn_type": "featurebase", **fields}
        self._real.airflow.api.call("PATCH", f"/connections/{world.conn_id}", json=body)

    def _crash(self, world: FeaturebaseWorld) -> None:
        """Kill the task's process while it waits for the answer to a refresh that was carried out."""
        before = world.secret
        wait_for("the refresh", lambda: world.secret != before, seconds=RUN_SECONDS)
        port = int(world.url.rpartition(":")[2])
        killed = [process for process in self._descendants() if _is_connected(process, port)]
        for process in killed:
            process.kill()
        assert killed, "no process of Airflow is connected to Featurebase"

    def _descendants(self) -> list[psutil.Process]:
        found = []
        for root in self._real.airflow.processes.values():
            with suppress(psutil.NoSuchProcess):
                found += psutil.Process(root.pid).children(recursive=True)
        return found


def _is_connected(process: psutil.Process, port: int) -> bool:
    with suppress(psutil.Error):
        return any(one.raddr and one.raddr.port == port for one in process.net_connections("tcp"))
    return False
