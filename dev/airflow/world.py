"""The sandbox Featurebase and the sample receiver, with a webhook between them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import httpx

from dev.airflow.processes import Process, free_port, wait_for

if TYPE_CHECKING:
    from pathlib import Path

API_KEY = "sk_sandbox"
API_VERSION = "2026-01-01.nova"
SECRET_KEY = "FEATUREBASE_WEBHOOK_SECRET"  # noqa: S105 - the name of an environment variable
TOPIC = "post.created"


class World:
    """What surrounds Airflow: the vendor and the receiver, each a process of its own.

    :param folder: for logs and the receiver's secret file.
    :param python: the interpreter whose sandbox is run.
    """

    def __init__(self, folder: Path, *, python: str = sys.executable) -> None:
        self.folder, self.python = folder.resolve(), python
        self.sandbox_port, self.receiver_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.sandbox_port}"
        self.receiver_url = f"http://127.0.0.1:{self.receiver_port}"
        self.secret_file = self.folder / "receiver" / "webhook.env"
        self._processes: list[Process] = []
        self._http = httpx.Client(timeout=30, trust_env=False)
        self.webhook_id = ""

    def start(self) -> None:
        """Start both, create the webhook, and give the receiver its secret."""
        self._start("sandbox", "serve", "--port", str(self.sandbox_port), "--api-key", API_KEY)
        wait_for(
            "the sandbox", lambda: self._answers(f"{self.url}/_sandbox/events"), seconds=60, watched=self._processes
        )
        webhook = self._api(
            "POST",
            "/v2/webhooks",
            json={"name": "Production", "url": f"{self.receiver_url}/webhook", "topics": [TOPIC]},
        )
        self.webhook_id = str(webhook["id"])
        self.secret_file.parent.mkdir(parents=True, exist_ok=True)
        self.secret_file.touch(mode=0o600)
        self.secret_file.write_text(
            f"# what the receiver reads\nRECEIVER_NAME=demo\n{SECRET_KEY}={webhook['secret']}\n"
        )
        self._start(
            "receiver",
            "receiver",
            "--port",
            str(self.receiver_port),
            "--secret-file",
            str(self.secret_file),
            "--key",
            SECRET_KEY,
        )
        wait_for(
            "the receiver", lambda: self._answers(f"{self.receiver_url}/received"), seconds=60, watched=self._processes
        )

    def stop(self) -> None:
        """Stop both."""
        self._http.close()
        for process in reversed(self._processes):
            process.stop()

    def emit(self, *, per_second: float, seconds: float) -> None:
        """Have events happen at a steady rate, beginning now."""
        self.control(
            "POST", "/events", json={"topic": TOPIC, "count": int(per_second * seconds), "per_second": per_second}
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

    def refreshes(self) -> list[dict[str, Any]]:
        """Each refresh that was committed."""
        return [
            call for call in self.requests() if call["committed"] and call["path"].endswith(f"{self.webhook_id}/secret")
        ]

    def webhook(self) -> dict[str, Any]:
        """The webhook as the API shows it, secret included."""
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
