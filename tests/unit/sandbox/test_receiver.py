from __future__ import annotations

import json
import math
import os
import time

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Response

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.sandbox.deliveries import signature_headers
from featurebase_provider.sandbox.errors import SandboxUnusable
from featurebase_provider.sandbox.receiver import create_receiver
from featurebase_provider.sandbox.secret_file import SecretFile
from featurebase_provider.sandbox.server import AppServer

NOW = 1_700_000_000.25


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secret"


@pytest_asyncio.fixture
async def receiver(path):
    app = create_receiver(path, now=lambda: NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://receiver") as client:
        yield client


async def deliver(client, secret, *, event_id="notif_1", at=NOW, body=None, path="/hooks/featurebase"):
    if body is None:
        body = json.dumps({"id": event_id, "topic": "post.created"}).encode()
    return await client.post(path, content=body, headers=signature_headers(secret, body, int(at)))


@pytest.mark.asyncio
async def test_verified_events_are_accepted_and_listed(receiver, path):
    path.write_text("whsec_a\n")
    assert (await deliver(receiver, "whsec_a")).status_code == 200
    assert (await deliver(receiver, "whsec_a", event_id="notif_2", path="/")).json() == {"received": "notif_2"}
    assert (await deliver(receiver, "whsec_a")).status_code == 200
    seen = {"webhookId": None, "at": 1_700_000_000_250, "fingerprint": fingerprint_of("whsec_a")}
    repeat = {"id": "notif_1", **seen, "by": "id"}
    assert (await receiver.get("/received")).json() == [
        {"id": "notif_1", "topic": "post.created", **seen, "duplicates": 1, "repeats": [repeat]},
        {"id": "notif_2", "topic": "post.created", **seen, "duplicates": 0, "repeats": []},
    ]
    assert (await receiver.get("/refused")).json() == []


@pytest.mark.asyncio
async def test_what_cannot_be_verified_is_401_with_a_reason(receiver, path):
    path.write_text("whsec_a")
    assert (await deliver(receiver, "whsec_b")).status_code == 401
    wrong = await deliver(receiver, "whsec_b")
    assert "matches none" in wrong.json()["error"]
    old = await deliver(receiver, "whsec_a", at=NOW - 301)
    assert (old.status_code, "old" in old.json()["error"]) == (401, True)
    unsigned = await receiver.post("/", content=b"{}")
    assert unsigned.status_code == 401
    assert (await receiver.get("/received")).json() == []
    refused = (await receiver.get("/refused")).json()
    assert [(one["count"], len(one["times"])) for one in refused] == [(2, 2), (1, 1), (1, 1)]
    assert refused[0]["reason"] == wrong.json()["error"]
    assert refused[0]["times"][0] == 1_700_000_000_250
    assert "whsec" not in json.dumps(refused)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"id": 7}', b"\xff"])
async def test_verified_texts_that_are_no_events_are_400(receiver, path, body):
    path.write_text("whsec_a")
    assert (await deliver(receiver, "whsec_a", body=body)).status_code == 400
    assert (await receiver.get("/refused")).json()[0]["reason"] == "the body is not an event"


@pytest.mark.asyncio
async def test_without_a_readable_secret_everything_is_401(receiver, path, caplog):
    assert (await deliver(receiver, "whsec_a")).json() == {
        "error": "the secret file cannot be read (No such file or directory)"
    }
    await deliver(receiver, "whsec_a")
    assert len(caplog.records) == 1  # told once, not with every delivery
    path.write_text("\n")
    assert (await deliver(receiver, "whsec_a")).json() == {"error": "the secret file holds no secret"}
    path.write_bytes(b"\xff\xfe")
    assert (await deliver(receiver, "whsec_a")).json() == {"error": "the secret file is not UTF-8 text"}
    path.write_text("whsec_a")
    assert (await deliver(receiver, "whsec_a")).status_code == 200


