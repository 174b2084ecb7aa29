"""Prove that the receiver verifies signatures, with a harmless event signed as Featurebase would sign it."""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx

from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.errors import ProbeFailed
from featurebase_provider.rotation.exposure import Moment, boot_id
from featurebase_provider.rotation.health import SUCCESS_CODES

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook

TOPIC = "webhook.probe"
ID_PREFIX = "notif_probe_"

ProbeResult = Literal["accepted", "refused", "topic_refused", "unreachable", "verifies_nothing"]
Resolve = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said to one event.

    :param status: its HTTP status, or None where no answer came.
    :param error: why no answer came.
    """

    status: int | None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether Featurebase would count it as delivered (200, 201, 202 or 204)."""
        return self.status in SUCCESS_CODES

    def __str__(self) -> str:
        return f"it answered {self.status}" if self.status is not None else f"no answer ({self.error})"


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What a probe showed; holds no secret.

    :param result: ``accepted``, ``refused`` (the right signature too), ``topic_refused`` (right and wrong signature
        get different refusals), ``unreachable``, or ``verifies_nothing`` (a wrong key was accepted).
    :param detail: one sentence.
    :param fingerprint: of the secret that signed.
    :param accepted: how many events with the right signature were accepted.
    :param attempts: how many were sent.
    :param first_accepted: the moment of the first acceptance.
    """

    result: ProbeResult
    detail: str
    fingerprint: str
    accepted: int = 0
    attempts: int = 0
    first_accepted: Moment | None = None

    @property
    def passed(self) -> bool:
        """Whether the receiver accepted the right signature and refused the wrong one."""
        return self.result == "accepted"

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


class HostNotResolved(ProbeFailed):
    """The receiver's host name has no address now; a later try may find one."""


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """Resolve a host name to its IP addresses.

    :raises OSError: it has none.
    """
    return tuple(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def check_destination(webhook: Webhook, *, allow_hosts: Iterable[str] = (), resolve: Resolve = addresses_of) -> None:
    """Refuse to probe where a probe must not go: the url comes from the API and is not ours to trust.

    https only, but for loopback; never a link-local, metadata, multicast or unspecified address, unless the
    configuration allows that host.

    :raises HostNotResolved: the host has no address now.
    :raises ProbeFailed: the destination is refused.
    """
    try:
        parts = urlsplit(webhook.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urlsplit(""), 0
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host:
        raise ProbeFailed(webhook.id, "the receiver's url is no http(s) url; it was not probed", "unreachable")
    try:
        addresses = [ipaddress.ip_address(text.split("%")[0]) for text in resolve(host, port)]
    except (OSError, UnicodeError) as exc:  # UnicodeError: a name that IDNA can't encode
        raise HostNotResolved(
            webhook.id,
            f"the receiver's host {host!r} can't be resolved ({type(exc).__name__}); check the webhook's url and the "
            "worker's DNS",
            "unreachable",
        ) from None
    loopback = bool(addresses) and all(address.is_loopback for address in addresses)
    if parts.scheme == "http" and not loopback:
        raise ProbeFailed(
            webhook.id,
            f"the receiver {host!r} is not https; a probe would send its headers in the clear",
            "refused",
        )
    if host in {allowed.lower() for allowed in allow_hosts}:
        return
    for address in addresses:
        if _never_a_receiver(address):
            raise ProbeFailed(
                webhook.id,
                f"the receiver's host {host!r} resolves to {address}, a link-local, metadata, multicast or unspecified "
                "address; it was not probed. If that is right, list the host in probe.allow_hosts",
                "unreachable",
            )


def _never_a_receiver(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or str(address) in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")
    )


def probe_event(webhook: Webhook, *, now: float, body: Mapping[str, Any] | None = None) -> bytes:
    """A ``notification_event`` that no receiver takes for a real one, as JSON bytes.

    :param now: Unix seconds.
    :param body: fields that replace the event's own, ``topic`` for example.
    """
    event: dict[str, Any] = {
        "object": "notification_event",
        "id": f"{ID_PREFIX}{uuid.uuid4()}",
        "topic": TOPIC,
        "webhookId": webhook.id,
        "createdAt": datetime.fromtimestamp(now, tz=timezone.utc).isoformat(timespec="milliseconds"),
        "deliveryStatus": "pending",
        "data": {"object": "notification_event_data", "item": {"object": "probe"}, "changes": []},
    }
    event.update(body or {})
    return json.dumps(event, separators=(",", ":")).encode()


@dataclass
class Probe:
    """Sends signed events to one webhook's receiver, each on a connection of its own.

    :param webhook: whose receiver, headers and timeout are used.
    :param timeout: seconds to go on while the receiver refuses or can't be reached (it may still be reloading).
    :param interval: seconds between two events.
    :param successes: acceptances needed.
    :param reject_check: whether an event with a wrong key is sent, which must be refused.
    :param body: fields that replace the event's own.
    :param allow_hosts: hosts that may resolve to addresses refused otherwise.
    """

    webhook: Webhook
    timeout: float = 600.0
    interval: float = 2.0
    successes: int = 3
    reject_check: bool = True
    body: Mapping[str, Any] | None = None
    allow_hosts: tuple[str, ...] = ()
    transport: httpx.BaseTransport | None = None
    resolve: Resolve = addresses_of
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    say: Callable[[str], None] = field(default=lambda text: None)

    def run(self, secret: SigningSecret) -> ProbeOutcome:
        """Send events signed with ``secret`` until enough were accepted or the time is over.

        :raises ProbeFailed: the destination is refused; nothing was sent there.
        """
        deadline = self.monotonic() + self.timeout
        accepted = attempts = 0
        first: Moment | None = None
        answer = Answer(None, "nothing was sent")
        while accepted < self.successes:
            answer = self._send(secret)
            attempts += 1
            if answer.accepted:
                first = first or Moment(self.monotonic(), self.wall(), boot_id())
                accepted += 1
                continue
            if attempts == 1:
                self.say(f"the receiver does not accept the secret {secret.fingerprint} yet: {answer}")
            if self.monotonic() + self.interval >= deadline:
                return self._refusal(secret, answer, accepted, attempts)
            self.sleep(self.interval)
        result: ProbeResult = "accepted"
        detail = f"{accepted} of {attempts} events signed with {secret.fingerprint} were accepted"
        if self.reject_check:
            wrong = self._send(_wrong_key())
            if wrong.accepted:
                result = "verifies_nothing"
                detail = "the receiver accepts an event signed with a wrong key, so it verifies no signature"
            else:
                detail += f"; one signed with a wrong key was refused ({wrong})"
        return ProbeOutcome(result, detail, secret.fingerprint, accepted, attempts, first)

    def _refusal(self, secret: SigningSecret, answer: Answer, accepted: int, attempts: int) -> ProbeOutcome:
        sent = (
            f"{attempts} events signed with {secret.fingerprint} were sent in {self.timeout:.0f} s, {accepted} accepted"
        )
        if answer.status is None:
            return ProbeOutcome(
                "unreachable",
                f"the receiver can't be reached: {answer} ({sent})",
                secret.fingerprint,
                accepted,
                attempts,
            )
        if self.reject_check:
            wrong = self._send(_wrong_key())
            if wrong.status is not None and wrong.status != answer.status and not wrong.accepted:
                return ProbeOutcome(
                    "topic_refused",
                    f"the receiver verifies the signature, but refuses the event: {answer} where a wrong key gets "
                    f"{wrong.status} ({sent}). Have it accept topic {TOPIC!r}, or set probe.body to one that it takes",
                    secret.fingerprint,
                    accepted,
                    attempts,
                )
        return ProbeOutcome(
            "refused",
            f"the receiver refuses the signature: {answer} ({sent}). It has not loaded it, or verifies another way",
            secret.fingerprint,
            accepted,
            attempts,
        )

    def _send(self, secret: SigningSecret) -> Answer:
        try:
            check_destination(self.webhook, allow_hosts=self.allow_hosts, resolve=self.resolve)
        except HostNotResolved:
            return Answer(None, "its host name can't be resolved")
        now = self.wall()
        body = probe_event(self.webhook, now=now, body=self.body)
        seconds = self.webhook.request_config.timeout_ms / 1000
        try:
            # A client of its own for each event: a kept connection may lead to a process with the old secret.
            with (
                httpx.Client(timeout=seconds, follow_redirects=False, transport=self.transport) as client,
                client.stream(
                    "POST", self.webhook.url, content=body, headers=self._headers(secret, int(now), body)
                ) as response,
            ):
                return Answer(response.status_code)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as exc:
            return Answer(None, type(exc).__name__)

    def _headers(self, secret: SigningSecret, timestamp: int, body: bytes) -> httpx.Headers:
        # httpx.Headers replaces whatever the case: the webhook's own headers must not give a second signature.
        headers = httpx.Headers(
            {name: value.get_secret_value() for name, value in self.webhook.request_config.headers.items()}
        )
        headers["Content-Type"] = "application/json"
        headers[TIMESTAMP_HEADER] = str(timestamp)
        headers[SIGNATURE_HEADER] = sign(secret, timestamp, body)
        return headers


def _wrong_key() -> SigningSecret:
    return SigningSecret(f"whsec_{secrets.token_urlsafe(24)}")
