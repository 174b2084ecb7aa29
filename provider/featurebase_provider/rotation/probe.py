"""Prove that the receiver verifies signatures, with a harmless event signed as Featurebase would sign it."""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import time
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import httpx

from featurebase_provider import __version__
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.destination import (
    Destination,
    HostNotResolved,
    Resolve,
    addresses_of,
    check_destination,
)
from featurebase_provider.rotation.errors import ProbeFailed
from featurebase_provider.rotation.exposure import Moment, boot_id
from featurebase_provider.rotation.health import SUCCESS_CODES, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from featurebase_provider.featurebase.models import Webhook

TOPIC = "webhook.probe"
ID_PREFIX = "notif_probe_"

ProbeResult = Literal["accepted", "refused", "topic_refused", "unreachable", "verifies_nothing"]

MOST_ADDRESSES = 8
"""Addresses of one host that are tried for one event."""

_CONNECTIONS_OWN = frozenset(
    {
        "connection", "content-encoding", "content-length", "expect", "host", "http2-settings", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "trailer", "transfer-encoding", "upgrade",
        "te",  # codespell:ignore te
    }
)  # fmt: skip
"""Headers that describe one connection or one body (RFC 9110, 7.6.1): the webhook's are not taken over."""


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

    Directly to an address that was checked: proxies of the environment are not used. ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` are.

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

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made once: it takes 20 ms and more, which would count as exposure with each event."""
        try:
            return httpx.create_ssl_context()
        except (OSError, ValueError) as exc:
            problem = type(exc).__name__
        raise ProbeFailed(
            self.webhook.id,
            f"the environment's certificate settings (SSL_CERT_FILE, SSL_CERT_DIR) make no TLS client ({problem}); "
            "the receiver was not probed",
            "unreachable",
        )

    def _send(self, secret: SigningSecret) -> Answer:
        try:
            destination = check_destination(self.webhook, allow_hosts=self.allow_hosts, resolve=self.resolve)
        except HostNotResolved:
            return Answer(None, "its host name can't be resolved")
        now = self.wall()
        body = probe_event(self.webhook, now=now, body=self.body)
        headers = self._headers(destination, secret, int(now), body)
        seconds = self.webhook.request_config.timeout_ms / 1000
        give_up = self.monotonic() + seconds
        answer = Answer(None, "no address")
        for address in destination.addresses[:MOST_ADDRESSES]:
            answer, connected = self._post(destination, address, headers, body, seconds)
            if connected or self.monotonic() >= give_up:
                break
        return answer

    def _post(
        self, destination: Destination, address: str, headers: httpx.Headers, body: bytes, seconds: float
    ) -> tuple[Answer, bool]:
        """Send the event to one address; also say whether there was a connection that it went over.

        A transport without a client: it follows no redirect, asks no ``.netrc``, cookie or proxy, and does not log the
        url, which may hold a token. The answer's body is not read.
        """
        try:
            # One for each event: a kept connection may lead to a process with the old secret.
            with self.transport or httpx.HTTPTransport(verify=self._tls, trust_env=False) as transport:
                request = httpx.Request(
                    "POST",
                    destination.at(address),
                    headers=headers,
                    content=body,
                    extensions={
                        "timeout": httpx.Timeout(seconds).as_dict(),
                        "sni_hostname": destination.server_name,
                    },
                )
                response = transport.handle_request(request)
                response.close()
                return Answer(response.status_code), True
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            return Answer(None, _why_no_connection(exc)), False
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as exc:
            return Answer(None, type(exc).__name__), True

    def _headers(self, destination: Destination, secret: SigningSecret, timestamp: int, body: bytes) -> httpx.Headers:
        # httpx.Headers replaces whatever the case: the webhook's own headers must not give a second signature.
        headers = httpx.Headers({"Accept": "*/*", "User-Agent": f"airflow-provider-featurebase/{__version__}"})
        if destination.url.userinfo:
            login = f"{destination.url.username}:{destination.url.password}"
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        headers.update(_forwarded(self.webhook))
        headers["Host"] = destination.host_header
        headers["Content-Type"] = "application/json"
        headers[TIMESTAMP_HEADER] = str(timestamp)
        headers[SIGNATURE_HEADER] = sign(secret, timestamp, body)
        return headers


def _forwarded(webhook: Webhook) -> dict[str, str]:
    """The webhook's own headers, but for those that belong to one connection.

    :raises ProbeFailed: one can't be sent, a line break in it for example; its value is not shown.
    """
    forwarded = {}
    for name, hidden in webhook.request_config.headers.items():
        value = hidden.get_secret_value()
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(r"[\t -~]*", value):
            raise ProbeFailed(
                webhook.id,
                f"the header {one_line(name, 60)!r} of its requestConfig has characters that a header cannot have; it "
                "was not probed. Correct the header in Featurebase",
                "unreachable",
            )
        if name.lower() not in _CONNECTIONS_OWN:
            forwarded[name] = value.strip()
    return forwarded


def _why_no_connection(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its TLS certificate could not be verified"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _wrong_key() -> SigningSecret:
    return SigningSecret(f"whsec_{secrets.token_urlsafe(24)}")
