from __future__ import annotations

import pickle

import pytest

from featurebase_provider.featurebase.errors import (
    ApiError,
    ApiUnavailable,
    ApiUnreachable,
    AuthenticationFailed,
    CertificateRefused,
    FeaturebaseError,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    SettingsInvalid,
    SignatureRejected,
    UnexpectedAnswer,
    WebhookNotFound,
)

ERRORS = [
    SettingsInvalid("connection featurebase_default", "the API key is empty"),
    SignatureRejected("it has no header"),
    InvalidRequest("POST", "/v2/webhooks", 400, "invalid_request_error", "bad", "no.", "url"),
    WebhookNotFound("GET", "/v2/webhooks/x", 404),
    AuthenticationFailed("GET", "/v2/webhooks", 401),
    PermissionDenied("GET", "/v2/webhooks", 403),
    RateLimited("GET", "/v2/webhooks", 429, retry_after=12.0),
    ApiUnavailable("POST", "/v2/webhooks/x/secret", 503),
    UnexpectedAnswer("GET", "/v2/webhooks", 200, detail="the body is not JSON", body_broken=True),
    ApiUnreachable("GET", "/v2/webhooks", detail="ConnectError", was_sent=False),
    CertificateRefused("GET", "/v2/webhooks", detail="ConnectError", was_sent=False),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_survives_pickling(error: FeaturebaseError) -> None:
    """An error says and holds the same after it went to another process."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.args == error.args


def test_message_names_call_answer_cause_and_state() -> None:
    """One line tells what failed, where, why, what state things are in and what to do."""
    assert str(ERRORS[2]) == (
        "Featurebase answered 400 to POST /v2/webhooks (type invalid_request_error, code bad, param url): "
        "no. Nothing was changed; the same request will fail again: check the rotation file, and the "
        "connection's base URL and API version."
    )
    assert "asks to wait 12 s" in str(ERRORS[6])
    assert str(ERRORS[0]) == "connection featurebase_default: the API key is empty"
    assert str(ERRORS[1]) == "delivery refused: it has no header"


def test_message_of_the_base_class_ends_without_advice() -> None:
    error = ApiError("GET", "/v2/webhooks", 418)
    assert str(error) == "Featurebase answered 418 to GET /v2/webhooks"
    assert (error.advice, error.to_do) == ("", "")


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (ApiUnavailable("POST", "/p", 500), False),
        (UnexpectedAnswer("POST", "/p", 200), False),
        (ApiUnreachable("POST", "/p"), False),
        (ApiUnreachable("POST", "/p", was_sent=False), True),
        (ApiUnreachable("GET", "/p"), True),
        (ApiUnavailable("GET", "/p", 500), True),
        (RateLimited("POST", "/p", 429), True),
        (InvalidRequest("POST", "/p", 400), True),
        (InvalidRequest("POST", "/p", None), True),
        (InvalidRequest("POST", "/p", 408), False),
        (InvalidRequest("POST", "/p", 500), False),
    ],
)
def test_outcome_of_a_write_is_unknown_unless_it_was_refused_or_never_sent(error: ApiError, known: bool) -> None:
    """Only a refusal or a failed connection proves that a write did not happen; a read changes nothing."""
    assert error.outcome_known is known
    assert ("The call may still have taken effect" in str(error)) is not known
    assert ("Nothing was changed" in str(error)) is known


def test_a_task_can_say_what_state_things_are_in() -> None:
    """After the refresh "nothing was changed" would mislead; the state outlives a pickle, as all facts do."""
    error = RateLimited("GET", "/p", 429)
    error.state = "The stores hold the new secret"
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == "Featurebase answered 429 to GET /p. The stores hold the new secret; a retry is safe."
    assert (copy.summary, copy.to_do) == ("Featurebase answered 429 to GET /p", "A retry is safe.")


def test_unsent_and_unanswered_calls_read_differently() -> None:
    assert str(InvalidRequest("GET", "/p", None)).startswith("GET /p was not sent.")
    assert str(ApiUnreachable("GET", "/p", was_sent=False)).startswith("GET /p could not be sent.")
    assert str(ApiUnreachable("GET", "/p")).startswith("Featurebase gave no answer to GET /p.")


def test_what_to_do_about_a_deleted_webhook_depends_on_what_it_was() -> None:
    error = WebhookNotFound("GET", "/v2/webhooks/1", 404)
    assert str(error).endswith("If the webhook was deleted, remove it from the rotation file.")
    error.advise_if_deleted("name the other one")
    assert str(error).endswith("belongs to its workspace. If the webhook was deleted, name the other one.")
    assert str(WebhookNotFound("GET", "/v2/webhooks/1", 404)).endswith("remove it from the rotation file.")


def test_errors_say_whether_a_retry_helps() -> None:
    """What the same request cannot mend is told from what passes."""
    helps = {type(error).__name__ for error in ERRORS if error.retry_helps}
    assert helps == {"RateLimited", "ApiUnavailable", "UnexpectedAnswer", "ApiUnreachable", "CertificateRefused"}
