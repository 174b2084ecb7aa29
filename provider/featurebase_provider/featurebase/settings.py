"""The settings of a Featurebase client, checked before anything is sent."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from ipaddress import ip_address

import httpx
from pydantic import SecretStr

from featurebase_provider.featurebase.errors import SettingsInvalid

DEFAULT_BASE_URL = "https://do.featurebase.app"
DEFAULT_API_VERSION = "2026-01-01.nova"
"""The first version with webhook endpoints (Featurebase's webhook reference, "Version Availability")."""
DEFAULT_TIMEOUT = 10.0
DEFAULT_MAX_RETRIES = 4
_LONGEST_TIMEOUT = 300
_MOST_RETRIES = 10


def is_loopback_host(host: str) -> bool:
    """Whether a host is ``localhost`` or a loopback address (RFC 6890)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class ApiSettings:
    """Address and credentials for the Featurebase API; ``repr`` hides the key.

    :param api_key: a workspace's API key (``sk_...``).
    :param base_url: the API's address; plain http is accepted for loopback hosts only.
    :param api_version: value of the ``Featurebase-Version`` header.
    :param timeout: seconds to wait for each read and each write.
    :param connect_timeout: seconds to wait for a connection.
    :param pool_timeout: seconds to wait for a free connection of the client's pool.
    :param max_retries: how many times a read is sent again after a transient failure; writes are never sent again.
    :param source: where the settings came from, for error messages; for example a connection id.
    :raises SettingsInvalid: a value is out of range, or the key would be sent unencrypted.
    """

    api_key: SecretStr
    base_url: str = DEFAULT_BASE_URL
    api_version: str = DEFAULT_API_VERSION
    timeout: float = DEFAULT_TIMEOUT
    connect_timeout: float = 5.0
    pool_timeout: float = 5.0
    max_retries: int = DEFAULT_MAX_RETRIES
    source: str = field(default="Featurebase settings", compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.api_key, str):  # an untyped caller; left as text it would show in repr
            object.__setattr__(self, "api_key", SecretStr(self.api_key))
        for problem in (
            _key_problem(self.api_key.get_secret_value()),
            url_problem(self.base_url),
            _version_problem(self.api_version),
            _timeout_problem("timeout", self.timeout),
            _timeout_problem("connect_timeout", self.connect_timeout),
            _timeout_problem("pool_timeout", self.pool_timeout),
            _retries_problem(self.max_retries),
        ):
            if problem:
                raise SettingsInvalid(self.source, problem)

    @property
    def http_timeout(self) -> httpx.Timeout:
        """The timeouts as httpx takes them."""
        return httpx.Timeout(self.timeout, connect=self.connect_timeout, pool=self.pool_timeout)


def _key_problem(key: str) -> str | None:
    if not key.strip():
        return "the API key is empty; put a Featurebase API key (sk_...) in the password field"
    if not re.fullmatch(r"[!-~]+", key):
        return "the API key contains a space, a line break or another character that keys never have; paste it again"
    return None


def url_problem(base_url: str) -> str | None:
    """What is wrong with a base URL, or None."""
    if not isinstance(base_url, str) or re.search(r"[\s@?#\\]", base_url):
        return "the base URL must not contain a user name, password, query, fragment or space"
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return "the base URL is not a valid URL; use one such as https://do.featurebase.app"
    if url.scheme not in ("https", "http") or not url.host:
        return "the base URL must start with https:// and name a host"
    if url.port is not None and not 0 < url.port < 65536:
        return f"the base URL's port {url.port} is invalid; it must be from 1 to 65535"
    if re.search(r"/v2(/webhooks)?/?$", url.path):
        return f"the base URL must not contain /v2, which is added to each call; use one such as {DEFAULT_BASE_URL}"
    if url.scheme == "http" and not is_loopback_host(url.host):
        return (
            f"plain http to {url.host} would send the API key and signing secrets unencrypted; "
            "use https (http is accepted for loopback hosts only)"
        )
    return None


def _version_problem(api_version: str) -> str | None:
    match = isinstance(api_version, str) and re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.[!-~]+", api_version)
    if not match:
        return f"api_version must be a Featurebase version such as {DEFAULT_API_VERSION}"
    if match[1] < DEFAULT_API_VERSION.partition(".")[0]:
        return f"api_version {api_version} has no webhook endpoints; use {DEFAULT_API_VERSION} or newer"
    return None


def _timeout_problem(name: str, seconds: object) -> str | None:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if is_number and math.isfinite(seconds) and 0 < seconds <= _LONGEST_TIMEOUT:  # type: ignore[arg-type, operator]
        return None
    return f"{name} must be a number of seconds above 0 and up to {_LONGEST_TIMEOUT}"


def _retries_problem(count: object) -> str | None:
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_RETRIES:
        return None
    return f"max_retries must be a whole number from 0 to {_MOST_RETRIES}"
