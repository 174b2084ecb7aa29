from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from featurebase_provider.featurebase.models import Health, RequestConfig, Webhook, WebhookPage
from featurebase_provider.featurebase.signing_secret import SigningSecret

FixtureJson = Callable[[str], Any]
SEEN = datetime(2025, 1, 15, 10, 30, tzinfo=timezone.utc)


def test_documented_webhook_is_read_in_full(fixture_json: FixtureJson) -> None:
    webhook = Webhook.model_validate(fixture_json("webhook"))
    assert webhook.secret == SigningSecret("whsec_abc123def456ghi789")
    assert webhook.fingerprint == SigningSecret("whsec_abc123def456ghi789").fingerprint
    assert webhook.topics == ("post.created", "post.updated")
    assert webhook.request_config.timeout_ms == 5000
    assert webhook.request_config.headers["X-Custom-Header"].get_secret_value() == "value"
    assert webhook.last_status
    assert (webhook.last_status.code, webhook.last_status.timestamp) == (200, SEEN)
    assert webhook.health.last_success_at == webhook.created_at == webhook.updated_at == SEEN
    assert (webhook.health.last_response_time, webhook.health.avg_response_time) == (150, 200)
    assert (webhook.name, webhook.status, webhook.version) == ("Production Webhook", "active", "1.0")


def test_unknown_fields_topics_and_statuses_are_accepted(fixture_json: FixtureJson) -> None:
    """Featurebase adds fields and topics within a version."""
    answer = {
        **fixture_json("webhook"),
        "topics": ["planet.aligned"],
        "status": "resting",
        "shiny": {"new": 1},
    }
    webhook = Webhook.model_validate(answer)
    assert (webhook.topics, webhook.status) == (("planet.aligned",), "resting")


def test_nulls_and_missing_fields_are_the_same(fixture_json: FixtureJson) -> None:
    """A young webhook has no figures yet; that must not stop a rotation."""
    answer = fixture_json("webhook")
    webhook = Webhook.model_validate({"id": answer["id"]})
    assert webhook == Webhook.model_validate({**dict.fromkeys(answer), "id": answer["id"]})
    assert (webhook.secret, webhook.fingerprint, webhook.last_status) == (None, None, None)
    assert (webhook.health, webhook.request_config) == (Health(), RequestConfig())
    assert (webhook.created_at, webhook.updated_at, webhook.topics) == (None, None, ())
    assert (webhook.name, webhook.url, webhook.status) == ("", "", "unrecognised")
    assert (webhook.health.consecutive_failures, webhook.health.errors_since_last_success) == (None, None)
    assert webhook.unread == ()
    assert Health.model_validate({"consecutiveFailures": None, "avgResponseTime": None}) == Health()
    assert RequestConfig.model_validate({"timeoutMs": None, "headers": None}) == RequestConfig()


def test_secret_is_absent_when_empty(fixture_json: FixtureJson) -> None:
    assert Webhook.model_validate({**fixture_json("webhook"), "secret": ""}).secret is None


@pytest.mark.parametrize("code", [None, 0, 504])
def test_last_status_of_a_delivery_without_an_answer(fixture_json: FixtureJson, code: int | None) -> None:
    last = {"code": code, "message": None, "timestamp": "2025-01-15T10:30:00.000Z"}
    webhook = Webhook.model_validate({**fixture_json("webhook"), "lastStatus": last})
    assert webhook.last_status
    assert (webhook.last_status.code, webhook.last_status.message) == (code, "")


def test_last_status_without_a_time_is_none(fixture_json: FixtureJson) -> None:
    """What does not say when it happened cannot be held against a rotation."""
    webhook = Webhook.model_validate({**fixture_json("webhook"), "lastStatus": {"code": 500, "message": "x"}})
    assert webhook.last_status is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "507f1f77bcf86cd79943901"),
        ("id", "507f1f77bcf86cd799439011\n"),
        ("secret", 12345),
        ("secret", ["whsec_abc123def456ghi789"]),
    ],
)
def test_an_odd_id_or_secret_is_named_without_its_value(fixture_json: FixtureJson, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook.model_validate({**fixture_json("webhook"), field: value})
    assert [fault["loc"] for fault in caught.value.errors()] == [(field,)]
    assert "whsec_abc123" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "unread"),
    [
        ({"lastStatus": {"code": 200, "timestamp": "2025-01-15T10:30:00"}}, ["lastStatus.timestamp"]),
        ({"lastStatus": {"code": 200, "timestamp": ""}}, ["lastStatus.timestamp"]),
        ({"lastStatus": "whsec_abc123def456ghi789"}, ["lastStatus"]),
        ({"health": []}, ["health"]),
        ({"health": {"lastSuccessAt": ""}}, ["health.lastSuccessAt"]),
        ({"health": {"consecutiveFailures": "many"}}, ["health.consecutiveFailures"]),
        ({"createdAt": "2025-01-15T10:30:00", "updatedAt": "soon"}, ["updatedAt", "createdAt"]),
        ({"createdAt": "9999-12-31T23:59:59Z", "updatedAt": "0001-01-01T00:00:00+14:00"}, ["updatedAt", "createdAt"]),
        ({"topics": "post.created"}, ["topics"]),
        ({"topics": [["a"], "post.created", {}]}, ["topics.2", "topics.0"]),
        ({"topics": ("what is no JSON", {})}, ["topics"]),
        ({"status": {}, "description": [], "version": True}, ["version", "status", "description"]),
        ({"requestConfig": "x"}, ["requestConfig"]),
        ({"requestConfig": {"timeoutMs": "soon", "headers": []}}, ["requestConfig.headers", "requestConfig.timeoutMs"]),
        ({"requestConfig": {"headers": {"X-\nKey": None}}}, ["requestConfig.headers.X- Key"]),
        ({"created_at": "odd", "createdAt": None}, ["created_at"]),
    ],
)
def test_odd_side_fields_are_named_and_count_as_absent(
    fixture_json: FixtureJson, changes: dict[str, Any], unread: list[str]
) -> None:
    """After a refresh the secret must reach the stores, whatever else the answer holds."""
    answer = fixture_json("webhook")
    webhook = Webhook.model_validate({**answer, **changes})
    assert list(webhook.unread) == unread
    assert webhook.secret == SigningSecret(answer["secret"])
    without = {name: value for name, value in answer.items() if name not in changes}
    topics = {"topics": ["post.created"]} if unread[0] == "topics.2" else {}
    assert webhook == Webhook.model_validate({**without, **topics}).knowing_unread(webhook._odd)
    assert Webhook.model_validate(answer).unread == ()


