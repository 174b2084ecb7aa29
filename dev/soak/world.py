"""What surrounds the rotations of one combination: a sandbox Featurebase, its webhooks, and their receivers."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from dotenv import dotenv_values

from dev.airflow.processes import Process, free_port, wait_for
from dev.airflow.world import API_KEY, API_VERSION
from dev.soak.combinations import KEY, PREVIOUS_KEY
from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.inputs import KNOWN_TOPICS

if TYPE_CHECKING:
    from pathlib import Path

    from dev.soak.combinations import Combination
    from dev.soak.faults import Fault

HICCUPS = 0.05
PAIR_RELOAD_SECONDS = 1.0
"""How long a receiver of a pair goes without reading its file: it may be slow to know a new secret."""
READS_WHERE_STALE = 6
CHANGES_APART = 1.1
"""Seconds, so that ``updatedAt`` tells two changes apart, whatever its precision."""
DELIVERY_TIMEOUT_MS, SHORTEST_TIMEOUT_MS = 2000, 1000
"""The shorter one is the API's least: runs wait for deliveries that are later than it, and the calendar has many."""


@dataclass(frozen=True)
class SoakedWebhook:
    """A webhook and the file that its receiver reads.

    :param topic: each webhook has a topic of its own, so that its events come at its own pace.
    """

    name: str
    id: str
    topic: str
    secret_file: Path

    @property
    def path(self) -> str:
        """The webhook in the API."""
        return f"/v2/webhooks/{self.id}"

    @property
    def refresh_path(self) -> str:
        """Its refresh."""
        return f"{self.path}/secret"

    @property
    def ids(self) -> tuple[str, ...]:
        """Its id alone; see :class:`SoakedPair`."""
        return (self.id,)

    def stored(self) -> tuple[str | None, str | None]:
        """Fingerprints of the current and the previous secret in the file."""
        found = dotenv_values(self.secret_file, interpolate=False)
        values = (found.get(KEY), found.get(PREVIOUS_KEY))
        return tuple(fingerprint_of(value) if value else None for value in values)  # type: ignore[return-value]


@dataclass(frozen=True)
class SoakedPair:
    """Two webhooks of one receiver, which accepts the secrets of both. At first, the first one is active."""

    halves: tuple[SoakedWebhook, SoakedWebhook]

    @property
    def name(self) -> str:
        """Of the pair and of its receiver."""
        return self.halves[0].name

    @property
    def topic(self) -> str:
        """That of both webhooks."""
        return self.halves[0].topic

    @property
    def ids(self) -> tuple[str, str]:
        """Of both webhooks."""
        return self.halves[0].id, self.halves[1].id

    def stored(self) -> tuple[str | None, str | None]:
        """Fingerprints of the two secrets in the file."""
        return self.halves[0].stored()


