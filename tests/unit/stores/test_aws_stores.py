"""The configuration of both AWS store types, and how their client is built."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from featurebase_provider.rotation.errors import StoreUnusable
from featurebase_provider.stores.aws_secrets_manager import AwsSecretsManagerStore
from featurebase_provider.stores.aws_ssm import AwsSsmStore
from tests.contract.store_case import ready

if TYPE_CHECKING:
    from featurebase_provider.stores.shared.aws import AwsStore

ARN = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:apps/feedback-Ab12Cd"
BOTH = pytest.mark.parametrize("store", [AwsSecretsManagerStore, AwsSsmStore])


def message_of(store: type[AwsStore], **fields: Any) -> str:
    """The words of the one fault in these fields."""
    with pytest.raises(ValidationError) as caught:
        store(**{"name": "webhook", **fields})
    (fault,) = caught.value.errors()
    return str(fault["msg"])


def define(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", **connection}))


@BOTH
def test_the_defaults(store: type[AwsStore]) -> None:
    """Only a name is needed."""
    config = store(name="webhook")
    assert (config.conn_id, config.region, config.key, config.create) == ("aws_default", None, None, False)
    assert not config.keeps_previous
    assert store(name="webhook", key="a", previous_key="b").keeps_previous


@BOTH
def test_keys_that_cannot_be(store: type[AwsStore]) -> None:
    """A previous secret needs a JSON value and a key of its own."""
    assert "previous_key needs key" in message_of(store, previous_key="b")
    assert "must differ" in message_of(store, key="a", previous_key="a")


@BOTH
@pytest.mark.parametrize("region", ["eu-north-1", "us-gov-west-1", "us-isob-east-1", "ap-southeast-10"])
def test_regions(store: type[AwsStore], region: str) -> None:
    """A region is part of the target."""
    assert f"aws_default@{region}/webhook" in store(name="webhook", region=region).target


@BOTH
@pytest.mark.parametrize("fields", [{"region": "Stockholm"}, {"kms_key_id": "my key", "create": True}, {"conn_id": ""}])
def test_fields_that_cannot_be(store: type[AwsStore], fields: dict[str, Any]) -> None:
    """A region, a key and a connection have the form that they have in AWS and Airflow."""
    with pytest.raises(ValidationError):
        store(name="webhook", **fields)


@pytest.mark.parametrize("name", ["webhook", "/apps/feedback/webhook-secret", "a_b+c=d.e@f", ARN])
def test_names_of_secrets(name: str) -> None:
    """A secret is named by its name or its ARN."""
    assert AwsSecretsManagerStore(name=name).target.endswith(name)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "web hook"}, "1 to 512 of the characters"),
        ({"name": "a" * 513}, "1 to 512 of the characters"),
        ({"name": "arn:aws:s3:::bucket"}, "full ARN"),
        ({"name": ARN, "region": "us-east-1"}, "is of the region eu-north-1"),
        ({"name": ARN, "create": True}, "cannot be created by its ARN"),
        ({"kms_key_id": "alias/feedback"}, "write create: true"),
    ],
)
def test_secrets_that_cannot_be(fields: dict[str, Any], words: str) -> None:
    """The error says what to write instead."""
    assert words in message_of(AwsSecretsManagerStore, **fields)


def test_the_arn_says_the_region() -> None:
    """With an ARN no region is needed, and saying it again is the same target."""
    assert AwsSecretsManagerStore(name=ARN).used_region == "eu-north-1"
    assert AwsSecretsManagerStore(name=ARN).target == AwsSecretsManagerStore(name=ARN, region="eu-north-1").target


@pytest.mark.parametrize("name", ["webhook", "/webhook", "/apps/feedback/webhook", "/" + "/".join("a" * 15)])
def test_names_of_parameters(name: str) -> None:
    """A parameter is named by its name or its path."""
    assert AwsSsmStore(name=name).target == f"aws-ssm://aws_default/{name.lstrip('/')}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("apps/feedback", "begins with /"),
        ("/" + "/".join("a" * 16), "15 parts at most"),
        ("//webhook", "begins with /"),
        ("/webhook/", "begins with /"),
        ("web hook", "A-Z a-z 0-9"),
        ("/webhook:live", "no version or label"),
        ("arn:aws:ssm:eu-north-1:123456789012:parameter/webhook", "not an ARN"),
        ("/aws/webhook", "reserves"),
        ("SSMwebhook", "reserves"),
    ],
)
def test_parameters_that_cannot_be(name: str, words: str) -> None:
    """The error says which names there are."""
    assert words in message_of(AwsSsmStore, name=name)


@BOTH
def test_a_missing_extra_says_what_to_install(store: type[AwsStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """Configuring works without the client; arming says how to get it."""
    monkeypatch.setitem(sys.modules, "airflow.providers.amazon.aws.hooks.base_aws", None)
    config = store(name="webhook")
    with pytest.raises(StoreUnusable, match=rf"pip install 'airflow-provider-featurebase\[{config.type}\]'"):
        ready(config)


@BOTH
def test_a_missing_region_is_said_before_anything_happens(
    store: type[AwsStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a region boto3 builds no client."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    define(monkeypatch, login="a", password="b")
    with pytest.raises(StoreUnusable, match="NoRegionError"):
        ready(store(name="webhook"))


@BOTH
def test_missing_credentials_are_said_before_anything_happens(
    store: type[AwsStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the connection nor the worker has any."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    define(monkeypatch, extra={"region_name": "eu-north-1"})
    with pytest.raises(StoreUnusable, match="has AWS credentials"):
        ready(store(name="webhook"))


@BOTH
def test_the_store_bounds_the_client(store: type[AwsStore], monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout is the store's; whatever else the connection says of the client stays."""
    define(
        monkeypatch,
        login="a",
        password="b",
        extra={
            "region_name": "eu-north-1",
            "config_kwargs": {"read_timeout": 600, "retries": {"max_attempts": 10}, "tcp_keepalive": True},
        },
    )
    armed: Any = ready(store(name="webhook", timeout=8))
    used = armed.client._client.meta.config
    assert (used.connect_timeout, used.read_timeout, used.tcp_keepalive) == (4, 4, True)
    assert used.retries["total_max_attempts"] == 2
    armed.close()