def test_what_is_odd_but_readable_is_read(fixture_json: FixtureJson) -> None:
    """A number where a text is expected has a text form; a result without its code still says when it was."""
    last = {"code": "refused", "message": 5, "timestamp": "2025-01-15T10:30:00Z"}
    webhook = Webhook.model_validate({**fixture_json("webhook"), "name": 7, "topics": [1, "a"], "lastStatus": last})
    assert (webhook.name, webhook.topics) == ("7", ("1", "a"))
    assert webhook.last_status
    assert (webhook.last_status.code, webhook.last_status.message, webhook.last_status.timestamp) == (None, "5", SEEN)
    assert webhook.unread == ("lastStatus.code",)


def test_an_answer_cannot_say_itself_what_was_unread(fixture_json: FixtureJson) -> None:
    odd = {"unread": ["secret"], "_odd": ["x"], "odd": 1}
    assert Webhook.model_validate({**fixture_json("webhook"), **odd}).unread == ()


def test_headers_that_are_no_text_are_masked_all_the_same(fixture_json: FixtureJson) -> None:
    """A credential is one, whatever it is wrapped in."""
    odd = {"X-Number": 123456, "X-List": ["hunter2", {"deep": ["hunter3", True]}], "X-Flag": True, "X-Null": None}
    webhook = Webhook.model_validate({**fixture_json("webhook"), "requestConfig": {"headers": odd}})
    assert sorted(webhook.secret_values()) == ["123456", "hunter2", "hunter3", "whsec_abc123def456ghi789"]
    assert {name: value.get_secret_value() for name, value in webhook.request_config.headers.items()} == {
        "X-Number": "123456"
    }
    assert sorted(webhook.unread) == [f"requestConfig.headers.{name}" for name in ("X-Flag", "X-List", "X-Null")]
    assert "hunter" not in f"{webhook!r} {webhook._odd!r} {webhook}"
    whole = Webhook.model_validate({**fixture_json("webhook"), "requestConfig": [{"headers": "hunter4"}]})
    assert "hunter4" in whole.secret_values()


def test_an_odd_webhook_hides_no_other_of_its_page(fixture_json: FixtureJson) -> None:
    """One without a usable secret is listed without it; one without an id can't be told from others."""
    page = fixture_json("webhook_list_page_1")
    odd = {**page["data"][0], "secret": ["whsec_odd"], "topics": 5}
    page["data"].append(odd)
    right, listed = WebhookPage.model_validate(page).data
    assert (right.unread, listed.unread, listed.secret) == ((), ("topics", "secret"), None)
    assert "whsec_odd" in listed.secret_values()
    for entry in ({**odd, "id": "7"}, {**odd, "id": None}, "odd", None):
        with pytest.raises(ValidationError) as caught:
            WebhookPage.model_validate({**page, "data": [page["data"][0], entry]})
        assert caught.value.errors()[0]["loc"][:2] == ("data", 1)
        assert "whsec_" not in str(caught.value)


def test_webhook_shows_and_gives_away_no_secret(fixture_json: FixtureJson) -> None:
    """Neither text, pickle nor JSON holds its secrets; header values count even without a signing secret."""
    answer = {**fixture_json("webhook"), "requestConfig": {"headers": {"Authorization": "hunter2"}}}
    for webhook in (Webhook.model_validate(answer), Webhook.model_validate({**answer, "secret": None})):
        for text in (repr(webhook), str(webhook)):
            assert "hunter2" not in text
            assert "whsec_abc" not in text
        with pytest.raises(TypeError, match="must not enter"):
            pickle.dumps(webhook)
    with pytest.raises(ValueError, match="must not be serialised"):
        Webhook.model_validate(answer).model_dump_json()


def test_secret_values_are_all_that_has_to_be_masked(fixture_json: FixtureJson) -> None:
    page = fixture_json("webhook_list_page_1")
    page["data"][0]["requestConfig"]["headers"]["X-Empty"] = ""
    page["data"].append({**page["data"][0], "secret": None})
    found = list(WebhookPage.model_validate(page).secret_values())
    assert found == ["whsec_abc123def456ghi789", "value", "value"]


def test_models_cannot_be_changed(fixture_json: FixtureJson) -> None:
    webhook = Webhook.model_validate(fixture_json("webhook"))
    with pytest.raises(ValidationError):
        webhook.status = "paused"  # type: ignore[misc]
