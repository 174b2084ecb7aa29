from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import featurebase_provider
from featurebase_provider.featurebase.client import AsyncClient, Client
from featurebase_provider.featurebase.errors import InvalidRequest, SettingsInvalid, UnexpectedAnswer
from featurebase_provider.featurebase.settings import ApiSettings

ID = "507f1f77bcf86cd799439011"
FixtureJson = Callable[[str], Any]


def answering(body: Any, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(200, json=body, headers=headers)


def test_every_request_carries_key_version_and_agent(drive: Any, fixture_json: FixtureJson) -> None:
    """Without the version header the workspace's default applies, which may know no webhooks."""
    driver = drive(answering(fixture_json("webhook")), api_version="2026-08-19.orbit")
    driver("get_webhook", ID)
    headers = driver.requests[0].headers
    assert headers["Authorization"] == "Bearer sk_live_key"
    assert headers["Featurebase-Version"] == "2026-08-19.orbit"
    assert headers["User-Agent"] == f"airflow-provider-featurebase/{featurebase_provider.__version__}"


def test_base_url_may_have_a_path(drive: Any, fixture_json: FixtureJson) -> None:
    driver = drive(answering(fixture_json("webhook")), base_url="https://proxy.test/featurebase/")
    driver("get_webhook", ID)
    assert str(driver.requests[0].url) == f"https://proxy.test/featurebase/v2/webhooks/{ID}"


def test_get_webhook(drive: Any, fixture_json: FixtureJson) -> None:
    driver = drive(answering(fixture_json("webhook")))
    assert driver("get_webhook", ID.upper()).name == "Production Webhook"
    assert driver.requests[0].method == "GET"


def test_refresh_sends_no_body_and_returns_the_new_secret(drive: Any, fixture_json: FixtureJson) -> None:
    driver = drive(answering(fixture_json("refreshed_webhook")))
    webhook = driver("refresh_secret", ID)
    assert webhook.secret.reveal() == "whsec_newSecret123abc456def"
    request = driver.requests[0]
    assert (request.method, str(request.url)) == ("POST", f"https://api.test/v2/webhooks/{ID}/secret")
    assert (request.content, request.headers["Content-Length"]) == (b"", "0")
    assert "Content-Type" not in request.headers


def test_create_update_and_delete(drive: Any, fixture_json: FixtureJson) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=fixture_json("deleted_webhook" if request.method == "DELETE" else "webhook"))

    driver = drive(handler)
    driver("create_webhook", "n", "https://r.test", ["post.created"], timeout_ms=1000)
    driver("update_webhook", ID, status="paused", description=None)
    assert driver("delete_webhook", ID).id == ID
    sent = [(request.method, request.url.path, request.content) for request in driver.requests]
    assert [(method, path) for method, path, _ in sent] == [
        ("POST", "/v2/webhooks"),
        ("PATCH", f"/v2/webhooks/{ID}"),
        ("DELETE", f"/v2/webhooks/{ID}"),
    ]
    assert json.loads(sent[0][2])["requestConfig"] == {"timeoutMs": 1000}
    assert json.loads(sent[1][2]) == {"status": "paused", "description": None}
    assert sent[2][2] == b""


def test_malformed_id_makes_no_request(drive: Any, fixture_json: FixtureJson) -> None:
    driver = drive(answering(fixture_json("webhook")))
    for method in ("get_webhook", "refresh_secret", "delete_webhook"):
        with pytest.raises(InvalidRequest):
            driver(method, "507f")
    assert driver.requests == []


