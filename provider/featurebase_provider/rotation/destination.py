"""Checks where a probe may be sent: a webhook's url comes from the API and must not lead to internal addresses."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from featurebase_provider.featurebase.text import one_line
from featurebase_provider.rotation.errors import HostNotResolved, ProbeFailed

if TYPE_CHECKING:
    from featurebase_provider.featurebase.models import Webhook

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Resolve = Callable[[str, int], Iterable[str]]

_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog"})
"""Google Cloud's names for its metadata server, whatever they resolve to."""

_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this host, as many systems read it (RFC 6890)
            "169.254.0.0/16",  # link-local, and the metadata service of most clouds
            "224.0.0.0/4",
            "255.255.255.255/32",
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
            "192.0.0.192/32",  # Oracle Cloud
            "::/128",
            "fe80::/10",
            "ff00::/8",
            "fd00:ec2::/32",  # Amazon EC2, and EKS Pod Identity
            "fd20:ce::254/128",  # Google Cloud
        ),
    )
)
_HOLDS_IPV4 = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""NAT64 (RFC 6052, RFC 8215) and IPv4-compatible addresses: the last 32 bits are the IPv4 address."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A receiver whose addresses were all checked. Connect to these addresses: another look-up may give others.

    :param url: the webhook's url.
    :param addresses: in the resolver's order.
    """

    url: httpx.URL
    addresses: tuple[str, ...]

    @property
    def server_name(self) -> str:
        """The host name that the receiver's certificate must be valid for."""
        return _name(self.url.raw_host.decode())

    @property
    def host_header(self) -> str:
        """Host and port as in the url."""
        return self.url.netloc.decode()

    def at(self, address: str) -> httpx.URL:
        """The url with an address in place of the name."""
        return self.url.copy_with(host=address.partition("%")[0])


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """Resolve a host name to its IP addresses.

    :raises OSError: it has none.
    """
    found = (str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return tuple(dict.fromkeys(found))


def check_destination(
    webhook: Webhook, *, allow_hosts: Iterable[str] = (), resolve: Resolve = addresses_of
) -> Destination:
    """Check that a probe may be sent to the webhook's url.

    Only https is allowed, except for loopback hosts. Link-local, metadata, multicast and unspecified addresses are
    refused, also as one of several addresses or embedded in an IPv6 address, unless ``allow_hosts`` names the host.

    :raises HostNotResolved: the host can't be resolved now.
    :raises ProbeFailed: the destination is not allowed.
    """
    url = _url_of(webhook)
    shown = _shown(url)
    allowed = _name(url.host) in map(_name, allow_hosts)
    if _name(url.host) in _METADATA_NAMES and not allowed:
        raise _refused(webhook, f"the receiver's host {shown} is a cloud's metadata service")
    texts = _resolved(webhook, url, shown, resolve)
    addresses = [ipaddress.ip_address(text) for text in texts]
    if url.scheme == "http" and not all(_unwrapped(address).is_loopback for address in addresses):
        raise ProbeFailed(
            webhook.id,
            f"the url of the receiver {shown} is not https; a probe would send its headers unencrypted. Give the "
            "webhook an https url",
            "refused",
        )
    for address in addresses:
        if not allowed and _never_a_receiver(address):
            raise _refused(
                webhook,
                f"the receiver's host {shown} resolves to {address}, a link-local, metadata, multicast or unspecified "
                "address",
            )
    return Destination(url, texts)


def shown_host(webhook: Webhook) -> str:
    """The receiver's host in quotes, for a message; the rest of the url may contain a token.

    :raises ProbeFailed: the url is invalid.
    """
    return _shown(_url_of(webhook))


def _shown(url: httpx.URL) -> str:
    return repr(one_line(url.host))


def _refused(webhook: Webhook, why: str) -> ProbeFailed:
    advice = "it was not probed. If it may be probed, add the host to probe.allow_hosts"
    return ProbeFailed(webhook.id, f"{why}; {advice}", "unreachable")


def _url_of(webhook: Webhook) -> httpx.URL:
    """The url, read by the same parser that sends the request: two of them can disagree about the host."""
    try:
        url = httpx.URL(webhook.url)
        if url.scheme in ("https", "http") and url.host and (url.port is None or 0 < url.port < 65536):
            return url
    except (httpx.InvalidURL, ValueError):  # the text of which quotes the url
        pass
    raise ProbeFailed(
        webhook.id, "the webhook's url is not an http(s) url; it was not probed. Fix it in Featurebase", "unreachable"
    )


def _resolved(webhook: Webhook, url: httpx.URL, shown: str, resolve: Resolve) -> tuple[str, ...]:
    try:
        addresses = tuple(resolve(url.host, url.port or (443 if url.scheme == "https" else 80)))
        problem = "" if addresses else "no address"
    except (OSError, UnicodeError) as exc:  # UnicodeError: a name that IDNA can't encode
        addresses, problem = (), type(exc).__name__
    if problem:
        raise HostNotResolved(
            webhook.id,
            f"the receiver's host {shown} can't be resolved ({problem}); check the webhook's url and the worker's DNS",
            "unreachable",
        )
    return addresses


def _name(host: str) -> str:
    return host.lower().rstrip(".")


def _unwrapped(address: Address) -> Address:
    return getattr(address, "ipv4_mapped", None) or address


def _never_a_receiver(address: Address) -> bool:
    return any(meant in network for meant in _meant_by(address) for network in _NEVER)


def _meant_by(address: Address) -> tuple[Address, ...]:
    """The address and any IPv4 addresses embedded in it."""
    address = _unwrapped(address)
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return (address,)
    within = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _HOLDS_IPV4):
        within.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return (address, *(embedded for embedded in within if embedded is not None))
