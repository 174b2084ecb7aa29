from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend

from featurebase_provider.featurebase.errors import FeaturebaseError, SettingsInvalid, SettingsUnknown
from featurebase_provider.hooks.featurebase import FeaturebaseHook, settings_from
from featurebase_provider.rotation.errors import StoreUnreachable, StoreUnusable
from featurebase_provider.sandbox.server import SandboxServer
from featurebase_provider.stores.shared.connection import hook_errors
from tests.world.frame_locals import places_that_tell

Configure = Callable[..., FeaturebaseHook]


def connection(**fields: Any) -> Connection:
    if "uri" in fields:
        return Connection(conn_id="fb", **fields)
    return Connection(**{"conn_id": "fb", "conn_type": "featurebase", "password": "sk_live", **fields})


def test_defaults() -> None:
    """A connection with nothing but a key talks to Featurebase itself, in the first version with webhooks."""
    settings = settings_from(connection(), {})
    assert settings.base_url == "https://do.featurebase.app"
    assert settings.api_version == "2026-01-01.nova"
    assert (settings.timeout, settings.max_retries) == (10.0, 4)
    assert settings.api_key.get_secret_value() == "sk_live"


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "do.featurebase.app"}, "https://do.featurebase.app"),
        ({"host": " https://eu.featurebase.app/ "}, "https://eu.featurebase.app"),
        ({"host": "127.0.0.1", "port": 8787, "schema": "http"}, "http://127.0.0.1:8787"),
        ({"host": "http://127.0.0.1:8787", "port": 99}, "http://127.0.0.1:8787"),
        ({"host": "[::1]", "port": 8787, "schema": "http"}, "http://[::1]:8787"),
        ({"host": "::1", "port": 8787, "schema": "http"}, "http://[::1]:8787"),
        ({"host": "http://::1/fb", "port": 8787}, "http://[::1]:8787/fb"),
        ({"uri": "featurebase://http://:sk_live@[::1]:8787"}, "http://[::1]:8787"),
        ({"host": "https://gw/fb", "port": 8443}, "https://gw:8443/fb"),
        ({"host": "gw/fb/", "port": 8443}, "https://gw:8443/fb"),
        ({"uri": "featurebase://:sk_live@https%3A%2F%2Fgw%2Ffb:8443"}, "https://gw:8443/fb"),
        ({"host": "https://gw:443/fb", "port": 8443}, "https://gw:443/fb"),
        ({"host": "https://gw/v2x"}, "https://gw/v2x"),
    ],
)
def test_base_url(fields: dict[str, Any], base_url: str) -> None:
    """The host field takes a URL or a bare host, which means https; schema and port complete it."""
    assert settings_from(connection(**fields), {}).base_url == base_url


def test_extras() -> None:
    """Numbers may be text, as the connection form sends them; an empty field means the default."""
    extra = {"api_version": "2026-08-19.orbit", "timeout": "2.5", "max_retries": "0"}
    settings = settings_from(connection(), extra)
    assert (settings.api_version, settings.timeout, settings.max_retries) == ("2026-08-19.orbit", 2.5, 0)
    empty = settings_from(connection(), dict.fromkeys(extra, ""))
    assert (empty.api_version, empty.timeout, empty.max_retries) == ("2026-01-01.nova", 10.0, 4)


