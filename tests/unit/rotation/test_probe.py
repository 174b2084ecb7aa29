from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import httpx
import pytest

from featurebase_provider import __version__
from featurebase_provider.config.probe import ProbeConfig
from featurebase_provider.featurebase.errors import SignatureRejected
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, verify
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.clock import Moment
from featurebase_provider.rotation.errors import ProbeFailed
from featurebase_provider.rotation.probe import ID_PREFIX, MOST_ADDRESSES, TOPIC, Answer, Probe, probe_event
from tests.world.fakes import WEBHOOK_ID, Clock, a_webhook, fingerprint, secret

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
    """A probe of few events; see test_probe_steady for those that take their time."""
    clock = receiver.clock
    return Probe(
        webhook or a_webhook("whsec_1"),
        **{
            "steady": 0.0,
            "transport": httpx.MockTransport(receiver),
            "resolve": lambda host, port: [PUBLIC],
            "clock": clock,
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
    assert {request.headers["Host"] for request in receiver.requests} == {"receiver.example"}


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


def test_acceptances_between_refusals_are_not_enough(receiver: Receiver) -> None:
    """One of two replicas has the old secret: 3 acceptances in all are no 3 in a row."""
    receiver.before_each = lambda count: receiver.held.__setitem__(0, secret("1" if count % 2 else "0"))
    outcome = a_probe(receiver, timeout=60).run(secret("1"))
    assert (outcome.result, outcome.accepted, outcome.attempts) == ("refused", 30, 60)
    assert "the receiver 'receiver.example' accepts some events and not others: in the end it answered 401" in (
        outcome.detail
    )
    assert "Some of its replicas" in outcome.detail
    assert outcome.first_accepted is None


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
    assert "it answered 422, while a wrong key gets 401" in outcome.detail
    assert "probe.body" in outcome.detail


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_a_receiver_that_cannot_serve_now_says_nothing_of_the_topic(receiver: Receiver, status: int) -> None:
    receiver.accepts = status
    assert a_probe(receiver, timeout=4).run(secret("1")).result == "unreachable"


def test_a_receiver_that_fails_at_the_topic_alone_refuses_it(receiver: Receiver) -> None:
    receiver.accepts = 500
    assert a_probe(receiver, timeout=4).run(secret("1")).result == "topic_refused"


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


def test_a_host_that_is_allowed_may_have_any_address(receiver: Receiver) -> None:
    """The rotation file's own word for a receiver of which somebody knows why it is there."""
    probe = a_probe(receiver, resolve=lambda host, port: ["169.254.1.1"], allow_hosts=("receiver.example",))
    assert probe.run(secret("1")).passed


def test_the_event_is_sent_as_featurebase_would(receiver: Receiver) -> None:
    webhook = a_webhook(
        "whsec_1",
        url="https://receiver.example:8443/hook?tenant=1",
        request_config={"headers": {"X-Auth": "token", "content-type": "text/x", "x-webhook-signature": "old"}},
    )
    assert a_probe(receiver, webhook).run(secret("1")).passed
    request = receiver.requests[0]
    assert (request.method, request.url.raw_path) == ("POST", b"/hook?tenant=1")
    assert request.headers["X-Auth"] == "token"
    assert request.headers.get_list("Content-Type") == ["application/json"]
    assert len(request.headers.get_list(SIGNATURE_HEADER)) == 1
    ids = {json.loads(request.read())["id"] for request in receiver.requests}
    assert len(ids) == 4
    assert request.headers["Accept"] == "*/*"
    assert request.headers["User-Agent"] == f"airflow-provider-featurebase/{__version__}"
    assert request.headers[TIMESTAMP_HEADER] == str(int(receiver.clock.wall()))


def test_it_goes_to_the_address_that_was_checked_under_the_urls_name(receiver: Receiver) -> None:
    """A second look-up could give another address."""
    a_probe(receiver, a_webhook("whsec_1", url="https://receiver.example:8443/hook")).run(secret("1"))
    request = receiver.requests[0]
    assert (request.url.host, request.url.port) == (PUBLIC, 8443)
    assert request.headers.get_list("Host") == ["receiver.example:8443"]
    assert request.extensions["sni_hostname"] == "receiver.example"


def test_the_next_address_is_tried_where_one_takes_no_connection(receiver: Receiver) -> None:
    tried: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tried.append(request.url.host)
        if request.url.host == "2001:db8::1":
            raise httpx.ConnectError("no route")
        return receiver(request)

    def resolve(host: str, port: int) -> list[str]:
        return ["2001:db8::1", PUBLIC]

    outcome = a_probe(
        receiver, transport=httpx.MockTransport(answer), resolve=resolve, successes=1, reject_check=False
    ).run(secret("1"))
    assert outcome.passed
    assert tried == ["2001:db8::1", PUBLIC]


def test_an_event_that_was_answered_is_sent_to_no_other_address(receiver: Receiver) -> None:
    a_probe(receiver, resolve=lambda host, port: [PUBLIC, "203.0.113.8"], successes=1, reject_check=False).run(
        secret("1")
    )
    assert [request.url.host for request in receiver.requests] == [PUBLIC]


@pytest.mark.parametrize("error", [httpx.ReadError("x"), httpx.InvalidURL("x"), ValueError("x"), OSError("x")])
def test_whatever_breaks_an_event_off_is_named_without_its_words(receiver: Receiver, error: Exception) -> None:
    def break_off(request: httpx.Request) -> httpx.Response:
        raise error

    outcome = a_probe(receiver, transport=httpx.MockTransport(break_off), timeout=0.0).run(secret("1"))
    assert outcome.result == "unreachable"
    assert f"no answer ({type(error).__name__})" in outcome.detail


@pytest.mark.parametrize("error", [OSError("the file's text"), ValueError("the file's text")])
def test_settings_that_make_no_tls_client_are_named_without_their_words(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(httpx, "create_ssl_context", refuse)
    with pytest.raises(
        ProbeFailed, match=rf"no TLS client can be built with them \({type(error).__name__}\)"
    ) as caught:
        a_probe(receiver, transport=None).run(secret("1"))
    assert "the file's text" not in str(caught.value)


def test_an_event_that_may_have_arrived_is_not_sent_to_the_next_address(receiver: Receiver) -> None:
    tried: list[str] = []

    def break_off(request: httpx.Request) -> httpx.Response:
        tried.append(request.url.host)
        raise httpx.ReadTimeout("silent")

    outcome = a_probe(
        receiver,
        transport=httpx.MockTransport(break_off),
        resolve=lambda host, port: [PUBLIC, "203.0.113.8"],
        timeout=1,
    ).run(secret("1"))
    assert (outcome.result, tried) == ("unreachable", [PUBLIC])


def test_the_addresses_of_a_host_share_the_events_time(receiver: Receiver, clock: Clock) -> None:
    """A name with hundreds of addresses that answer nothing holds a probe no longer than one has."""
    tried: list[str] = []

    def time_out(request: httpx.Request) -> httpx.Response:
        tried.append(request.url.host)
        clock.sleep(2.0)
        raise httpx.ConnectTimeout("silent")

    def many(host: str, port: int) -> list[str]:
        return [f"203.0.113.{number}" for number in range(1, 200)]

    webhook = a_webhook("whsec_1", request_config={"timeoutMs": 6000})
    options: dict[str, Any] = {"transport": httpx.MockTransport(time_out), "resolve": many, "timeout": 1}
    assert a_probe(receiver, webhook, **options).run(secret("1")).result == "unreachable"
    assert len(tried) == 3

    def refuse(request: httpx.Request) -> httpx.Response:
        tried.append(request.url.host)
        raise httpx.ConnectError("refused")

    tried.clear()
    a_probe(receiver, webhook, **{**options, "transport": httpx.MockTransport(refuse)}).run(secret("1"))
    assert len(tried) == MOST_ADDRESSES


@pytest.mark.parametrize(
    "name",
    [
        "Host", "content-LENGTH", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Proxy-Authorization", "Expect",
        "Content-Encoding", "HTTP2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Trailer",
    ],
)  # fmt: skip
def test_headers_of_one_connection_are_not_taken_over(receiver: Receiver, name: str) -> None:
    """They would name another host, or another length, than the request has."""
    webhook = a_webhook("whsec_1", request_config={"headers": {name: "1", "X-Auth": "token"}})
    assert a_probe(receiver, webhook).run(secret("1")).passed
    request = receiver.requests[0]
    assert request.headers.get(name) != "1"
    assert request.headers["X-Auth"] == "token"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Auth", "tök€n"),
        ("X-Auth", "a\r\nHost: evil.example"),
        ("X-Auth", "a\0b"),
        ("X\r\nInjected", "a"),
        ("X Auth", "a"),
        ("", "a"),
    ],
)
def test_a_header_that_cannot_be_sent_ends_the_probe_unsent_and_is_not_shown(
    receiver: Receiver, name: str, value: str
) -> None:
    webhook = a_webhook("whsec_1", request_config={"headers": {name: value}})
    with pytest.raises(ProbeFailed, match="header '.*' of its requestConfig") as caught:
        a_probe(receiver, webhook).run(secret("1"))
    assert receiver.requests == []
    assert str(caught.value).isprintable()
    assert "tök" not in repr(caught.value)
    assert (caught.value.webhook_id, caught.value.kind) == (WEBHOOK_ID, "unreachable")


def test_an_endless_name_of_a_header_is_cut(receiver: Receiver) -> None:
    webhook = a_webhook("whsec_1", request_config={"headers": {"§" * 500: "a"}})
    with pytest.raises(ProbeFailed) as caught:
        a_probe(receiver, webhook).run(secret("1"))
    assert str(caught.value).count("§") == 60


def test_blanks_around_a_headers_value_are_not_sent(receiver: Receiver) -> None:
    """HTTP clients that send deliveries take them off, or refuse them."""
    webhook = a_webhook("whsec_1", request_config={"headers": {"X-Auth": " \ttoken "}})
    a_probe(receiver, webhook).run(secret("1"))
    assert receiver.requests[0].headers["X-Auth"] == "token"


def test_a_login_in_the_url_is_sent_as_one_and_the_webhooks_own_header_wins(receiver: Receiver) -> None:
    webhook = a_webhook("whsec_1", url="https://user:p%40ss@receiver.example/")
    a_probe(receiver, webhook).run(secret("1"))
    assert receiver.requests[0].headers["Authorization"] == httpx.BasicAuth("user", "p@ss")._auth_header
    own = a_webhook("whsec_1", url=webhook.url, request_config={"headers": {"authorization": "Bearer x"}})
    a_probe(receiver, own).run(secret("1"))
    assert receiver.requests[-1].headers.get_list("Authorization") == ["Bearer x"]


def test_a_certificate_that_cannot_be_verified_is_named(receiver: Receiver) -> None:
    def handshake(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[SSL]") from ssl.SSLCertVerificationError(1, "self-signed certificate")

    outcome = a_probe(receiver, transport=httpx.MockTransport(handshake), timeout=1).run(secret("1"))
    assert outcome.result == "unreachable"
    assert "no answer (its TLS certificate could not be verified; for authorities of your own" in outcome.detail
    assert "SSL_CERT_FILE" in outcome.detail


def test_unusable_certificates_of_the_environment_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    probe = Probe(a_webhook("whsec_1"), resolve=lambda host, port: [PUBLIC])
    with pytest.raises(ProbeFailed, match="SSL_CERT_FILE.*was not probed") as caught:
        probe.run(secret("1"))
    assert caught.value.__context__ is None
    assert (caught.value.webhook_id, caught.value.kind) == (WEBHOOK_ID, "unreachable")


def test_the_webhooks_own_timeout_is_used(receiver: Receiver) -> None:
    webhook = a_webhook("whsec_1", request_config={"timeoutMs": 1500})
    a_probe(receiver, webhook).run(secret("1"))
    assert set(receiver.requests[0].extensions["timeout"].values()) == {1.5}


class Unread(httpx.SyncByteStream):
    """An answer's body that may be endless."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("read")

    def close(self) -> None:
        self.closed = True


def test_the_answers_body_is_not_read_and_let_go_of(receiver: Receiver) -> None:
    body = Unread()
    transport = httpx.MockTransport(lambda request: httpx.Response(204, stream=body))
    assert a_probe(receiver, transport=transport, successes=1, reject_check=False).run(secret("1")).passed
    assert body.closed


def test_the_events_body() -> None:
    """What marks it as a probe is documented, so that receivers can tell it apart."""
    assert (ID_PREFIX, TOPIC) == ("notif_probe_", "webhook.probe")
    text = probe_event(a_webhook(), now=1768473000.5)
    assert b" " not in text
    event = json.loads(text)
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
    silence = Answer(None)
    assert (silence.accepted, silence.taken, silence.refused, silence.may_pass) == (False, False, False, True)


def test_the_defaults_of_file_and_probe_agree() -> None:
    assert Probe(a_webhook(), **ProbeConfig().options) == Probe(a_webhook())