@pytest.mark.asyncio
async def test_a_replaced_file_counts_at_the_next_delivery(receiver, path, tmp_path):
    path.write_text("whsec_a")
    assert (await deliver(receiver, "whsec_a")).status_code == 200
    seen = path.stat()
    replacement = tmp_path / "new"
    replacement.write_text("whsec_b")  # the same size
    os.utime(replacement, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    replacement.replace(path)
    assert (await deliver(receiver, "whsec_a", event_id="notif_2")).status_code == 401
    assert (await deliver(receiver, "whsec_b", event_id="notif_2")).status_code == 200
    fingerprints = [one["fingerprint"] for one in (await receiver.get("/received")).json()]
    assert fingerprints == [fingerprint_of("whsec_a"), fingerprint_of("whsec_b")]


@pytest.mark.asyncio
async def test_previous_secret_is_accepted_beside_the_current_one(path):
    path.write_text(json.dumps({"NEW": "whsec_b", "OLD": "whsec_a"}))
    app = create_receiver(path, key="NEW", previous_key="OLD")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://receiver") as client:
        for number, secret in enumerate(("whsec_a", "whsec_b", "whsec_c")):
            answer = await deliver(client, secret, event_id=f"notif_{number}", at=time.time())
            assert answer.status_code == (401 if secret == "whsec_c" else 200)
        fingerprints = [one["fingerprint"] for one in (await client.get("/received")).json()]
    assert fingerprints == [fingerprint_of("whsec_a"), fingerprint_of("whsec_b")]


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "content"), [(500, '{"now": 1}'), (200, "soon"), (200, "[]"), (200, "{}")])
async def test_without_the_time_nothing_is_verified(path, status, content):
    """A 401 would say that the signature is wrong, which nobody can know."""
    path.write_text("whsec_a")
    broken = FastAPI(openapi_url=None)
    broken.get("/clock")(lambda: Response(content, status, media_type="application/json"))
    with AppServer(broken) as server:
        app = create_receiver(path, clock_url=f"{server.url}/clock")
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            assert (await deliver(client, "whsec_a", at=time.time())).status_code == 503
            server.__exit__()
            assert (await deliver(client, "whsec_a", at=time.time())).status_code == 503
            (refused,) = (await client.get("/refused")).json()
            assert (refused["reason"], refused["count"]) == ("the clock cannot be read", 2)
            assert (await client.get("/received")).json() == []


@pytest.mark.parametrize(
    "text",
    [
        '{"KEY": "whsec_$a", "OTHER": 1}',
        "# comment\nOTHER=x\nKEY=whsec_$a\n",
        'export KEY="whsec_$a" # comment\n',
        "KEY='whsec_$a'",
    ],
)
def test_key_is_read_from_json_and_dotenv(path, text):
    """Without interpolation: a dollar sign in a secret is a dollar sign."""
    path.write_text(text)
    assert [secret.reveal() for secret in SecretFile(path, key="KEY").secrets()] == ["whsec_$a"]


@pytest.mark.parametrize("text", ['{"OTHER": "x"}', '{"KEY": 7}', '{"KEY": ""}', "KEY=", "KEY", "OTHER=x", "OLD=x"])
def test_file_without_the_current_secret_holds_none(path, text):
    """The previous secret alone is not enough to run on."""
    path.write_text(text)
    file = SecretFile(path, key="KEY", previous_key="OLD")
    assert file.secrets() == []
    assert file.problem == "the secret file holds no secret"


def test_broken_json_is_named(path):
    path.write_text('{"KEY": "whsec_a"')
    file = SecretFile(path, key="KEY")
    assert file.secrets() == []
    assert file.problem == "the secret file is not valid JSON"


def test_reload_seconds_let_the_receiver_lag(path):
    now = [0.0]
    file = SecretFile(path, reload_seconds=5, monotonic=lambda: now[0])
    path.write_text("whsec_a")
    assert [one.reveal() for one in file.secrets()] == ["whsec_a"]
    path.write_text("whsec_longer")
    now[0] = 4.9
    assert [one.reveal() for one in file.secrets()] == ["whsec_a"]
    now[0] = 5.0
    assert [one.reveal() for one in file.secrets()] == ["whsec_longer"]


def test_secret_can_be_read_only_at_the_start(path):
    path.write_text("whsec_a")
    file = SecretFile(path, reload_seconds=math.inf)
    path.write_text("whsec_longer")
    assert [one.reveal() for one in file.secrets()] == ["whsec_a"]
    path.unlink()
    assert [one.reveal() for one in file.secrets()] == ["whsec_a"]
    with pytest.raises(SandboxUnusable, match=r"cannot be read .* only at the start"):
        SecretFile(path, reload_seconds=math.inf)


def test_log_names_secrets_by_fingerprint_only(path, caplog):
    caplog.set_level("INFO")
    path.write_text("whsec_a")
    SecretFile(path).secrets()
    assert fingerprint_of("whsec_a") in caplog.text
    assert "whsec_a" not in caplog.text


@pytest.mark.parametrize("options", [{"previous_key": "OLD"}, {"reload_seconds": -1}, {"reload_seconds": float("nan")}])
def test_contradicting_options_are_refused(path, options):
    with pytest.raises(SandboxUnusable):
        SecretFile(path, **options)