def test_the_region_of_the_store_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection's region is the default only."""
    define(monkeypatch, login="a", password="b", extra={"region_name": "eu-north-1"})
    for config, region in (
        (AwsSsmStore(name="w"), "eu-north-1"),
        (AwsSsmStore(name="w", region="us-east-1"), "us-east-1"),
    ):
        armed: Any = ready(config)
        assert armed.client._client.meta.region_name == region
        armed.close()


def test_a_secret_that_aws_rotates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's own rotation would replace Featurebase's secret by one that signs nothing."""
    from botocore.stub import Stubber

    from featurebase_provider.rotation.errors import StoreRefused

    define(monkeypatch, login="a", password="b", extra={"region_name": "eu-north-1"})
    armed: Any = ready(AwsSecretsManagerStore(name="webhook"))
    version = "0" * 36
    with Stubber(armed.client._client) as stub:
        stub.add_response(
            "describe_secret",
            {"ARN": ARN, "RotationEnabled": True, "VersionIdsToStages": {version: ["AWSCURRENT"]}},
            {"SecretId": "webhook"},
        )
        stub.add_response(
            "get_secret_value",
            {"ARN": ARN, "VersionId": version, "SecretString": "whsec_0123456789"},
            {"SecretId": ARN, "VersionStage": "AWSCURRENT"},
        )
        with pytest.raises(StoreRefused, match="AWS rotates this secret itself"):
            armed.prove_writable()
        stub.assert_no_pending_responses()


def test_parsing_imports_no_client() -> None:
    """Configurations are read whenever Airflow parses Dag files, and must not load boto3."""
    import subprocess

    probe = (
        "import sys; from featurebase_provider.stores.registry import store_class;"
        "[store_class(name)(name='webhook') for name in ('aws_ssm', 'aws_secrets_manager')];"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout.split()
    assert not {"boto3", "botocore", "airflow"} & set(loaded)
