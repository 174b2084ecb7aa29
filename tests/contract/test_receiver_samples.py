"""The samples of docs/receivers.md, as the page shows them: processes that take a sandbox's real deliveries."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.probe import Probe
from tests.contract.receiver_samples import (
    CURRENT,
    FILES,
    GIVE_UP,
    PREVIOUS,
    Json,
    Process,
    World,
    command,
    event,
    eventually,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = "refused: signature or timestamp"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    serve = [sys.executable, "-m", "featurebase_provider.sandbox.cli", "serve", "--port", "0"]
    process = Process(serve, tmp_path_factory.mktemp("sandbox") / "log")
    yield process
    process.stop()


@pytest.fixture(scope="module", params=FILES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Path]]:
    """A running sample and the file that it reads its secrets from."""
    folder = tmp_path_factory.mktemp("sample")
    file = folder / "webhook.json"
    file.write_text(json.dumps({CURRENT: "whsec_first"}))
    process = Process(command(request.param, folder), folder / "log", SECRET_FILE=str(file), PORT="0")
    yield process, file
    process.stop()


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    # No connection is kept: a receiver may close one just when it is used.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(trust_env=False, timeout=GIVE_UP, limits=limits) as client:
        yield client


@pytest.fixture
def world(http: httpx.Client, sandbox: Process, sample: tuple[Process, Path]) -> World:
    return World(http, sandbox, *sample)


def test_right_signature_is_accepted_and_a_wrong_key_refused(world: World) -> None:
    """The item's text has escapes that a body has no longer after it was parsed and written again."""
    webhook = world.create()
    world.give(**{CURRENT: webhook["secret"]})
    assert world.emit() == [200]
    world.api("POST", f"/_sandbox/webhooks/{webhook['id']}", secret="whsec_another")
    assert world.emit() == [401]
    assert world.said(2) == ["accepted", REFUSED]


def test_whole_secret_is_the_key(world: World) -> None:
    world.give(**{CURRENT: "whsec_c2VjcmV0"})
    assert world.post("whsec_c2VjcmV0", event("notif_whole")) == 200
    for part in ("c2VjcmV0", "secret"):
        assert world.post(part, event("notif_part")) == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {TIMESTAMP_HEADER: "0"},
        {SIGNATURE_HEADER: "0" * 64},
        {TIMESTAMP_HEADER: "now", SIGNATURE_HEADER: "0" * 64},
        {TIMESTAMP_HEADER: "NOW", SIGNATURE_HEADER: "0" * 62},
        {TIMESTAMP_HEADER: "NOW", SIGNATURE_HEADER: "z" * 64},
        {TIMESTAMP_HEADER: "NOW", SIGNATURE_HEADER: "\u00e9" * 64},
        {TIMESTAMP_HEADER: "9" * 30, SIGNATURE_HEADER: "0" * 64},
    ],
)
def test_broken_headers_are_refused(world: World, headers: dict[str, str]) -> None:
    sent = {name: value.replace("NOW", str(int(time.time()))).encode("latin-1") for name, value in headers.items()}
    assert world.send(b"{}", sent) == 401
    assert world.said(1) == [REFUSED]


def test_timestamp_more_than_five_minutes_off_is_refused(world: World) -> None:
    """A recorded delivery that is sent again, and one from a Featurebase whose clock is an hour ahead."""
    webhook = world.create()
    world.give(**{CURRENT: webhook["secret"]})
    assert world.post(webhook["secret"], event("notif_young"), age=290) == 200
    assert world.post(webhook["secret"], event("notif_old"), age=310) == 401
    world.api("POST", "/_sandbox/clock", advance=3600)
    assert world.emit() == [401]
    assert world.said(3) == ["accepted", REFUSED, REFUSED]


def test_both_secrets_are_accepted(world: World) -> None:
    current, previous, neither = (world.create() for _ in range(3))
    world.give(**{CURRENT: current["secret"], PREVIOUS: previous["secret"]})
    assert world.emit() == [200, 200, 401]
    attempts = world.api("GET", "/_sandbox/deliveries")
    assert [one["webhookId"] for one in attempts if one["statusCode"] == 401] == [neither["id"]]
    world.give(**{CURRENT: neither["secret"], PREVIOUS: ""})
    assert world.emit() == [200, 401, 401], "an empty previous secret is none"
    assert world.post("", event("notif_empty")) == 401


def test_changed_secret_file_counts_without_a_restart(world: World) -> None:
    """What was refused in between is accepted when Featurebase tries again."""
    webhook = world.create()
    world.give(**{CURRENT: webhook["secret"]})
    assert world.emit() == [200]
    new = world.api("POST", f"/v2/webhooks/{webhook['id']}/secret")["secret"]
    assert world.emit() == [401]
    world.give(**{CURRENT: new, PREVIOUS: webhook["secret"]})
    world.api("POST", "/_sandbox/clock", speed=1000)
    eventually(lambda: all(one["delivered"] for one in world.api("GET", "/_sandbox/events")))
    assert world.said(3) == ["accepted", "accepted", REFUSED]


