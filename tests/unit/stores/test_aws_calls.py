"""Answers of AWS in the form that AWS itself gives them, through boto3's own client."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from featurebase_provider.rotation.errors import StoreConflict, StoreError, StoreRefused, StoreUnreachable
from featurebase_provider.stores.shared.aws_calls import AwsCalls

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_0123456789abcdef_never_shown"
STORE = "aws_ssm (aws-ssm://aws_default/webhook)"
PUT = {"Name": "webhook", "Value": SECRET}


@pytest.fixture(scope="module")
def client() -> Any:
    return boto3.client("ssm", region_name="eu-north-1", aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def aws(client: Any) -> AwsCalls:
    return AwsCalls(STORE, client, advice="Grant it")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 400, StoreRefused),
        ("InvalidKeyId", 400, StoreRefused),
        ("ValidationException", 400, StoreRefused),
        ("ParameterMaxVersionLimitExceeded", 400, StoreRefused),
        ("UnrecognizedClientException", 400, StoreRefused),
        ("TooManyUpdates", 400, StoreConflict),
        ("ThrottlingException", 400, StoreUnreachable),
        ("ExpiredTokenException", 400, StoreUnreachable),
        ("RequestTimeout", 408, StoreUnreachable),
        ("SlowDown", 429, StoreUnreachable),
        ("InternalServerError", 500, StoreUnreachable),
        ("ServiceUnavailable", 503, StoreUnreachable),
    ],
)
def test_each_answer_is_one_of_our_errors(
    aws: AwsCalls, stub: Stubber, code: str, status: int, kind: type[StoreError]
) -> None:
    """AWS's code is told, its text is not: a validation error quotes what was sent."""
    stub.add_client_error("put_parameter", code, f"Value '{SECRET}' is not allowed", status)
    with pytest.raises(kind) as caught:
        aws.ask("put_parameter", "written", **PUT)
    shown = "".join(traceback.format_exception(caught.value))
    assert type(caught.value) is kind
    assert SECRET not in shown
    assert STORE in str(caught.value)


def test_a_request_that_boto3_itself_refuses_is_not_quoted(aws: AwsCalls) -> None:
    """boto3's validation of parameters quotes them too."""
    with pytest.raises(StoreRefused, match="ParamValidationError") as caught:
        aws.ask("put_parameter", "written", Name="webhook", Value=[SECRET])
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_code_with_odd_characters_is_not_shown(aws: AwsCalls, stub: Stubber) -> None:
    """A code that is no word could be anything."""
    stub.add_client_error("put_parameter", f"bad: {SECRET}", "", 400)
    with pytest.raises(StoreRefused, match="ClientError"):
        aws.ask("put_parameter", "written", **PUT)


def test_expected_codes_are_no_error(aws: AwsCalls, stub: Stubber) -> None:
    """A code that the caller expects is None; every other one is an error."""
    stub.add_client_error("put_parameter", "ParameterAlreadyExists", "", 400)
    assert aws.ask_unless({"ParameterAlreadyExists"}, "put_parameter", "written", **PUT) is None
    stub.add_client_error("put_parameter", "AccessDeniedException", "", 400)
    with pytest.raises(StoreRefused):
        aws.ask_unless({"ParameterAlreadyExists"}, "put_parameter", "written", **PUT)


@pytest.mark.parametrize("code", ["ValidationException", "InvalidParameterException"])
def test_an_attempt_may_make_no_sense(aws: AwsCalls, stub: Stubber, code: str) -> None:
    """What AWS thinks of a trial without effect does not matter, once it allowed it."""
    stub.add_client_error("put_parameter", code, "", 400)
    aws.attempt("put_parameter", **PUT)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 400, StoreRefused),
        ("403", 403, StoreRefused),
        ("ThrottlingException", 400, StoreUnreachable),
    ],
)
def test_an_attempt_may_not_be_denied(
    aws: AwsCalls, stub: Stubber, code: str, status: int, kind: type[StoreError]
) -> None:
    """A missing permission or an outage proves nothing."""
    stub.add_client_error("put_parameter", code, "", status)
    with pytest.raises(kind):
        aws.attempt("put_parameter", **PUT)


def test_a_failed_follow_up_is_a_warning(aws: AwsCalls, stub: Stubber, caplog: pytest.LogCaptureFixture) -> None:
    """The warning names the store and the code, and nothing of the request."""
    stub.add_client_error("put_parameter", "TooManyTagsError", SECRET, 400)
    with caplog.at_level(logging.WARNING):
        aws.follow_up("put_parameter", "written, but not its tags", **PUT)
    assert caplog.messages == [f"store {STORE}: written, but not its tags (TooManyTagsError)"]
