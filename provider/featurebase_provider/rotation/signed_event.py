"""One signed test event, built like a delivery of Featurebase and sent to a checked address."""

from __future__ import annotations

import base64
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx

from featurebase_provider import __version__
from featurebase_provider.featurebase.certificates import is_certificate_error
from featurebase_provider.featurebase.errors import CERTIFICATE_ADVICE
from featurebase_provider.featurebase.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.destination import Destination, check_destination
from featurebase_provider.rotation.errors import HostNotResolved, ProbeFailed
from featurebase_provider.rotation.health import SUCCESS_CODES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from featurebase_provider.featurebase.models import Webhook
    from featurebase_provider.featurebase.signing_secret import SigningSecret
    from featurebase_provider.rotation.clock import Clock
    from featurebase_provider.rotation.destination import Resolve

TOPIC = "webhook.probe"
ID_PREFIX = "notif_probe_"

MOST_ADDRESSES = 8
"""Most addresses of one host that are tried for one event."""

_CONNECTIONS_OWN = frozenset(
    {
        "connection", "content-encoding", "content-length", "expect", "http2-settings", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "trailer", "transfer-encoding", "upgrade",
        "te",  # codespell:ignore te
    }
)  # fmt: skip
"""Headers of one connection or one body (RFC 9110, 7.6.1): they are not copied from the webhook's own headers."""

ASK_FOR_ANOTHER_TRY = frozenset({408, 425, 429, 502, 503, 504})
"""HTTP statuses that a server, or a gateway in front of it, sends while it is unable to serve."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The receiver's response to one event.

    :param status: its HTTP status, or None if no response came.
    :param error: why no response came.
    """

    status: int | None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether Featurebase would count it as delivered (200, 201, 202 or 204)."""
        return self.status in SUCCESS_CODES

    @property
    def taken(self) -> bool:
        """Whether the receiver took the event (any 2xx), including statuses that Featurebase does not count."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the receiver refused the event: 4xx, except those that only ask for a later try.

        A redirect names another place, and 5xx means a fault of the receiver: neither is about the signature.
        """
        return self.status is not None and 400 <= self.status < 500 and self.status not in ASK_FOR_ANOTHER_TRY

    @property
    def may_pass(self) -> bool:
        """Whether a retry may get a decision: no response, a fault of the receiver, or a request for a later try."""
        return self.status is None or self.status >= 500 or self.status in ASK_FOR_ANOTHER_TRY

    def __str__(self) -> str:
        return f"it answered {self.status}" if self.status is not None else f"no answer ({self.error})"


def probe_event(webhook: Webhook, *, now: float, body: Mapping[str, Any] | None = None) -> bytes:
    """A ``notification_event`` that can't be mistaken for a real one, as JSON bytes.

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
class EventSender:
    """Sends signed events to one webhook's receiver, each on its own connection.

    It connects directly to a checked address: proxy settings of the environment are ignored. ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` are used.

    :param webhook: whose receiver, headers and timeout are used.
    :param body: fields that replace the event's own.
    :param allow_hosts: hosts that may resolve to addresses that are otherwise not allowed.
    :param clock: the wall clock that dates the events.
    """

    webhook: Webhook
    body: Mapping[str, Any] | None
    allow_hosts: tuple[str, ...]
    transport: httpx.BaseTransport | None
    resolve: Resolve
    clock: Clock

    def send(self, secret: SigningSecret) -> Answer:
        """Send one event signed with ``secret``.

        :raises ProbeFailed: the destination is not allowed, or a header can't be sent; nothing was sent.
        """
        try:
            destination = check_destination(self.webhook, allow_hosts=self.allow_hosts, resolve=self.resolve)
        except HostNotResolved:
            return Answer(None, "its host name can't be resolved")
        now = self.clock.wall()
        body = probe_event(self.webhook, now=now, body=self.body)
        headers = self._headers(destination, secret, int(now), body)
        seconds = self.webhook.request_config.timeout_ms / 1000
        give_up = self.clock.monotonic() + seconds
        for address in destination.addresses[:MOST_ADDRESSES]:
            answer, connected = self._post(destination, address, headers, body, seconds)
            if connected or self.clock.monotonic() >= give_up:
                break
        return answer

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Built once: it takes 20 ms or more, which would add to the measured exposure with each event."""
        try:
            return httpx.create_ssl_context()
        except (OSError, ValueError) as exc:
            problem = type(exc).__name__
        raise ProbeFailed(
            self.webhook.id,
            f"the environment's certificate settings (SSL_CERT_FILE, SSL_CERT_DIR) are invalid: no TLS client can be "
            f"built with them ({problem}); the receiver was not probed",
            "unreachable",
        )

    def _post(
        self, destination: Destination, address: str, headers: httpx.Headers, body: bytes, seconds: float
    ) -> tuple[Answer, bool]:
        """Send the event to one address. Also return whether a connection was made.

        It uses a transport without a client: no redirects, ``.netrc``, cookies or proxies, and no logging of the url,
        which may contain a token. The response's body is not read.
        """
        try:
            # A new connection for each event: a kept one may lead to a process with the old secret.
            with self.transport or httpx.HTTPTransport(verify=self._tls) as transport:
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
        # httpx.Headers ignores case: the webhook's own headers must not add a second signature.
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
    """The webhook's own headers, except those that belong to one connection.

    :raises ProbeFailed: a header can't be sent, for example because of a line break; its value is not shown.
    """
    forwarded = {}
    for name, hidden in webhook.request_config.headers.items():
        value = hidden.get_secret_value()
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(r"[\t -~]*", value):
            raise ProbeFailed(
                webhook.id,
                f"the header {one_line(name, 60)!r} of its requestConfig contains characters that are not allowed in a "
                "header; it was not probed. Fix the header in Featurebase",
                "unreachable",
            )
        if name.lower() not in _CONNECTIONS_OWN:
            forwarded[name] = value.strip()
    return forwarded


def _why_no_connection(error: BaseException) -> str:
    if is_certificate_error(error):
        return f"its TLS certificate could not be verified; {CERTIFICATE_ADVICE}"
    return type(error).__name__
