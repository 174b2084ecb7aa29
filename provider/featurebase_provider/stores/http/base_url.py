"""The base URL that an HTTP connection's fields add up to, where they contradict or repeat one another."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from featurebase_provider.rotation.errors import StoreUnusable


def check_base_url(store: str, base_url: str, urls: list[str]) -> None:
    """Make sure that requests go where the connection and the configuration say.

    Airflow's hook joins scheme, host and port as they come, whatever is in them.

    :param store: the store's name, for messages.
    :param base_url: what the hook made; not repeated in the message, as it may hold a login.
    :param urls: the paths that are appended to it.
    :raises StoreUnusable: one of the fields holds what belongs into another, or a part is there twice.
    """
    if fault := _fault(base_url, urls):
        said, advice = fault
        raise StoreUnusable(store, f"its Airflow connection {said}; nothing was sent", advice)


def _fault(base_url: str, urls: list[str]) -> tuple[str, str] | None:
    if any(letter.isspace() or not letter.isprintable() for letter in base_url):
        return "has blanks or line breaks in its host", "Remove them"
    parts = urlsplit(base_url)
    if parts.path.startswith("//") or not parts.hostname:
        return (
            "names a scheme twice, or no host",
            "Write the host as https://name, and leave the schema field empty",
        )
    try:
        twice = parts.netloc.endswith(":") or parts.port == 0
    except ValueError:  # a:443:443
        twice = True
    if twice or re.search(r":\d*$", parts.path):
        return (
            "has a port twice, one that is no port, or one behind a path",
            "Write all of it into the host, as https://name:8443/path, and leave the port field empty",
        )
    if "@" in parts.netloc:
        return "has a login in its host, which is not sent", "Put it into the fields login and password"
    if parts.query or parts.fragment:
        return "has a query or a fragment in its host", "Put the query into url"
    path = parts.path.rstrip("/")
    if path and any(url.partition("?")[0].startswith(f"{path}/") for url in urls):
        return (
            f"ends with the path {path}, with which url begins too: it would be sent twice",
            "Remove it from the connection's host, or from url; if it really is there twice, write all of it into url",
        )
    return None
