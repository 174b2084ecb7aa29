from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import httpx
import pytest

from featurebase_provider.featurebase.errors import SignatureRejected
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, verify
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import ProbeFailed
from featurebase_provider.rotation.exposure import Moment
from featurebase_provider.rotation.probe import (
    ID_PREFIX,
    TOPIC,
    Answer,
    HostNotResolved,
    Probe,
    addresses_of,
    check_destination,
    probe_event,
)
from tests.unit.rotation.fakes import WEBHOOK_ID, Clock, a_webhook, fingerprint, secret

PUBLIC = "203.0.113.7"


class Receiver:
    """Verifies deliveries as Featurebase's guide says, and keeps every request."""

    def __init__(self, clock: Clock, *held: SigningSecret) -> None:
        self.clock = clock
        self.held = list(held)
        self.accepts, self.refuses = 204, 401
        self.requests: list[httpx.Request] = []
        self.before_each: Callable[[int], None] = lambda count: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.before_each(len(self.requests))
        try:
            verify(
                request.read(),
                timestamp=request.headers.get(TIMESTAMP_HEADER),
                signature=request.headers.get(SIGNATURE_HEADER),
                secrets=self.held,
                now=self.clock.wall(),
            )
        except SignatureRejected:
            return httpx.Response(self.refuses)
        return httpx.Response(self.accepts, headers={"Location": "https://elsewhere.example/"})


@pytest.fixture
def receiver(clock: Clock) -> Receiver:
    return Receiver(clock, secret("1"))


def a_probe(receiver: Receiver, webhook: Webhook | None = None, **facts: Any) -> Probe:
    clock = receiver.clock
    return Probe(
        webhook or a_webhook("whsec_1"),
        **{
            "transport": httpx.MockTransport(receiver),
            "resolve": lambda host, port: [PUBLIC],
            "sleep": clock.sleep,
            "monotonic": clock.monotonic,
            "wall": clock.wall,
            **facts,
        },
    )


def test_a_receiver_that_verifies_passes(receiver: Receiver, clock: Clock) -> None:
    """Three right ones accepted, then a wrong one refused."""
    outcome = a_probe(receiver).run(secret("1"))
    assert outcome.passed
    assert (outcome.result, outcome.accepted, outcome.attempts) == ("accepted", 3, 3)
    assert outcome.fingerprint == fingerprint("1")
    assert outcome.first_accepted is not None
    assert (outcome.first_accepted.monotonic, outcome.first_accepted.wall) == (clock.now, clock.wall())
    assert "wrong key was refused (it answered 401)" in outcome.detail
    assert len(receiver.requests) == 4


def test_the_wrong_key_event_can_be_left_out(receiver: Receiver) -> None:
    """It may raise an alarm at the receiver."""
    outcome = a_probe(receiver, reject_check=False, successes=1).run(secret("1"))
    assert (outcome.result, len(receiver.requests)) == ("accepted", 1)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_featurebase_counts_as_delivered_is_accepted(receiver: Receiver, status: int) -> None:
    receiver.accepts = status
    assert a_probe(receiver).run(secret("1")).passed


@pytest.mark.parametrize("status", [203, 206, 302, 307])
def test_no_other_status_is_and_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    receiver.accepts = status
    outcome = a_probe(receiver, timeout=4, reject_check=False).run(secret("1"))
    assert (outcome.result, outcome.accepted) == ("refused", 0)
    assert {request.url.host for request in receiver.requests} == {"receiver.example"}


def test_it_goes_on_while_the_receiver_reloads(receiver: Receiver, clock: Clock) -> None:
    """Exposure ends at the first acceptance."""
    receiver.held = [secret("0")]
    receiver.before_each = lambda count: receiver.held.append(secret("1")) if count == 4 else None
    said: list[str] = []
    outcome = a_probe(receiver, say=said.append).run(secret("1"))
    assert (outcome.result, outcome.accepted, outcome.attempts) == ("accepted", 3, 6)
    assert outcome.first_accepted is not None
    assert outcome.first_accepted.monotonic == pytest.approx(1006.0)
    assert said == [f"the receiver does not accept the secret {fingerprint('1')} yet: it answered 401"]


def test_replicas_that_reload_one_after_the_other_need_enough_acceptances(receiver: Receiver) -> None:
    receiver.before_each = lambda count: receiver.held.__setitem__(0, secret("1" if count % 2 else "0"))
    outcome = a_probe(receiver).run(secret("1"))
    assert (outcome.accepted, outcome.attempts) == (3, 5)


