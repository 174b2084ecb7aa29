from __future__ import annotations

import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from featurebase_provider.sandbox.app import create_sandbox
from featurebase_provider.sandbox.cli import main
from featurebase_provider.sandbox.errors import SandboxUnusable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "webhooks.json"


def begun(path: Path, headers: dict[str, str]) -> tuple[FastAPI, httpx.AsyncClient]:
    app = create_sandbox(state=path)
    transport = httpx.ASGITransport(app=app)
    return app, httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)


async def shown(path: Path, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What a sandbox that is started anew shows."""
    _, client = begun(path, headers)
    async with client:
        return list((await client.get("/v2/webhooks")).json()["data"])


@pytest.mark.asyncio
async def test_each_change_outlives_the_sandbox(path, headers):
    """As the API showed it, at once: no stop in good order is needed."""
    app, api = begun(path, headers)
    body = {"name": "n", "url": "https://example.com/x", "topics": ["post.created"], "description": "d"}
    config = {"timeoutMs": 2000, "headers": {"X-Key": "value"}}
    webhook = (await api.post("/v2/webhooks", json={**body, "requestConfig": config})).json()
    assert await shown(path, headers) == [webhook]

    async def now() -> dict[str, Any]:
        return (await api.get(f"/v2/webhooks/{webhook['id']}")).json()

    at = f"/v2/webhooks/{webhook['id']}"
    forced = {"status": "suspended", "lastStatus": {"code": 500, "message": "m", "timestamp": "2026-01-01T00:00:00Z"}}
    for call in (
        api.post(f"{at}/secret"),
        api.patch(at, json={"name": "another"}),
        api.post(f"/_sandbox/webhooks/{webhook['id']}", json={**forced, "health": {"consecutiveFailures": 3}}),
    ):
        assert (await call).status_code == 200
        assert await shown(path, headers) == [await now()]
    second = (await api.post("/v2/webhooks", json=body)).json()
    assert [one["id"] for one in await shown(path, headers)] == [webhook["id"], second["id"]]
    await api.delete(at)
    assert await shown(path, headers) == [second]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    await app.state.sandbox.reset()
    assert await shown(path, headers) == []


@pytest.mark.asyncio
async def test_health_is_kept_when_the_sandbox_is_stopped(path, headers, target, eventually):
    app, api = begun(path, headers)
    await api.post("/v2/webhooks", json={"name": "n", "url": f"{target.url}/status/200", "topics": ["post.created"]})
    await api.post("/_sandbox/events", json={"topic": "post.created"})
    await eventually(lambda: app.state.sandbox.journal.events[0].as_json()["delivered"])
    await app.state.sandbox.aclose()
    (webhook,) = await shown(path, headers)
    assert webhook["lastStatus"]["code"] == 200


@pytest.mark.asyncio
async def test_a_search_for_leaks_knows_the_kept_secrets(path, headers):
    _, api = begun(path, headers)
    body = {"name": "n", "url": "https://example.com/x", "topics": ["post.created"]}
    secret = (await api.post("/v2/webhooks", json=body)).json()["secret"]
    _, api = begun(path, headers)
    (issued,) = (await api.get("/_sandbox/secrets")).json()
    assert (issued["secret"], issued["by"]) == (secret, "--state")


@pytest.mark.parametrize("text", ["", "{}", '[{"id": "x", "secret": "whsec_seen"}]', "[]\x00"])
def test_another_files_content_is_refused_and_not_quoted(path, text, capsys):
    path.write_text(text)
    assert main(["serve", "--port", "0", "--state", str(path)]) == 2
    message = capsys.readouterr().err
    assert f"--state: {path} does not contain a sandbox's webhooks" in message
    assert "whsec_seen" not in message
    assert path.read_text() == text


def test_a_file_that_cannot_be_written_or_read_is_told_at_the_start(tmp_path):
    with pytest.raises(SandboxUnusable, match="can't be written"):
        create_sandbox(state=tmp_path / "no folder" / "webhooks.json")
    with pytest.raises(SandboxUnusable, match="can't be read"):
        create_sandbox(state=tmp_path)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_begins_with_what_it_kept(path, headers, how):
    command = [sys.executable, "-m", "featurebase_provider.sandbox.cli", "serve", "--port", "0", "--state", str(path)]
    seen = []
    for call in ("POST", "GET"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = process.stdout.readline().rstrip().rpartition(" on ")[2]
            body = {"name": "n", "url": "https://example.com/x", "topics": ["post.created"]}
            json = body if call == "POST" else None
            answer = httpx.request(call, f"{url}/v2/webhooks", headers=headers, json=json, trust_env=False).json()
            seen.append(answer if call == "POST" else answer["data"][0])
        finally:
            process.send_signal(how)
            process.communicate(timeout=60)
    assert seen[0] == seen[1]
