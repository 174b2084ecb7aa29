"""Whether a store's server is on this machine, so that the signing secret may go to it unencrypted."""

from __future__ import annotations

from featurebase_provider.featurebase.loopback import is_loopback_host


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address, ``localhost``, or a Unix socket's path."""
    return is_loopback_host(host) or host.startswith(("/", "@"))