def test_a_receiver_that_never_accepts_is_refusing(receiver: Receiver, clock: Clock) -> None:
    receiver.held = [secret("0")]
    outcome = a_probe(receiver, timeout=60).run(secret("1"))
    assert (outcome.result, outcome.passed, outcome.accepted, outcome.attempts) == ("refused", False, 0, 30)
    assert "It has not loaded" in outcome.detail
    assert clock.now < 1060
    assert outcome.first_accepted is None


def test_refusing_without_the_wrong_key_event(receiver: Receiver) -> None:
    receiver.held = []
    outcome = a_probe(receiver, timeout=2, reject_check=False).run(secret("1"))
    assert (outcome.result, outcome.attempts, len(receiver.requests)) == ("refused", 1, 1)


def test_a_receiver_that_refuses_the_topic_is_told_from_one_that_refuses_the_signature(receiver: Receiver) -> None:
    """Right and wrong signature get different answers, so it does verify."""
    receiver.accepts = 422
    outcome = a_probe(receiver, timeout=4).run(secret("1"))
    assert outcome.result == "topic_refused"
    assert "it answered 422 where a wrong key gets 401" in outcome.detail
    assert "probe.body" in outcome.detail


def test_a_receiver_that_accepts_only_wrong_keys_refuses_the_signature(receiver: Receiver) -> None:
    receiver.accepts, receiver.refuses = 401, 200
    assert a_probe(receiver, timeout=4).run(secret("1")).result == "refused"


def test_a_receiver_that_accepts_everything_verifies_nothing(receiver: Receiver) -> None:
    receiver.refuses = 200
    outcome = a_probe(receiver).run(secret("1"))
    assert (outcome.result, outcome.passed, outcome.accepted) == ("verifies_nothing", False, 3)


def failing_with(error: Exception) -> Callable[[int], None]:
    def step(count: int) -> None:
        raise error

    return step


@pytest.mark.parametrize("error", [httpx.ConnectError("whsec_leak"), httpx.ReadTimeout("slow"), OSError("whsec_leak")])
def test_a_receiver_that_does_not_answer_is_unreachable(receiver: Receiver, error: Exception) -> None:
    receiver.before_each = failing_with(error)
    outcome = a_probe(receiver, timeout=10).run(secret("1"))
    assert (outcome.result, outcome.attempts) == ("unreachable", 5)
    assert f"no answer ({type(error).__name__})" in outcome.detail
    assert "whsec_leak" not in repr(outcome)


def test_a_host_that_resolves_later_is_waited_for(receiver: Receiver) -> None:
    """A hiccup of the DNS must not end a probe whose time is not over."""
    answers = iter([OSError("no such host"), OSError("no such host")])

    def resolve(host: str, port: int) -> list[str]:
        for error in answers:
            raise error
        return [PUBLIC]

    outcome = a_probe(receiver, resolve=resolve).run(secret("1"))
    assert (outcome.result, outcome.attempts) == ("accepted", 5)


def test_a_host_that_never_resolves_is_unreachable(receiver: Receiver) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    outcome = a_probe(receiver, resolve=resolve, timeout=10).run(secret("1"))
    assert (outcome.result, receiver.requests) == ("unreachable", [])
    assert "host name can't be resolved" in outcome.detail


def test_the_destination_is_checked_before_each_event(receiver: Receiver) -> None:
    """What a name resolves to can change between two events."""
    addresses = iter([[PUBLIC], ["169.254.169.254"]])
    with pytest.raises(ProbeFailed, match="169.254.169.254"):
        a_probe(receiver, resolve=lambda host, port: next(addresses)).run(secret("1"))
    assert len(receiver.requests) == 1


def test_the_event_is_sent_as_featurebase_would(receiver: Receiver) -> None:
    webhook = a_webhook(
        "whsec_1",
        url="https://receiver.example/hook?tenant=1",
        request_config={"headers": {"X-Auth": "token", "content-type": "text/x", "x-webhook-signature": "old"}},
    )
    assert a_probe(receiver, webhook).run(secret("1")).passed
    request = receiver.requests[0]
    assert (request.method, str(request.url)) == ("POST", webhook.url)
    assert request.headers["X-Auth"] == "token"
    assert request.headers.get_list("Content-Type") == ["application/json"]
    assert len(request.headers.get_list(SIGNATURE_HEADER)) == 1
    ids = {json.loads(request.read())["id"] for request in receiver.requests}
    assert len(ids) == 4


def test_a_header_that_cannot_be_sent_is_no_answer_and_not_shown(receiver: Receiver) -> None:
    webhook = a_webhook("whsec_1", request_config={"headers": {"X-Auth": "tök€n"}})
    outcome = a_probe(receiver, webhook, timeout=2).run(secret("1"))
    assert outcome.result == "unreachable"
    assert "UnicodeEncodeError" in outcome.detail
    assert "tök" not in repr(outcome)


