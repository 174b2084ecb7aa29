"""Whatever answers in Featurebase's place, a call ends with a value or an ApiError, and never tells a secret."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tenacity import Future, RetryCallState

from featurebase_provider.featurebase.client import Client
from featurebase_provider.featurebase.errors import ApiError
from featurebase_provider.featurebase.models import Webhook
from featurebase_provider.featurebase.retries import LONGEST_WAIT, seconds_to_wait
from featurebase_provider.featurebase.settings import ApiSettings
from featurebase_provider.featurebase.signing_secret import SigningSecret
from featurebase_provider.rotation.health import last_result
from featurebase_provider.rotation.plan import RotationPlan
from tests.properties.any_json import anything, spoilt
from tests.properties.profile import tries
from tests.world.fakes import WEBHOOK_ID, a_plan

API_KEY = "sk_fuzz_api_key_value"
SIGNING = "whsec_fuzz_signing_value"
HEADER = "fuzz-header-credential"
SECRETS = (API_KEY, SIGNING, HEADER)

WEBHOOK = {
    "object": "webhook",
    "id": WEBHOOK_ID,
    "name": "Production Webhook",
    "description": None,
    "url": "https://example.com/webhooks",
    "secret": SIGNING,
    "topics": ["post.created"],
    "status": "active",
    "version": "1.0",
    "requestConfig": {"timeoutMs": 5000, "headers": {"X-Custom": HEADER}},
    "lastStatus": {"code": 200, "message": "Success", "timestamp": "2025-01-15T10:30:00.000Z"},
    "health": {"lastResponseTime": 150, "lastSuccessAt": "2025-01-15T10:30:00.000Z", "consecutiveFailures": 0},
    "createdAt": "2025-01-15T10:30:00.000Z",
    "updatedAt": "2025-01-15T10:30:00.000Z",
}
PAGE = {"object": "list", "data": [WEBHOOK], "nextCursor": "more"}
DELETED = {"id": WEBHOOK_ID, "object": "webhook", "deleted": True}
FAULT = {
    "error": {
        "type": "invalid_request_error",
        "code": "bad",
        "message": f"no: {API_KEY} {SIGNING} {HEADER}",
        "param": HEADER,
        "status": 400,
    }
}

quoting = st.sampled_from(SECRETS) | st.tuples(st.text(max_size=9), st.sampled_from(SECRETS)).map("".join)
values = quoting | anything
documents = st.one_of(*[spoilt(right, values) for right in (WEBHOOK, PAGE, DELETED, FAULT)], anything)
bodies = st.one_of(
    documents.map(lambda value: json.dumps(value).encode()),
    documents.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.tuples(documents, st.integers(1, 40)).map(lambda cut: json.dumps(cut[0]).encode()[: -cut[1]]),
    st.binary(max_size=60),
    st.just(b"[" * 100_000),
)
statuses = st.sampled_from(
    [200, 201, 204, 301, 302, 400, 401, 403, 404, 408, 410, 418, 429, 500, 502, 503]
) | st.integers(200, 599)
header_texts = (
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
    | st.integers(-(10**20), 10**20).map(str)
    | st.floats().map(str)
    | st.sampled_from(
        [
            *("Thu, 15 Jan 2026 10:30:00 GMT", "Thu, 15 Jan 0001 10:30:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
            *("Thu, 15 Jan 2026 10:30:00 +2359", "Thu, 15 Jan 2026 10:30:00 -0000", "9" * 18, "1" * 400, "1e308"),
            *("0", "-1", "3", "1768473000", "1768473000000", "60.5", "\xb2", "1_0", " 7 "),
        ]
    )
)
headers = st.dictionaries(
    st.sampled_from(["Date", "Retry-After", "X-RateLimit-Reset", "X-RateLimit-Remaining", "Content-Type", "Location"]),
    header_texts,
    max_size=4,
).flatmap(
    lambda sent: st.sampled_from([None, None, None, "gzip", "br", "deflate", "identity", "x"]).map(
        lambda coding: {**sent, **({"Content-Encoding": coding} if coding else {})}
    )
)
calls = st.sampled_from(["get_webhook", "refresh_secret", "delete_webhook", "list_webhooks", "update_webhook"])


def call(client: Client, name: str) -> Any:
    if name == "list_webhooks":
        return list(client.list_webhooks())
    if name == "update_webhook":
        return client.update_webhook(WEBHOOK_ID, headers={"X-Custom": HEADER})
    return getattr(client, name)(WEBHOOK_ID)


def waited_after(error: ApiError) -> float:
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.outcome = Future(1)
    state.outcome.set_exception(error)
    return seconds_to_wait(state)


def hidden_parts_of(webhook: Webhook) -> str:
    """What is shown of all that is to be hidden; names and urls are shown as they are, whatever they quote."""
    return f"{webhook.secret!r} {webhook.request_config} {webhook._odd} {webhook.unread}"


SIDE_FIELDS = [name for name in WEBHOOK if name not in ("id", "secret")]
odd_values = values | st.sampled_from([float("nan"), float("-inf"), "cut in the middle \ud83d"])
other_fields = st.text(max_size=8) | st.sampled_from(
    ["created_at", "updated_at", "last_status", "request_config", "unread", "_odd", "webhook", "error", "data"]
)


@st.composite
def side_fields(draw: st.DrawFn) -> dict[str, Any]:
    """A webhook with a good id and secret, and whatever else."""
    side = {name: WEBHOOK[name] for name in SIDE_FIELDS}
    spoilt_side = draw(spoilt(side, odd_values) | st.dictionaries(st.sampled_from(SIDE_FIELDS), odd_values))
    odd = spoilt_side if isinstance(spoilt_side, dict) else {}
    more = draw(st.dictionaries(other_fields, odd_values, max_size=3))
    return {**more, **odd, "id": WEBHOOK_ID, "secret": SIGNING}


def header_texts_of(document: dict[str, Any]) -> list[str]:
    config = document.get("requestConfig")
    headers = config.get("headers") if isinstance(config, dict) else None
    texts = headers.values() if isinstance(headers, dict) else [headers, config]
    return [text for text in texts if isinstance(text, str) and text and text.isprintable()]


@tries(600)
@given(st.sampled_from(["get_webhook", "refresh_secret", "list_webhooks"]), side_fields(), st.booleans())
def test_an_answer_with_a_good_id_and_secret_is_read_whatever_else_it_holds(
    name: str, document: dict[str, Any], escaped: bool
) -> None:
    """After a refresh the new secret has to reach the stores: no side field may keep it from them."""
    sent = {"object": "list", "data": [document, document], "nextCursor": None} if name == "list_webhooks" else document
    body = json.dumps(sent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    told: list[str] = []
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=httpx.ByteStream(body)))
    with Client(ApiSettings(SecretStr(API_KEY)), on_secret=told.append, transport=transport) as client:
        value = call(client, name)
    for webhook in value if name == "list_webhooks" else [value]:
        assert webhook.secret == SigningSecret(SIGNING)
        assert not [secret for secret in (API_KEY, SIGNING) if secret in hidden_parts_of(webhook)]
        assert SIGNING not in last_result(webhook)
        assert all(part.isprintable() for part in webhook.unread)
        plan = a_plan(webhook)
        assert RotationPlan.from_json(json.loads(json.dumps(plan.as_json()))) == plan
    assert {SIGNING, *header_texts_of(document)} <= {*told}


@tries(1500)
@given(calls, statuses, headers, bodies)
def test_any_answer_is_a_value_or_an_api_error(name: str, status: int, sent: dict[str, str], body: bytes) -> None:
    raw = [(key.encode(), value.encode("latin-1")) for key, value in sent.items()]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))

    settings = ApiSettings(SecretStr(API_KEY), max_retries=0)
    error: ApiError | None = None
    with Client(settings, transport=httpx.MockTransport(answer)) as client:
        try:
            value = call(client, name)
        except ApiError as exc:
            error = exc
        assert 2000 <= client.clock.now().year <= 2100
    if error is None:
        shown = " ".join(map(hidden_parts_of, value if isinstance(value, list) else value.webhooks()))
    else:
        shown = f"{error}\n{error!r}\n{error.args}\n{error.__cause__!r}\n{error.__context__!r}"
        assert str(error).isprintable()
        assert len(str(error)) < 1200
        assert 0 <= waited_after(error) <= LONGEST_WAIT
        assert re.match(r"Featurebase|[A-Z]+ /v2", str(error))
    told = [secret for secret in (API_KEY, SIGNING) if secret in shown]
    if name == "update_webhook" and error is not None and HEADER in shown:
        told.append(HEADER)
    assert not told
