"""What surrounds Airflow in a test: a sandbox Featurebase with one webhook, and a receiver, in threads."""

from __future__ import annotations

import itertools
import secrets
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import httpx

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.server import ReceiverServer, SandboxServer

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

API_VERSION = "2026-01-01.nova"
KEY = "FEATUREBASE_WEBHOOK_SECRET"
TOPIC = "post.created"
HEADER_VALUE = 'the receiver\'s "own"/credential+=% 7f'
_numbers = itertools.count(1)


class FeaturebaseWorld:
    """A context manager; every one has a name, a connection id and a Variable of its own.

    :param folder: for the receiver's secret file.
    :param previous_key: under which the receiver looks for a second secret.
    :param moves_on: whether Featurebase's clock is moved on, so that the receiver has to follow it.
    """

    def __init__(self, folder: Path, *, previous_key: str | None = None, moves_on: bool = False) -> None:
        self.folder, self.previous_key, self.moves_on = folder, previous_key, moves_on
        self.issued: list[str] = []
        """Signing secrets that Featurebase has issued, as far as :meth:`note_secret` saw them."""
        number = next(_numbers)
        self.name = f"hook-{number}"
        self.conn_id = f"featurebase_{number}"
        self.variable = f"featurebase_webhook_signing_secret_{number}"
        self.api_key = f"sk_{secrets.token_hex(16)}"
        self.secret_file = folder / "receiver" / "webhook.env"
        self._open = ExitStack()
        # No connection is kept: the sandbox closes idle ones after as many seconds as httpx keeps them.
        self._http = httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self.webhook_id = ""
        self.timeout_ms = 1000
        self.url = ""
        self.careless_url = ""

    def __enter__(self) -> FeaturebaseWorld:
        self.secret_file.parent.mkdir(parents=True)
        self.secret_file.touch(mode=0o640)
        self.sandbox = self._open.enter_context(SandboxServer(self.api_key))
        clock = {"clock_url": f"{self.sandbox.url}/_sandbox/clock"} if self.moves_on else {}
        self.receiver = self._open.enter_context(
            ReceiverServer(self.secret_file, key=KEY, previous_key=self.previous_key, **clock)
        )
        self.url = self.sandbox.url
        webhook = self.create_webhook("Production", f"{self.receiver.url}/webhook")
        self.webhook_id = webhook["id"]
        self.secret_file.write_text(f"# what the receiver reads\nNAME=demo\n{KEY}={webhook['secret']}\n")
        self.note_secret()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._open.close()

    def create_webhook(self, name: str, url: str) -> dict[str, Any]:
        """Make a webhook with a request header, as its owner would."""
        body = {
            "name": name,
            "url": url,
            "topics": [TOPIC],
            "requestConfig": {"timeoutMs": self.timeout_ms, "headers": {"X-Receiver-Key": HEADER_VALUE}},
        }
        return self.api("POST", "/v2/webhooks", json=body)

    def api(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        """Call the API as its owner would."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Featurebase-Version": API_VERSION}
        answer = self._http.request(method, f"{self.url}{path}", headers=headers, **kwargs)
        answer.raise_for_status()
        return dict(answer.json())

    def control(self, verb: str, path: str, /, **json: Any) -> Any:
        """Call the sandbox's own control."""
        answer = self._http.request(verb, f"{self.url}/_sandbox{path}", json=json or None)
        answer.raise_for_status()
        return answer.json()

    def fault(self, kind: str, *, method: str = "POST", count: int = 1, **how: Any) -> None:
        """Let the next calls of the webhook go wrong: its refreshes, or with ``method="GET"`` its reads."""
        path = f"/v2/webhooks/{self.webhook_id}" + ("/secret" if method == "POST" else "")
        self.control("POST", "/faults", kind=kind, method=method, path=path, count=count, **how)

    def behave(self, **switches: Any) -> None:
        """Set what Featurebase's documentation leaves open."""
        self.control("POST", "/behaviour", **switches)

    def wait(self, span: timedelta) -> None:
        """Let Featurebase's time move on; what is to be delivered again meanwhile is."""
        self.control("POST", "/clock", advance=span.total_seconds())

    @property
    def now(self) -> datetime:
        """Featurebase's time."""
        return datetime.fromtimestamp(self.control("GET", "/clock")["now"], tz=timezone.utc)

    def force(self, **state: Any) -> None:
        """Put the webhook into a state that the API doesn't let clients set."""
        self.control("POST", f"/webhooks/{self.webhook_id}", **state)

    def move(self, url: str) -> None:
        """Point the webhook at another receiver."""
        self.api("PATCH", f"/v2/webhooks/{self.webhook_id}", json={"url": url})

    def emit(self, count: int = 1) -> None:
        """Let events happen."""
        self.control("POST", "/events", topic=TOPIC, count=count)

    def refreshes(self) -> int:
        """How many refreshes took effect."""
        return sum(call.committed and call.path.endswith("/secret") for call in self.sandbox.state.journal.calls)

    def calls(self, method: str = "*", suffix: str = "") -> int:
        """How many API calls came."""
        calls = self.sandbox.state.journal.calls
        return sum(method in ("*", call.method) and call.path.endswith(suffix) for call in calls)

    @property
    def webhook(self) -> dict[str, Any]:
        """The webhook as the API shows it, secret included."""
        return self.api("GET", f"/v2/webhooks/{self.webhook_id}")

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

    def note_secret(self) -> None:
        """Keep the current secret in ``issued``."""
        self.issued.append(self.secret)

    @property
    def secrets(self) -> dict[str, str]:
        """Everything that must turn up nowhere, by name."""
        by_sandbox = (one.secret for one in self.sandbox.state.webhooks.issued)
        every = dict.fromkeys([*self.issued, *by_sandbox])
        issued = {f"signing secret {number}": secret for number, secret in enumerate(every, 1)}
        return {"API key": self.api_key, "request header": HEADER_VALUE, **issued}

    def entry(self, **changes: Any) -> dict[str, Any]:
        """The webhook's entry in a rotation file, made for short waits; ``changes`` replace fields of it."""
        entry: dict[str, Any] = {
            "name": self.name,
            "webhook_id": self.webhook_id,
            "featurebase_conn_id": self.conn_id,
            "schedule": "0 6 1 * *",
            "retries": 0,
            "retry_delay": "PT0.1S",
            "push_retries": 0,
            "push_retry_delay": "PT0.1S",
            "refresh_grace": "PT0.5S",
            "stores": [self.variable_store(), self.file_store()],
            "probe": {"timeout": "PT1S", "interval": "PT0.1S", "steady": "PT0S"},
            "verify": {"timeout": "PT0.1S", "poll_interval": "PT0.1S"},
        }
        return {**entry, **changes}

    def variable_store(self, **changes: Any) -> dict[str, Any]:
        """The Variable as a store."""
        return {"type": "airflow_variable", "name": self.variable, **changes}

    def file_store(self, **changes: Any) -> dict[str, Any]:
        """The receiver's file as a store."""
        return {"type": "object_storage", "path": str(self.secret_file), "format": "dotenv", "key": KEY, **changes}
