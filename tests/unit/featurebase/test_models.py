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
    optional = ("description", "secret", "version", "requestConfig", "lastStatus", "health")
    required = {name: value for name, value in fixture_json("webhook").items() if name not in optional}
    webhook = Webhook.model_validate(required)
    assert webhook == Webhook.model_validate({**required, **dict.fromkeys(optional)})
    assert (webhook.secret, webhook.fingerprint, webhook.last_status) == (None, None, None)
    assert (webhook.health, webhook.request_config) == (Health(), RequestConfig())
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
        ("createdAt", "2025-01-15T10:30:00"),
        ("updatedAt", None),
        ("topics", "post.created"),
        ("lastStatus", "whsec_abc123def456ghi789"),
        ("health", []),
    ],
)
def test_wrong_shape_names_the_field_but_no_value(fixture_json: FixtureJson, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook.model_validate({**fixture_json("webhook"), field: value})
    assert [fault["loc"] for fault in caught.value.errors()] == [(field,)]
    assert "whsec_abc123" not in str(caught.value)


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
