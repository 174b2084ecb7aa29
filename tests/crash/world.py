"""One lane of the crash matrix: a Featurebase, stores and a receiver of its own, whose calls can be held."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.server import SandboxServer
from tests.crash.service import RECEIVER, CrashService
from tests.world.featurebase import API_VERSION, TOPIC

if TYPE_CHECKING:
    from pathlib import Path

    from featurebase_provider.sandbox.journal import Call, Event
    from tests.crash.points import Strategy

EVENTS_PER_SECOND = 2
RETRY_SPEED = 20_000.0
STORES = ("alpha", "beta")


class CrashWorld:
    """A context manager.

    :param name: of the lane; names its Dag, connections and Variable.
    :param plain: whether it goes without a Variable as a store beside the two HTTP values, and without the probe.
    :param retries: of each task.
    """

    strategy: ClassVar[Strategy] = "refresh"
    timeout_ms: ClassVar[int] = 2000
    """How long Featurebase waits for the receiver."""

    def __init__(self, folder: Path, name: str, *, plain: bool = False, retries: int = 3) -> None:
        self.name, self.plain, self.retries = name, plain, retries
        self.dag_id = f"featurebase_rotate__{name}"
        self.conn_id, self.store_conn_id = f"featurebase_{name}", f"config_service_{name}"
        self.variable = None if plain else f"signing_{name}"
        self.api_key = f"sk_{secrets.token_hex(16)}"
        folder.mkdir(parents=True)
        self.sandbox = SandboxServer(self.api_key, pause_after=0)
        self.service = self.make_service(folder)
        self.webhook_id = ""
        self._open = ExitStack()
        # No connection is kept: the sandbox closes idle ones after as many seconds as httpx keeps them.
        self._http = httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def __enter__(self) -> CrashWorld:
        self._open.callback(self._http.close)
        self._open.enter_context(self.sandbox)
        self._open.enter_context(self.service)
        webhook = self.create_webhook()
        self.webhook_id = webhook["id"]
        for store in STORES:
            self.service.put(store, webhook["secret"])
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def make_service(self, folder: Path) -> CrashService:
        """The stores and the receiver."""
        return CrashService(folder)

    def create_webhook(self) -> dict[str, Any]:
        """Make a webhook whose deliveries the receiver gets."""
        body = {
            "name": self.name,
            "url": f"{self.service.url}{RECEIVER}/webhook",
            "topics": [TOPIC],
            "requestConfig": {"timeoutMs": self.timeout_ms, "headers": {}},
        }
        return self.api("POST", "/v2/webhooks", json=body)

    def api(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        """Call the API as its owner would."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Featurebase-Version": API_VERSION}
        answer = self._http.request(method, f"{self.sandbox.url}{path}", headers=headers, **kwargs)
        answer.raise_for_status()
        return dict(answer.json())

    def control(self, verb: str, path: str, /, **json: Any) -> Any:
        """Call the sandbox's own control."""
        answer = self._http.request(verb, f"{self.sandbox.url}/_sandbox{path}", json=json or None)
        answer.raise_for_status()
        return answer.json()

    def path(self, suffix: str = "", *, of: str = "") -> str:
        """The path of a webhook in the API.

        :param of: its id; default: the webhook that the run is about.
        """
        return f"/v2/webhooks/{of or self.webhook_id}{suffix}"

    def emit(self, *, seconds: int = 3600) -> None:
        """Let events happen at an even pace."""
        count = EVENTS_PER_SECOND * seconds
        self.control("POST", "/events", topic=TOPIC, count=count, per_second=EVENTS_PER_SECOND)

    def stop_emitting(self) -> None:
        """End that; what was emitted is still delivered."""
        self.control("DELETE", "/events")

    def pause_after_failure(self) -> None:
        """Have Featurebase pause the webhook, as after deliveries that failed just now."""
        now = datetime.now(tz=timezone.utc).isoformat()
        failed = {"code": 401, "message": "Unauthorized", "timestamp": now}
        health = {"consecutiveFailures": 7, "errorsSinceLastSuccess": 7}
        self.control("POST", f"/webhooks/{self.webhook_id}", status="paused", lastStatus=failed, health=health)

    def calls(self, method: str, suffix: str = "", *, of: str = "") -> list[Call]:
        """The API calls on a webhook; see :meth:`path`."""
        path = self.path(suffix, of=of)
        return [call for call in self.sandbox.state.journal.calls if (call.method, call.path) == (method, path)]

    def refreshes(self) -> int:
        """How many refreshes took effect."""
        return sum(call.committed for call in self.calls("POST", "/secret"))

    @property
    def secret(self) -> str:
        """Featurebase's current secret."""
        webhook = self.sandbox.state.webhooks.find(self.webhook_id)
        assert webhook is not None
        return webhook.secret

    @property
    def fingerprint(self) -> str:
        """Its fingerprint."""
        return fingerprint_of(self.secret)

    def has_written(self, store: str) -> bool:
        """Whether a store holds what the run brings to it; its own journal shows it."""
        return self.service.history[store][-1] == self.fingerprint

    def let_go(self) -> None:
        """Let every held call go on, and forget what was prepared."""
        self.control("DELETE", "/faults")
        self.service.gate.open()

    def events_accepted(self, since: int, *, seconds: float = 60) -> tuple[int, int]:
        """Run Featurebase's delivery retries fast until each event was accepted; events and accepted ones.

        :param since: how many events its journal had when the case began.
        """
        self.stop_emitting()
        self.control("POST", "/clock", speed=RETRY_SPEED)
        deadline = time.monotonic() + seconds
        while True:
            events, accepted = self.counted(self.sandbox.state.journal.events[since:])
            if accepted == events or time.monotonic() > deadline:
                self.control("POST", "/clock", speed=1.0)
                return events, accepted
            time.sleep(0.1)

    def counted(self, events: list[Event]) -> tuple[int, int]:
        """How many of these somebody was to be told of, and how many were accepted."""
        mine = [event for event in events if event.webhook_id is not None]
        return len(mine), sum(event.delivered for event in mine)

    def entry(self) -> dict[str, Any]:
        """The webhook's entry in the rotation file."""
        stores: list[dict[str, Any]] = [self._http_store(store) for store in STORES]
        if self.variable is not None:
            stores.append({"type": "airflow_variable", "label": "variable", "name": self.variable})
        return {
            "name": self.name,
            "webhook_id": self.webhook_id,
            "featurebase_conn_id": self.conn_id,
            "retries": self.retries,
            "retry_delay": "PT1S",
            "push_retries": self.retries,
            "push_retry_delay": "PT1S",
            "max_retry_delay": "PT3S",
            "refresh_grace": "PT4S",
            "reactivate": not self.plain,
            "stores": stores,
            "probe": None
            if self.plain
            else {"timeout": "PT120S", "interval": "PT0.3S", "steady": "PT0S", "successes": 2},
            "verify": {"timeout": "PT60S", "poll_interval": "PT3S"},
        }

    def _http_store(self, name: str) -> dict[str, Any]:
        url = f"/store/{name}"
        return {
            "type": "http",
            "label": name,
            "conn_id": self.store_conn_id,
            "url": f"{url}?cas={{{{ version }}}}",
            "body": '{"value": {{ secret | tojson }}, "previous": {{ previous | tojson }}}',
            "read": {"url": url, "current": "$.value", "previous": "$.previous", "version": "$.version"},
            "timeout": "PT60S",
        }
