"""Whether a host is this machine, so that what is sent to it needs no encryption."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address, ``localhost``, or a Unix socket's path."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.startswith(("/", "@"))
