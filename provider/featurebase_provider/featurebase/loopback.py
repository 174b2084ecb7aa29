"""Whether a host is this machine, so that what is sent to it needs no encryption."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback_host(host: str) -> bool:
    """Whether a host is ``localhost`` or a loopback address (RFC 6890)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