class SoakWorld:
    """Two processes: the sandbox, and all receivers.

    Automatic pausing is off: how many failures pause a webhook is not documented, and what a paused webhook misses
    is not a rotation's doing.

    :param webhooks: how many receivers there are, with one webhook each, or a pair.
    :param pairs: whether each has a pair.
    :param moves_clock: whether the sandbox's clock is moved on, so that the receivers must follow it.
    """

    def __init__(
        self,
        folder: Path,
        combination: Combination,
        *,
        webhooks: int,
        seed: int,
        pairs: bool = False,
        moves_clock: bool = False,
    ) -> None:
        self.folder, self.combination = folder.resolve(), combination
        self.url = f"http://127.0.0.1:{free_port()}"
        self._receivers_url = f"http://127.0.0.1:{free_port()}"
        self._names = [f"{'pair' if pairs else 'webhook'}-{number}" for number in range(webhooks)]
        self._pairs = pairs
        self._seed, self._moves_clock = seed, moves_clock
        self._processes: list[Process] = []
        self._http: tuple[int, httpx.Client] | None = None
        self.webhooks: list[SoakedWebhook] = []
        self.pairs: list[SoakedPair] = []

    def start(self) -> None:
        """Start both without waiting for them."""
        secrets = self.folder / "secrets"
        secrets.mkdir(parents=True)
        port = self.url.rpartition(":")[2]
        signing = self.combination.retry_signing
        serve = ("serve", "--port", port, "--api-key", API_KEY, "--retry-signing", signing, "--pause-after", "0")
        self._run("sandbox", "featurebase_provider.sandbox.cli", *serve)
        more = ["--previous"] if self.combination.keeps_previous else []
        more += ["--reload-seconds", str(PAIR_RELOAD_SECONDS)] if self._pairs else []
        more += ["--clock-url", f"{self.url}/_sandbox/clock"] if self._moves_clock else ["--hiccups", str(HICCUPS)]
        port = self._receivers_url.rpartition(":")[2]
        where = ("--port", port, "--folder", str(secrets), "--names", ",".join(self._names))
        self._run("receivers", "dev.soak.receivers", *where, "--seed", str(self._seed), *more)

    def settle(self, *, speed: float) -> None:
        """Wait until both answer, make the webhooks and give each receiver its secret.

        :param speed: of the sandbox's retries.
        """
        for url in (f"{self.url}/_sandbox/faults", f"{self._receivers_url}/{self._names[0]}/received"):
            wait_for(f"an error of{url}", lambda url=url: self._answers(url), seconds=90, watched=self._processes)  # type: ignore[misc]
        self.control("POST", "/clock", {"speed": speed})
        for name, topic in zip(self._names, sorted(KNOWN_TOPICS), strict=False):
            secret_file = self.folder / "secrets" / f"{name}.env"
            webhook, secret = self._make(name, topic, secret_file)
            secret_file.touch(mode=0o600)
            secret_file.write_text(f"# read by {name}\n{KEY}={secret}\n")
            self.webhooks.append(webhook)
            if self._pairs:
                standby, _ = self._make(name, topic, secret_file)
                self.set_status(standby, "paused")
                self.pairs.append(SoakedPair((webhook, standby)))
        if self._pairs:
            time.sleep(CHANGES_APART)
        for pair in self.pairs:
            # Its last change must not be its pause: a stale read would show for months that it is active.
            self.api("PATCH", pair.halves[1].path, json={"description": "standby"}).raise_for_status()
        switches = dict(self.combination.switches)
        if "delivery_lag" in switches:
            switches["delivery_lag"] = float(switches["delivery_lag"]) * speed
        self.control("POST", "/behaviour", switches)

    def _make(self, name: str, topic: str, secret_file: Path) -> tuple[SoakedWebhook, str]:
        """Make a webhook; returns it and its secret."""
        body = {
            "name": name,
            "url": f"{self._receivers_url}/{name}/webhook",
            "topics": [topic],
            "requestConfig": {"timeoutMs": SHORTEST_TIMEOUT_MS if self._moves_clock else DELIVERY_TIMEOUT_MS},
        }
        made = self.api("POST", "/v2/webhooks", json=body).raise_for_status().json()
        return SoakedWebhook(name, str(made["id"]), topic, secret_file), str(made["secret"])

    def stop(self) -> None:
        """Stop both."""
        for process in reversed(self._processes):
            process.stop(grace=3.0)

    def emit(self, *, per_second: float) -> None:
        """Have events happen until :meth:`stop_emitting`, evenly over the webhooks."""
        for webhook in self.webhooks:
            each = per_second / len(self.webhooks)
            self.control("POST", "/events", {"topic": webhook.topic, "count": 1_000_000, "per_second": each})

    def stop_emitting(self) -> None:
        """Let no more events happen."""
        self.control("DELETE", "/events")

    def inject(self, webhook: SoakedWebhook, fault: Fault) -> int:
        """Let one call of the webhook go wrong; returns the fault's id."""
        path = webhook.refresh_path if fault.method == "POST" else webhook.path
        body = {"method": fault.method, "path": path, "count": 1, **fault.how}
        return int(self.control("POST", "/faults", body)["id"])

    def waiting_faults(self) -> set[int]:
        """Ids of the faults that no call has met yet."""
        return {int(fault["id"]) for fault in self.control("GET", "/faults")}

    def current(self, webhook: SoakedWebhook) -> str:
        """Fingerprint of the secret that Featurebase holds now, by a read that meets no fault."""
        return fingerprint_of(str(self._shown(webhook)["secret"]))

    def status(self, webhook: SoakedWebhook) -> str:
        """Its status now, by a read that meets no fault."""
        return str(self._shown(webhook)["status"])

    def set_status(self, webhook: SoakedWebhook, status: str) -> None:
        """Set it active or paused, as a person does."""
        self.api("PATCH", webhook.path, json={"status": status}).raise_for_status()

    def refresh(self, webhook: SoakedWebhook) -> None:
        """Refresh its secret, as a person does."""
        self.api("POST", webhook.refresh_path).raise_for_status()

    def _shown(self, webhook: SoakedWebhook) -> dict[str, Any]:
        """The webhook as it is; where reads may be stale, the newest state that several reads show."""
        times = READS_WHERE_STALE if "stale_share" in self.combination.switches else 1
        found = [self.api("GET", webhook.path).raise_for_status().json() for _ in range(times)]
        return max(found, key=lambda document: str(document["updatedAt"]))

    def remove_fault(self, fault_id: int) -> None:
        """Let no call meet a fault any more, if none has met it."""
        self.control("DELETE", f"/faults/{fault_id}")

    def audit_log(self) -> list[dict[str, Any]]:
        """Everything that was done to webhooks, oldest first, whatever the switches say of the log."""
        self.control("POST", "/behaviour", {"audit_log": "available", "audit_log_lag": 0})
        entries: list[dict[str, Any]] = []
        cursor = None
        while True:
            where = {"limit": 100, **({"cursor": cursor} if cursor else {})}
            page = self.api("GET", "/v2/audit-logs", params=where).raise_for_status().json()
            entries += page["data"]
            cursor = page["nextCursor"]
            if cursor is None:
                return entries[::-1]

    def received(self, webhook: SoakedWebhook) -> set[str]:
        """Ids of the events that the receiver has accepted, told again or not."""
        answer = self._client.get(f"{self._receivers_url}/{webhook.name}/received")
        accepted = answer.raise_for_status().json()
        return {str(told["id"]) for event in accepted for told in (event, *event["repeats"])}

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the sandbox's own control."""
        answer = self._client.request(method, f"{self.url}/_sandbox{path}", json=body)
        return answer.raise_for_status().json()

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Call the API as a person would."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Featurebase-Version": API_VERSION}
        return self._client.request(method, f"{self.url}{path}", headers=headers, **kwargs)

    @property
    def _client(self) -> httpx.Client:
        """A client of this process alone: connections are not shared with the process that this one was forked from."""
        if self._http is None or self._http[0] != os.getpid():
            self._http = (os.getpid(), httpx.Client(timeout=60, trust_env=False))
        return self._http[1]

    def _run(self, name: str, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._processes.append(Process(name, command, log=self.folder / f"{name}.log", env=env).start())

    def _answers(self, url: str) -> bool:
        try:
            return self._client.get(url).status_code == 200
        except httpx.HTTPError:
            return False