def test_the_webhooks_own_timeout_is_used(receiver: Receiver) -> None:
    webhook = a_webhook("whsec_1", request_config={"timeoutMs": 1500})
    a_probe(receiver, webhook).run(secret("1"))
    assert set(receiver.requests[0].extensions["timeout"].values()) == {1.5}


def test_the_events_body() -> None:
    event = json.loads(probe_event(a_webhook(), now=1768473000.5))
    assert event.pop("id").startswith(ID_PREFIX)
    assert event == {
        "object": "notification_event",
        "topic": TOPIC,
        "webhookId": WEBHOOK_ID,
        "createdAt": "2026-01-15T10:30:00.500+00:00",
        "deliveryStatus": "pending",
        "data": {"object": "notification_event_data", "item": {"object": "probe"}, "changes": []},
    }


def test_the_events_fields_can_be_replaced(receiver: Receiver) -> None:
    a_probe(receiver, body={"topic": "post.updated"}).run(secret("1"))
    assert json.loads(receiver.requests[0].read())["topic"] == "post.updated"


def test_an_outcome_is_json(receiver: Receiver) -> None:
    outcome = a_probe(receiver).run(secret("1"))
    raw = json.loads(json.dumps(outcome.as_json()))
    assert raw["result"] == "accepted"
    assert Moment.from_json(raw["first_accepted"]) == outcome.first_accepted
    assert raw == json.loads(json.dumps(asdict(outcome)))


def test_an_answer_in_words() -> None:
    assert str(Answer(401)) == "it answered 401"
    assert str(Answer(None, "ReadTimeout")) == "no answer (ReadTimeout)"
    assert not Answer(None).accepted


def check(url: str, *addresses: str, allow: tuple[str, ...] = ()) -> None:
    check_destination(a_webhook(url=url), allow_hosts=allow, resolve=lambda host, port: addresses)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://receiver.example/hook", PUBLIC),
        ("https://receiver.internal/hook", "10.0.0.5"),
        ("https://receiver.example/hook", "2001:db8::1"),
        ("http://localhost:8788/hook", "127.0.0.1"),
        ("http://[::1]:8788/hook", "::1"),
    ],
)
def test_destinations_that_may_be_probed(url: str, address: str) -> None:
    check(url, address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "224.0.0.1",
        "0.0.0.0",
        "::",
    ],
)
def test_addresses_that_are_never_a_receiver(address: str) -> None:
    """The url comes from the API: it must not lead a worker to its cloud's metadata service."""
    with pytest.raises(ProbeFailed, match=r"it was not probed.*probe\.allow_hosts"):
        check("https://receiver.example/", PUBLIC, address)
    check("https://receiver.example/", PUBLIC, address, allow=("Receiver.Example",))


@pytest.mark.parametrize("addresses", [(PUBLIC,), ("127.0.0.1", PUBLIC), ()])
def test_plain_http_is_for_loopback_only(addresses: tuple[str, ...]) -> None:
    """Allowing the host does not change that: the webhook's headers would be sent in the clear."""
    with pytest.raises(ProbeFailed, match="not https") as caught:
        check("http://receiver.example/", *addresses, allow=("receiver.example",))
    assert caught.value.kind == "refused"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://receiver.example/",
        "receiver.example",
        "https:///hook",
        "",
        "https://[::1",
        "https://receiver.example:99999/",
    ],
)
def test_no_url_of_a_receiver(url: str) -> None:
    with pytest.raises(ProbeFailed, match=r"no http\(s\) url; it was not probed") as caught:
        check(url, PUBLIC)
    assert caught.value.kind == "unreachable"
    assert not isinstance(caught.value, HostNotResolved)


@pytest.mark.parametrize("error", [OSError("no such host"), UnicodeError("label too long")])
def test_a_host_without_an_address(error: Exception) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(HostNotResolved, match=f"'receiver.example' can't be resolved .{type(error).__name__}"):
        check_destination(a_webhook(), resolve=resolve)


def test_the_port_is_the_schemes_or_the_urls() -> None:
    seen: list[int] = []

    def resolve(host: str, port: int) -> list[str]:
        seen.append(port)
        return ["127.0.0.1"]

    for url in ("https://a.example/", "http://a.example/", "http://a.example:8788/"):
        check_destination(a_webhook(url=url), resolve=resolve)
    assert seen == [443, 80, 8788]


def test_loopback_resolves() -> None:
    assert "127.0.0.1" in addresses_of("127.0.0.1", 80)
