from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.errors import SettingsInvalid
from featurebase_provider.featurebase.settings import ApiSettings


def settings(**changes: Any) -> ApiSettings:
    return ApiSettings(**{"api_key": SecretStr("sk_live_key"), **changes})


def test_defaults_are_the_documented_ones() -> None:
    """Host, version and timeouts need no configuration."""
    default = settings()
    assert (default.base_url, default.api_version) == ("https://do.featurebase.app", "2026-01-01.nova")
    assert default.http_timeout.as_dict() == {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 5.0}
    assert default.max_retries == 4


def test_repr_hides_the_key() -> None:
    """Even a key that was given as plain text does not show."""
    for made in (settings(), settings(api_key="sk_live_key")):
        assert "sk_live_key" not in repr(made)
        assert made.api_key.get_secret_value() == "sk_live_key"


def test_settings_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(settings())) == settings()


@pytest.mark.parametrize(
    "url",
    [
        "https://do.featurebase.app",
        "https://proxy.example/featurebase/",
        "http://localhost:8787",
        "http://127.0.0.1:8787",
        "http://127.8.9.10",
        "http://[::1]:8787",
        "HTTPS://DO.FEATUREBASE.APP",
    ],
)
def test_usable_base_url(url: str) -> None:
    assert settings(base_url=url).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://do.featurebase.app",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://0.0.0.0",
        "http://192.168.1.2",
        "https://user:pass@do.featurebase.app",
        "https://@do.featurebase.app",
        "https://do.featurebase.app?key=1",
        "https://do.featurebase.app?",
        "https://do.featurebase.app#part",
        "https://do.featurebase.app ",
        "https://do.featurebase.app\n",
        "https://evil.example\\@do.featurebase.app",
        "https://",
        "https:///path",
        "ftp://do.featurebase.app",
        "do.featurebase.app",
        "https://do.featurebase.app:port",
        "https://[::1",
        "",
        None,
    ],
)
def test_refused_base_url(url: Any) -> None:
    """No key goes over an open line, and no credentials hide in a URL."""
    with pytest.raises(SettingsInvalid) as caught:
        settings(base_url=url)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "sk_a b", "sk_a\n", "\tsk_a", "sk_a\x00", "sk_é", "sk_a\u00a0", "sk_\x7f"])
def test_refused_key_is_not_quoted(key: str) -> None:
    """A key that no header can carry is refused without showing it."""
    with pytest.raises(SettingsInvalid, match="API key") as caught:
        settings(api_key=SecretStr(key), source="connection x")
    assert caught.value.source == "connection x"
    assert not key.strip() or key.strip() not in str(caught.value)


@pytest.mark.parametrize("version", ["2026-01-01.nova", "2026-08-19.orbit", "2031-12-31.zenith"])
def test_newer_versions_are_accepted(version: str) -> None:
    assert settings(api_version=version).api_version == version


@pytest.mark.parametrize(
    "version", ["2025-12-12.clover", "2025-12-31.x", "nova", "", "2026-01-01", "2026-01-01.a b", 2026]
)
def test_refused_version(version: Any) -> None:
    """A version without webhook endpoints is refused here, not by a puzzling 404 later."""
    with pytest.raises(SettingsInvalid, match=r"2026-01-01\.nova"):
        settings(api_version=version)


@pytest.mark.parametrize("name", ["timeout", "connect_timeout", "pool_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, 301, float("nan"), float("inf"), "10", True, None])
def test_refused_timeout(name: str, seconds: Any) -> None:
    with pytest.raises(SettingsInvalid, match=f"^Featurebase settings: {name} must be"):
        settings(**{name: seconds})


@pytest.mark.parametrize("count", [-1, 11, 1.0, "4", False, None])
def test_refused_retries(count: Any) -> None:
    with pytest.raises(SettingsInvalid, match="max_retries"):
        settings(max_retries=count)
