from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from featurebase_provider.featurebase.audit_log import AuditLogPage
from featurebase_provider.featurebase.calls import (
    ApiCall,
    Pages,
    create_webhook_call,
    delete_webhook_call,
    get_webhook_call,
    list_audit_logs_call,
    list_webhooks_call,
    refresh_secret_call,
    update_webhook_call,
)
from featurebase_provider.featurebase.errors import InvalidRequest, UnexpectedAnswer
from featurebase_provider.featurebase.models import WebhookPage

ID = "507f1f77bcf86cd799439011"


@pytest.mark.parametrize(
    ("call", "method", "path", "params", "json"),
    [
        (list_audit_logs_call(), "GET", "/v2/audit-logs", {"limit": "100"}, None),
        (
            list_audit_logs_call("webhook.secret_rotated", datetime(2026, 1, 2, 3, tzinfo=timezone.utc), 7, "c="),
            *("GET", "/v2/audit-logs"),
            {
                "limit": "7",
                "cursor": "c=",
                "action": "webhook.secret_rotated",
                "startDate": "2026-01-02T03:00:00+00:00",
            },
            None,
        ),
        (list_webhooks_call(), "GET", "/v2/webhooks", {"limit": "100"}, None),
        (
            list_webhooks_call(5, cursor="c=", status="paused"),
            *("GET", "/v2/webhooks", {"limit": "5", "cursor": "c=", "status": "paused"}, None),
        ),
        (get_webhook_call(ID), "GET", f"/v2/webhooks/{ID}", {}, None),
        (delete_webhook_call(ID), "DELETE", f"/v2/webhooks/{ID}", {}, None),
        (refresh_secret_call(ID), "POST", f"/v2/webhooks/{ID}/secret", {}, None),
        (
            create_webhook_call("n", "https://r.test", ("post.created",)),
            *("POST", "/v2/webhooks", {}, {"name": "n", "url": "https://r.test", "topics": ["post.created"]}),
        ),
    ],
)
def test_calls_are_as_documented(call: ApiCall[Any], method: str, path: str, params: Any, json: Any) -> None:
    assert (call.method, call.path, call.params, call.json) == (method, path, params, json)


def test_only_reads_are_safe_to_repeat() -> None:
    """The API has no idempotency key: no write may ever be sent twice by itself."""
    assert get_webhook_call(ID).retry_safe
    assert list_webhooks_call().retry_safe
    for write in (
        create_webhook_call("n", "https://r.test", []),
        update_webhook_call(ID, name="n"),
        delete_webhook_call(ID),
        refresh_secret_call(ID),
    ):
        assert not write.retry_safe


def test_create_sends_the_options_that_are_given() -> None:
    call = create_webhook_call("n", "u", [], description="d", timeout_ms=1000, headers={"A": "hunter2"})
    assert call.json
    assert call.json["requestConfig"] == {"timeoutMs": 1000, "headers": {"A": "hunter2"}}
    assert call.json["description"] == "d"
    assert call.confidential == ("hunter2",)
    assert "hunter2" not in repr(call)


def test_update_tells_leave_from_clear() -> None:
    """A description that is not given stays; None clears it."""
    assert update_webhook_call(ID, status="paused").json == {"status": "paused"}
    assert update_webhook_call(ID, description=None).json == {"description": None}
    assert update_webhook_call(ID, timeout_ms=9000).json == {"requestConfig": {"timeoutMs": 9000}}
    assert update_webhook_call(ID, headers={}).json == {"requestConfig": {"headers": {}}}


def test_update_of_nothing_is_not_sent() -> None:
    with pytest.raises(InvalidRequest, match="was not sent: no field to change"):
        update_webhook_call(ID)


def test_misspelt_field_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="descripton"):
        update_webhook_call(ID, descripton="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="status"):
        create_webhook_call("n", "u", [], status="active")  # type: ignore[call-arg]


@pytest.mark.parametrize("describe", [get_webhook_call, delete_webhook_call, refresh_secret_call, update_webhook_call])
@pytest.mark.parametrize(
    "webhook_id",
    [
        "",
        "507f",
        ID + "0",
        ID + "\n",
        f" {ID}",
        "../../v2/posts",
        "507f1f77bcf86cd79943901g",
        "５" * 24,
        12,
        None,
    ],
)
def test_malformed_id_is_not_sent(describe: Any, webhook_id: Any) -> None:
    """An id that is none never becomes part of a URL."""
    with pytest.raises(InvalidRequest, match=r"was not sent: the webhook id .* 24 hexadecimal digits") as caught:
        describe(webhook_id)
    assert caught.value.status is None
    assert caught.value.outcome_known
    assert "\n" not in str(caught.value)


def test_secret_in_place_of_an_id_is_not_quoted() -> None:
    with pytest.raises(InvalidRequest) as caught:
        get_webhook_call("whsec_abc123def456ghi789")
    assert "abc123" not in str(caught.value)


def test_pages_end_with_the_last_cursor() -> None:
    pages = Pages(lambda cursor: list_webhooks_call(cursor=cursor, status="active"))
    pages.take(WebhookPage(data=(), next_cursor="a"))
    assert pages.next_call
    assert pages.next_call.params == {"limit": "100", "cursor": "a", "status": "active"}
    pages.take(WebhookPage(data=(), next_cursor=""))
    assert pages.next_call is None


def test_cursor_that_repeats_ends_the_walk() -> None:
    """A list that leads back into itself is an error, not an endless loop."""
    pages = Pages(lambda cursor: list_audit_logs_call(cursor=cursor))
    pages.take(AuditLogPage(data=(), next_cursor="a"))
    pages.take(AuditLogPage(data=(), next_cursor="b"))
    with pytest.raises(UnexpectedAnswer, match="nextCursor repeats") as caught:
        pages.take(AuditLogPage(data=(), next_cursor="a"))
    assert caught.value.path == "/v2/audit-logs"
