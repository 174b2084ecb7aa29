"""Error trackers send the locals of every frame that an error came through: none may hold a secret."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from featurebase_provider.featurebase.client import AsyncClient, Client
from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    AuthenticationFailed,
    FeaturebaseError,
    InvalidRequest,
    SettingsInvalid,
    UnexpectedAnswer,
    WebhookNotFound,
)
from featurebase_provider.featurebase.settings import ApiSettings
from tests.world.frame_locals import places_that_tell

ID = "507f1f77bcf86cd799439011"
KEY = 'sk_live_/+="key'
SIGNING = "whsec_abc123/def+456=ghi"
HEADER = "Bearer hunter2"
WEBHOOK = {"id": ID, "secret": SIGNING, "requestConfig": {"headers": {"Authorization": HEADER}}}
QUOTING = {"error": {"message": f"{KEY} {SIGNING}", "code": SIGNING, "param": KEY}}
SECRETS = (KEY, SIGNING, HEADER, "hunter2")

ANSWERS: dict[str, tuple[type[ApiError], httpx.Response | Exception]] = {
    "wrong key": (AuthenticationFailed, httpx.Response(401, json=QUOTING)),
    "not found": (WebhookNotFound, httpx.Response(404, json=QUOTING)),
    "refused": (InvalidRequest, httpx.Response(422, json=QUOTING)),
    "failed": (ApiUnavailable, httpx.Response(500, json=QUOTING)),
    "redirect": (UnexpectedAnswer, httpx.Response(302, json=WEBHOOK, headers={"Location": f"https://x.test/{KEY}"})),
    "no JSON": (UnexpectedAnswer, httpx.Response(200, text=f"{json.dumps(WEBHOOK)}{KEY}")),
    "wrong fields": (UnexpectedAnswer, httpx.Response(200, json={**WEBHOOK, "secret": [SIGNING, KEY]})),
    "no object": (UnexpectedAnswer, httpx.Response(200, json=[WEBHOOK])),
    "another webhook": (UnexpectedAnswer, httpx.Response(200, json={**WEBHOOK, "id": ID[::-1]})),
    "too long": (UnexpectedAnswer, httpx.Response(200, content=json.dumps(WEBHOOK).encode() + b" " * 1_100_000)),
    "not to be unpacked": (UnexpectedAnswer, httpx.Response(200, json=WEBHOOK, headers={"Content-Encoding": "br"})),
    "no answer": (ApiUnreachable, httpx.ReadTimeout(KEY)),
    "no connection": (ApiUnreachable, httpx.ConnectError(KEY)),
    "no HTTP": (ApiUnreachable, httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'")),
}


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("method", ["get_webhook", "refresh_secret"])
@pytest.mark.parametrize("case", ANSWERS)
def test_no_frame_of_a_failed_call_holds_a_secret(drive: Any, case: str, method: str, retries: int) -> None:
    kind, answer = ANSWERS[case]

    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    with pytest.raises(ApiError) as caught:
        drive(handler, api_key=SecretStr(KEY), max_retries=retries)(method, ID)
    assert type(caught.value) is kind
    assert places_that_tell(caught.value, *SECRETS) == []


@pytest.mark.parametrize("page", [{"data": [{"id": 7, "secret": SIGNING}]}, {"data": [WEBHOOK], "nextCursor": "c"}])
def test_no_frame_of_a_failed_list_holds_a_secret(drive: Any, page: Any) -> None:
    """Unreadable, or without an end."""
    driver = drive(lambda request: httpx.Response(200, json=page), api_key=SecretStr(KEY))
    with pytest.raises(UnexpectedAnswer) as caught:
        driver("list_webhooks")
    assert places_that_tell(caught.value, *SECRETS) == []


def test_no_frame_of_a_real_connection_holds_the_key(drive: Any) -> None:
    """HTTP libraries' frames hold the request with its Authorization header; our error does not come through them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ApiUnreachable) as caught:
        drive(None, base_url=f"http://127.0.0.1:{port}", api_key=SecretStr(KEY), max_retries=1)("get_webhook", ID)
    assert places_that_tell(caught.value, *SECRETS) == []


@pytest.mark.parametrize("settings", [{}, {"timeout": -1.0}, {"base_url": "http://example.com"}])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_no_frame_of_unusable_settings_holds_the_key(
    client: type[Client | AsyncClient], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "no://proxy")
    with pytest.raises(SettingsInvalid) as caught:
        client(ApiSettings(SecretStr(KEY), **settings))
    assert places_that_tell(caught.value, *SECRETS) == []


def test_a_frame_that_does_hold_one_is_found() -> None:
    """The control: without it an empty search would pass as well."""
    module = compile("def fail(held, error):\n    raise error", "/elsewhere.py", "exec")
    names: dict[str, Any] = {}
    exec(module, names)
    for held in (KEY, [SIGNING], {"a": HEADER}, httpx.Response(200, text=SIGNING)):
        with pytest.raises(FeaturebaseError) as caught:
            names["fail"](held, FeaturebaseError())
        with pytest.raises(AssertionError, match="elsewhere"):
            assert places_that_tell(caught.value, *SECRETS) == []