@pytest.mark.parametrize(
    ("fields", "extra", "says"),
    [
        ({"password": None}, {}, "password field is empty"),
        ({"password": ""}, {}, "password field is empty"),
        ({}, {"timeout": "soon"}, "'timeout' is not a number"),
        ({}, {"timeout": "nan"}, "timeout"),
        ({}, {"max_retries": "nan"}, "'max_retries' is not a whole number"),
        ({}, {"max_retries": "inf"}, "'max_retries' is not a whole number"),
        ({}, {"max_retries": 1.5}, "'max_retries' is not a whole number"),
        ({}, {"max_retries": -1}, "max_retries"),
        ({}, {"api_version": "2025-12-12.clover"}, "has no webhook endpoints"),
        ({"host": "http://featurebase.example"}, {}, "use https"),
        ({}, {"timeout": True}, "'timeout' is not a number"),
        ({}, {"max_retries": False}, "'max_retries' is not a number"),
        ({}, {"timeout": 10**400}, "'timeout' is not a number"),
        ({"port": 8443}, {}, "it has a port but no host"),
        ({"host": "https://gw", "port": 70000}, {}, "port 70000"),
        ({"host": "https://do.featurebase.app/v2"}, {}, "must not contain /v2, which is added to each call"),
        ({"host": "do.featurebase.app/v2/webhooks/"}, {}, "must not contain /v2, which is added to each call"),
        ({"host": "gw/f b", "port": 1}, {}, "space"),
        ({"host": "me:sk_live@gw", "port": 1}, {}, "contain a user name, password"),
        ({"host": "https://gw:x", "port": 1}, {}, "is not a valid URL"),
    ],
)
def test_wrong_fields_name_connection_and_field(fields: dict[str, Any], extra: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        settings_from(connection(**fields), extra)
    assert "connection 'fb'" in str(caught.value)
    assert says in str(caught.value)
    assert "sk_live" not in repr(caught.value)
    assert places_that_tell(caught.value, "sk_live") == []


@pytest.mark.parametrize("fields", [{"extra": {"timeout": -1}}, {"extra": [1]}, {"host": "http://featurebase.example"}])
def test_no_frame_of_a_wrong_field_holds_the_key(configure: Configure, fields: dict[str, Any]) -> None:
    """Error trackers send the locals of an error's frames, and Airflow's connections show their password."""
    hook = configure(password="sk_quite_right", **fields)
    with pytest.raises(SettingsInvalid) as caught:
        hook.get_conn()
    assert places_that_tell(caught.value, "sk_quite_right") == []
    with pytest.raises(SettingsInvalid) as caught:
        asyncio.run(hook.aget_conn())
    assert places_that_tell(caught.value, "sk_quite_right") == []


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as sandbox:
        yield sandbox


@pytest.fixture
def configure(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Make the connection, as the environment variable that Airflow reads, and a hook for it."""

    def make(**fields: Any) -> FeaturebaseHook:
        document = {"conn_type": "featurebase", "host": sandbox.url, "password": sandbox.api_key, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_FB", json.dumps(document))
        return FeaturebaseHook("fb")

    return make


def test_test_connection(configure: Configure) -> None:
    ok, text = configure().test_connection()
    assert (ok, "accepted the API key" in text) == (True, True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"password": "sk_not_this_one"}, "answered 401"),
        ({"password": ""}, "password field is empty"),
        ({"host": "http://127.0.0.1:9", "extra": {"max_retries": 0}}, "127.0.0.1:9: GET /v2/webhooks could not be"),
        ({"host": "http://featurebase.example"}, "use https"),
        ({"extra": [1]}, "the extra field must be a JSON object"),
        ({"extra": '"timeout"'}, "the extra field must be a JSON object"),
        ({"extra": "timeout=3"}, "the extra field is not valid JSON"),
    ],
)
def test_test_connection_says_what_is_wrong(configure: Configure, fields: dict[str, Any], says: str) -> None:
    """The Test button gets an answer and not an exception, and no key in it."""
    ok, text = configure(**fields).test_connection()
    assert (ok, says in text) == (False, True), text
    assert "sk_not" not in text


@pytest.mark.asyncio
async def test_async_client_is_the_same(configure: Configure) -> None:
    """The triggerer's client comes from the same fields."""
    hook = configure(extra={"timeout": 3, "max_retries": 1})
    async with await hook.aget_conn() as client:
        assert [webhook async for webhook in client.list_webhooks()] == []
        with hook.get_conn() as twin:
            assert client.settings == twin.settings
    assert client.settings.timeout == 3


@pytest.mark.asyncio
async def test_async_client_refuses_what_the_sync_one_refuses(configure: Configure) -> None:
    with pytest.raises(SettingsInvalid, match="connection 'fb'"):
        await configure(host="http://featurebase.example").aget_conn()


def test_test_connection_without_a_connection() -> None:
    ok, text = FeaturebaseHook("nowhere").test_connection()
    assert (ok, text) == (
        False,
        "connection 'nowhere': this Airflow connection does not exist; create it, or correct featurebase_conn_id",
    )


@pytest.mark.asyncio
async def test_async_client_without_a_connection() -> None:
    with pytest.raises(SettingsInvalid, match="this Airflow connection does not exist"):
        await FeaturebaseHook("nowhere").aget_conn()


@pytest.mark.parametrize("extra", ["null", "{}", ""])
def test_an_extra_that_says_nothing(configure: Configure, extra: str) -> None:
    with configure(extra=extra).get_conn() as client:
        assert client.settings.timeout == 10


class Supervisor:
    """A task's channel that answers each question alike."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def send(self, message: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND), SettingsInvalid),
        (ErrorResponse(error=ErrorType.API_SERVER_ERROR), SettingsUnknown),
        (ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": 500}), SettingsUnknown),
        (OSError("broken"), SettingsUnknown),
    ],
)
def test_an_outage_is_no_missing_connection(
    monkeypatch: pytest.MonkeyPatch, answer: Any, kind: type[FeaturebaseError]
) -> None:
    """Airflow's own accessor says "isn't defined" to both; only what is really missing ends the task for good."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(answer), raising=False)
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [ExecutionAPISecretsBackend()])
    with pytest.raises(kind, match="connection 'fb': ") as caught:
        FeaturebaseHook("fb").get_conn()
    assert caught.value.retry_helps is (kind is SettingsUnknown)
    with (
        pytest.raises(StoreUnusable if kind is SettingsInvalid else StoreUnreachable, match="fb"),
        hook_errors("store", conn_id="fb", extra="redis"),
    ):
        BaseHook.get_connection("fb")


def test_a_secrets_backend_that_cannot_be_asked_is_no_missing_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def get_connection(self, conn_id: str) -> None:
            raise RuntimeError("sealed")

    missing = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(missing), raising=False)
    backends = [Broken(), ExecutionAPISecretsBackend()]
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: backends)
    with pytest.raises(SettingsUnknown):
        FeaturebaseHook("fb").get_conn()
