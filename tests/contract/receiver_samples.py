"""Runs the samples of docs/receivers.md beside a sandbox, each as a process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx

from featurebase_provider.sandbox.deliveries import signature_headers
from tests.servers.local_server import program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "receivers.md").read_text(encoding="utf-8")
GO_CACHE = ROOT / ".pytest_cache" / "go-build"
CURRENT, PREVIOUS = "FEATUREBASE_WEBHOOK_SECRET", "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"
GIVE_UP = 60  # seconds
Json = dict[str, Any]


FILES = {"Python": "receiver.py", "Node": "receiver.mjs", "Go": "receiver.go"}
"""The samples, by their headings on the page."""

FAIL_ONCE = {
    "Python": ("once = Once(handle)", "once = Once(lambda event, left=iter([0]): 1 // next(left, 1))"),
    "Node": ("new Once(handle)", "new Once(() => { if (!globalThis.called) throw globalThis.called = new Error(); })"),
    "Go": (
        "func handle(e event) error {",
        "var calls int\n\nfunc handle(e event) error {\n\tif calls++; calls == 1 {\n\t\treturn errors.New(e.ID)\n\t}",
    ),
}
"""For each sample, the change that makes its ``handle`` fail at the first call."""


def command(heading: str, folder: Path, *, fails_once: bool = False) -> list[str]:
    """Copy a sample from the page into this folder, and return the command that runs it."""
    (code,) = re.findall(r"```\w+\n(.*?)```", PAGE.split(f"\n### {heading}\n")[1].split("\n### ")[0], re.DOTALL)
    if fails_once:
        old, new = FAIL_ONCE[heading]
        assert code.count(old) == 1
        code = code.replace(old, new)
    path = folder / FILES[heading]
    path.write_text(code, encoding="utf-8")
    if heading == "Go":
        return [str(compiled(path))]
    if heading == "Node":
        return [program("node", "install Node.js 20 or newer"), str(path)]
    return [sys.executable, "-I", "-W", "error", str(path)]


def compiled(source: Path) -> Path:
    """A Go program; the standard library has to be enough for it."""
    compiler = program("go", "apt-get install golang-go, or https://go.dev/dl")
    offline = {"CGO_ENABLED": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOCACHE": str(GO_CACHE)}
    done = subprocess.run(
        [compiler, "build", source.name],
        cwd=source.parent,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return source.with_suffix("")


class Process:
    """A running program whose first line says where it listens.

    :param log: where its errors go.
    """

    def __init__(self, command: list[str], log: Path, **environment: str) -> None:
        self.log = log
        environment["PATH"] = os.environ["PATH"]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().rstrip().rpartition(" on ")[2]
        assert self.url.startswith("http://127.0.0.1:")
        self.lines: list[str] = []
        self._following = threading.Thread(target=self._follow, args=(self._process.stdout,), daemon=True)
        self._following.start()

    def _follow(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self.lines.append(line.rstrip())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(GIVE_UP)
        self._following.join(GIVE_UP)


class World:
    """A sandbox without webhooks, and a sample that goes on running from test to test."""

    def __init__(self, http: httpx.Client, sandbox: Process, receiver: Process, file: Path) -> None:
        self.receiver_url, self.receiver_log, self.file = receiver.url, receiver.log, file
        self._lines = receiver.lines
        self._http, self._sandbox_url = http, sandbox.url
        self.api("POST", "/_sandbox/reset")
        mark = f"notif_probe_{uuid.uuid4()}"
        self.give(**{CURRENT: "whsec_mark"})
        assert self.post("whsec_mark", event(mark)) == 200
        eventually(lambda: f"probe {mark}" in self._lines)  # what earlier tests made it print is read, too
        self._before = len(self._lines)

    def api(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": "Bearer sk_sandbox", "Featurebase-Version": "2026-01-01.nova"}
        answer = self._http.request(method, f"{self._sandbox_url}{path}", json=body or None, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def create(self) -> Json:
        created: Json = self.api(
            "POST", "/v2/webhooks", name="n", url=f"{self.receiver_url}/webhook", topics=["post.created"]
        )
        return created

    def give(self, **secrets: str) -> None:
        """Replace the secret file by a rename, as the store does."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(secrets))
        new.replace(self.file)

    def emit(self, count: int = 1) -> list[int]:
        """Emit events, and wait until each was tried once; the HTTP statuses that this gave."""
        before = len(self.api("GET", "/_sandbox/deliveries"))
        item = {"object": "post", "id": "p1", "title": "Gr\u00fc\u00dfe / \U0001f600"}
        ids = self.api("POST", "/_sandbox/events", topic="post.created", item=item, count=count)["eventIds"]

        def tried() -> list[int]:
            attempts = self.api("GET", "/_sandbox/deliveries")[before:]
            assert not any(attempt["error"] for attempt in attempts)
            return [attempt["statusCode"] for attempt in attempts if attempt["statusCode"]]

        eventually(lambda: len(tried()) == len(ids))
        return sorted(tried())

    def post(self, secret: str, body: bytes, *, age: int = 0) -> int:
        """A delivery that is signed by hand, ``age`` seconds ago."""
        return self.send(body, signature_headers(secret, body, int(time.time()) - age))

    def send(self, body: bytes, headers: Mapping[str, str | bytes]) -> int:
        return self._http.post(self.receiver_url, content=body, headers=dict(headers)).status_code

    def said(self, count: int) -> list[str]:
        """What the sample has printed in this test, without ids and sorted; waits for this number of lines."""
        eventually(lambda: len(self.printed()) >= count)
        lines = self.printed()
        assert len(lines) == count, lines
        return sorted(lines)

    def printed(self) -> list[str]:
        """What the sample has printed in this test so far, without ids."""
        return [re.sub(r" notif_\S+$", "", line) for line in self._lines[self._before :]]


def eventually(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + GIVE_UP
    while not holds():
        assert time.monotonic() < give_up, "it never came to hold"
        time.sleep(0.01)


def event(event_id: str, **fields: Any) -> bytes:
    return json.dumps({"id": event_id, "topic": "post.created", **fields}).encode()
