"""The sandbox Featurebase and sample receivers, with webhooks between them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from dev.airflow.processes import Process, free_port, wait_for

if TYPE_CHECKING:
    from pathlib import Path

API_KEY = "sk_sandbox"
API_VERSION = "2026-01-01.nova"
SECRET_KEY = "FEATUREBASE_WEBHOOK_SECRET"  # noqa: S105 - the name of an environment variable
PREVIOUS_KEY = f"{SECRET_KEY}_PREVIOUS"
TOPIC, PAIR_TOPIC = "post.created", "post.updated"


@dataclass(frozen=True)
class Receiver:
    """A sample receiver, and the webhooks that deliver to it.

    :param secret_file: the file from which it reads two secrets.
    :param webhook_ids: the first webhook is active, a second one is paused.
    :param topic: what its webhooks subscribe to.
    """

    url: str
    secret_file: Path
    webhook_ids: tuple[str, ...]
    topic: str


class World:
    """What surrounds Airflow: the vendor and receivers, each a process of its own.

    :param folder: for logs and the receivers' secret files.
    :param python: the interpreter whose sandbox is run.
    """

    single: Receiver
    """The receiver of a single webhook; there once the world was started."""

    def __init__(self, folder: Path, *, python: str = sys.executable) -> None:
        self.folder, self.python = folder.resolve(), python
        self.sandbox_port = free_port()
        self.url = f"http://127.0.0.1:{self.sandbox_port}"
        self._processes: list[Process] = []
        self._http = httpx.Client(timeout=30, trust_env=False)

    @property
    def webhook_id(self) -> str:
        """The single webhook's id."""
        return self.single.webhook_ids[0]

    @property
    def secret_file(self) -> Path:
        """The file of its receiver."""
        return self.single.secret_file

    def start(self) -> None:
        """Start the sandbox, and a receiver with one webhook."""
        self._start("sandbox", "serve", "--port", str(self.sandbox_port), "--api-key", API_KEY)
        wait_for(
            "the sandbox", lambda: self._answers(f"{self.url}/_sandbox/events"), seconds=60, watched=self._processes
        )
        self.single = self.add_receiver("receiver", TOPIC, "Production")

    def add_pair(self) -> Receiver:
        """Start another receiver, with two webhooks, the second of them paused."""
        pair = self.add_receiver("receiver-of-the-pair", PAIR_TOPIC, "Pair, first half", "Pair, second half")
        self._api("PATCH", f"/v2/webhooks/{pair.webhook_ids[1]}", json={"status": "paused"})
        return pair

    def add_receiver(self, name: str, topic: str, *webhooks: str) -> Receiver:
        """Start another receiver, with webhooks of these names."""
        port = free_port()
        url, secret_file = f"http://127.0.0.1:{port}", self.folder / name / "webhook.env"
        made = [self.add_webhook(webhook, f"{url}/webhook", topic) for webhook in webhooks]
        secret_file.parent.mkdir(parents=True, exist_ok=True)
        secret_file.touch(mode=0o600)
        secret_file.write_text(f"# what the receiver reads\nRECEIVER_NAME=demo\n{SECRET_KEY}={made[0]['secret']}\n")
        keys = ("--key", SECRET_KEY, "--previous-key", PREVIOUS_KEY)
        self._start(name, "receiver", "--port", str(port), "--secret-file", str(secret_file), *keys)
        wait_for("the receiver", lambda: self._answers(f"{url}/received"), seconds=60, watched=self._processes)
        return Receiver(url, secret_file, tuple(str(webhook["id"]) for webhook in made), topic)

    def add_webhook(self, name: str, url: str, topic: str) -> dict[str, Any]:
        """Make a webhook, and return it as the API shows it, secret included."""
        return dict(self._api("POST", "/v2/webhooks", json={"name": name, "url": url, "topics": [topic]}))

    def stop(self) -> None:
        """Stop all of them."""
        self._http.close()
        for process in reversed(self._processes):
            process.stop()

    def emit(self, *, per_second: float, seconds: float, topic: str = TOPIC) -> None:
        """Have events happen at a steady rate, beginning now."""
        self.control(
            "POST", "/events", json={"topic": topic, "count": int(per_second * seconds), "per_second": per_second}
        )

    def stop_emitting(self) -> None:
        """End the steady rate."""
        self.control("DELETE", "/events")

    def control(self, method: str, path: str, **kwargs: Any) -> Any:
        """Call the sandbox's own control."""
        answer = self._http.request(method, f"{self.url}/_sandbox{path}", **kwargs)
        answer.raise_for_status()
        return answer.json()

    def events(self) -> list[dict[str, Any]]:
        """Each event so far."""
        return list(self.control("GET", "/events"))

    def deliveries(self) -> list[dict[str, Any]]:
        """Each delivery attempt so far."""
        return list(self.control("GET", "/deliveries"))

    def requests(self) -> list[dict[str, Any]]:
        """Each API call so far."""
        return list(self.control("GET", "/requests"))

    def received(self, receiver: Receiver) -> list[dict[str, Any]]:
        """What a receiver has accepted, probes too."""
        return list(self._http.get(f"{receiver.url}/received").raise_for_status().json())

    def refreshes(self) -> list[dict[str, Any]]:
        """Each refresh of the single webhook that was committed."""
        return [
            call for call in self.requests() if call["committed"] and call["path"].endswith(f"{self.webhook_id}/secret")
        ]

    def webhook(self) -> dict[str, Any]:
        """The single webhook as the API shows it, secret included."""
        return dict(self._api("GET", f"/v2/webhooks/{self.webhook_id}"))

    def _api(self, method: str, path: str, **kwargs: Any) -> Any:
        headers = {"Authorization": f"Bearer {API_KEY}", "Featurebase-Version": API_VERSION}
        answer = self._http.request(method, f"{self.url}{path}", headers=headers, **kwargs)
        answer.raise_for_status()
        return answer.json()

    def _start(self, name: str, *arguments: str) -> None:
        command = [self.python, "-m", "featurebase_provider.sandbox.cli", *arguments]
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._processes.append(Process(name, command, log=self.folder / "logs" / f"{name}.log", env=env).start())

    def _answers(self, url: str) -> bool:
        try:
            return self._http.get(url).status_code == 200
        except httpx.HTTPError:
            return False