def test_file_of_the_same_size_and_time_counts_too(world: World) -> None:
    webhook = world.create()
    world.give(**{CURRENT: "whsec_" + "0" * (len(webhook["secret"]) - 6)})
    assert world.emit() == [401]
    seen = world.file.stat()
    new = world.file.with_suffix(".new")
    new.write_text(json.dumps({CURRENT: webhook["secret"]}))
    os.utime(new, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    new.replace(world.file)
    assert world.file.stat().st_size == seen.st_size
    assert world.emit() == [200]


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", f'{{"{CURRENT}": ""}}', f'{{"{CURRENT}": 7}}', "null"])
def test_unusable_secret_file_changes_nothing(world: World, text: str | None) -> None:
    webhook = world.create()
    world.give(**{CURRENT: webhook["secret"]})
    assert world.emit() == [200]
    if text is None:
        world.file.unlink()
    else:
        world.file.write_text(text)
    assert world.emit() == [200]
    assert world.post("", event("notif_empty")) == 401


def test_events_of_a_pair_count_once_under_one_id(world: World) -> None:
    world.api("POST", "/_sandbox/behaviour", event_ids="shared")
    one, other = world.create(), world.create()
    world.give(**{CURRENT: one["secret"], PREVIOUS: other["secret"]})
    assert world.emit() + world.emit() == [200] * 4
    assert world.said(4) == ["accepted", "accepted", "duplicate by id", "duplicate by id"]


def test_events_of_a_pair_count_once_under_two_ids(world: World) -> None:
    """Two events that look alike and happen at the same time, of two webhooks with one url: two, and two duplicates."""
    one, other = world.create(), world.create()
    world.give(**{CURRENT: one["secret"], PREVIOUS: other["secret"]})
    assert world.emit(count=2) == [200] * 4
    assert world.said(4) == ["accepted", "accepted", "duplicate by content", "duplicate by content"]


@pytest.mark.parametrize("heading", FILES)
def test_event_that_could_not_be_handled_comes_again(
    http: httpx.Client, sandbox: Process, tmp_path: Path, heading: str
) -> None:
    """Nothing of it is remembered: neither its id nor its content."""
    file = tmp_path / "webhook.json"
    receiver = Process(command(heading, tmp_path, fails_once=True), tmp_path / "log", SECRET_FILE=str(file), PORT="0")
    try:
        world = World(http, sandbox, receiver, file)
        world.give(**{CURRENT: world.create()["secret"]})
        assert world.emit() == [500]
        world.api("POST", "/_sandbox/clock", speed=1000)
        eventually(lambda: world.api("GET", "/_sandbox/events")[0]["delivered"])
        assert [line for line in world.printed() if "fail" not in line] == ["accepted"]
    finally:
        receiver.stop()


def test_repeated_delivery_counts_once(world: World) -> None:
    world.give(**{CURRENT: "whsec_a"})
    body = event("notif_repeated", createdAt="2026-01-15T10:30:00.000Z")
    assert [world.post("whsec_a", body) for _ in range(3)] == [200] * 3
    assert world.said(3) == ["accepted", "duplicate by id", "duplicate by id"]


def test_content_is_compared_between_webhooks_by_what_happened(world: World) -> None:
    world.give(**{CURRENT: "whsec_a"})
    numbers = iter(range(100))

    def told(webhook: str, **fields: Any) -> str:
        number = next(numbers)
        content: Json = {
            "organizationId": "o",
            "createdAt": "2026-02-01T00:00:00.000Z",
            "data": {"item": {"id": "p1", "votes": 12345678901234567890}, "object": "x"},
            **fields,
        }
        body = event(f"notif_content_{number}", webhookId=webhook, deliveryStatus=str(number), **content)
        assert world.post("whsec_a", body) == 200
        eventually(lambda: len(world.printed()) > number)
        return world.printed()[number]

    assert told("w1") == "accepted"
    assert told("w2") == "duplicate by content"
    swapped = {"object": "x", "item": {"votes": 12345678901234567890, "id": "p1"}}
    assert told("w3", data=swapped) == "duplicate by content", "the order of names means nothing"
    assert told("w1") == "accepted", "one webhook tells of two things under two ids"
    assert told("w3") == "duplicate by content"
    assert told("w3") == "accepted"
    for name, other in (("createdAt", "2026-02-01T00:00:00.001Z"), ("organizationId", "p"), ("topic", "post.updated")):
        assert told("w4", **{name: other}) == "accepted"
    assert told("w4", data={"item": {"id": "p2"}, "object": "x"}) == "accepted"
    for name in ("createdAt", "organizationId", "data"):
        assert [told(webhook, **{name: None}) for webhook in ("w5", "w6")] == ["accepted", "accepted"]


def test_sample_passes_a_rotations_probe(world: World) -> None:
    """Which also proves that a wrong key is refused; probes are neither events nor duplicates."""
    webhook = world.create()
    world.give(**{CURRENT: webhook["secret"]})
    outcome = Probe(Webhook.model_validate(webhook), timeout=10, interval=0.1, steady=0.2).run(
        SigningSecret(webhook["secret"])
    )
    assert outcome.passed, outcome.detail
    assert set(world.said(outcome.attempts + 1)) == {"probe", REFUSED}


def test_what_is_no_delivery_is_refused(http: httpx.Client, world: World) -> None:
    assert http.get(world.receiver_url).status_code == 400
    assert world.send(b" " * (1024 * 1024 + 1), {}) == 400


def test_sample_prints_no_secret(world: World) -> None:
    """Not of a broken file either, which a parser's error could quote."""
    webhook = world.create()
    world.give(**{CURRENT: webhook["secret"]})
    world.emit()
    world.file.write_text(f'{{"{CURRENT}": "{webhook["secret"]}", {webhook["secret"]}')
    world.emit()
    printed = "\n".join(world.said(2)) + world.receiver_log.read_text()
    assert "can't be used" in printed
    assert webhook["secret"].removeprefix("whsec_") not in printed