def test_list_follows_the_cursor_through_all_pages(drive: Any, fixture_json: FixtureJson) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        page = "webhook_list_page_2" if "cursor" in request.url.params else "webhook_list_page_1"
        return httpx.Response(200, json=fixture_json(page))

    driver = drive(handler)
    assert [webhook.name for webhook in driver("list_webhooks", "paused")] == [
        "Production Webhook",
        "Analytics",
    ]
    assert [dict(request.url.params) for request in driver.requests] == [
        {"limit": "100", "status": "paused"},
        {"limit": "100", "status": "paused", "cursor": "b3BhcXVlIGN1cnNvcg=="},
    ]
    assert driver.secrets == ["whsec_abc123def456ghi789", "value", "whsec_second2"], "each is told once"


def test_list_without_an_end_is_an_error(drive: Any, fixture_json: FixtureJson) -> None:
    driver = drive(answering(fixture_json("webhook_list_page_1")))
    with pytest.raises(UnexpectedAnswer, match="nextCursor repeats"):
        driver("list_webhooks")
    assert len(driver.requests) == 2


def test_what_could_not_be_read_is_said_once(drive: Any, fixture_json: FixtureJson, caplog: Any) -> None:
    """By its name, never by its value; a task that reads a webhook again and again says it once."""
    page, odd = fixture_json("webhook_list_page_2"), {"topics": "whsec_topics", "lastStatus": "whsec_last"}
    page["data"] = [{**page["data"][0], **odd}, {**page["data"][0], "id": ID, "topics": [[]] * 12}]
    driver = drive(answering(page))
    for _ in range(2):
        driver("list_webhooks")
    first, second = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert first.endswith("can't be read; they count as unknown: lastStatus, topics")
    assert second.endswith("unknown: " + ", ".join(f"topics.{index}" for index in range(11, 1, -1)) + " and 2 more")
    assert f"webhook {ID} " in second
    assert "whsec_" not in caplog.text


@pytest.mark.parametrize("method", ["get_webhook", "refresh_secret"])
def test_secrets_are_told_before_the_answer_is_returned(drive: Any, fixture_json: FixtureJson, method: str) -> None:
    """What is masked the moment it exists cannot be logged by what comes next."""
    driver = drive(answering(fixture_json("refreshed_webhook")))
    webhook = driver(method, ID)
    assert driver.secrets == [webhook.secret.reveal(), "value"]


def test_clock_follows_the_date_header_of_any_answer(drive: Any) -> None:
    """An error tells the time as well as a success."""
    driver = drive(lambda request: httpx.Response(401, headers={"Date": "Thu, 15 Jan 2026 10:30:00 GMT"}))
    assert not driver.client.clock.known
    with pytest.raises(Exception, match="answered 401"):
        driver("get_webhook", ID)
    at_server = datetime(2026, 1, 15, 10, 30, tzinfo=timezone.utc)
    assert driver.client.clock.known
    assert abs((driver.client.clock.now() - at_server).total_seconds()) < 60


def test_answers_without_a_secret_listener(fixture_json: FixtureJson) -> None:
    settings = ApiSettings(SecretStr("sk_live_key"))
    with Client(settings, transport=httpx.MockTransport(answering(fixture_json("webhook")))) as client:
        assert client.get_webhook(ID).id == ID
    with pytest.raises(RuntimeError, match="closed"):
        client.get_webhook(ID)


@pytest.mark.asyncio
async def test_async_client_as_a_context_manager(fixture_json: FixtureJson) -> None:
    settings = ApiSettings(SecretStr("sk_live_key"))
    transport = httpx.MockTransport(answering(fixture_json("webhook")))
    async with AsyncClient(settings, transport=transport) as client:
        assert (await client.get_webhook(ID)).id == ID
    with pytest.raises(RuntimeError, match="closed"):
        await client.get_webhook(ID)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "gopher://user:hunter2@proxy.test"), ("SSL_CERT_FILE", "/nowhere/ca.pem")],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_unusable_environment_is_an_error_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, kind: Any
) -> None:
    """A proxy's password is not quoted."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match="proxy or certificate settings") as caught:
        kind(ApiSettings(SecretStr("sk_live_key"), source="connection x"))
    assert caught.value.source == "connection x"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
