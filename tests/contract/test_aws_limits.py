"""What the AWS stores refuse, or warn of, before the refresh: limits and places where a write would not last."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoreMark
from tests.contract.aws_cases import AwsCase, SecretsManagerJsonCase, SsmJsonCase
from tests.contract.s3_cases import moto_server
from tests.contract.store_case import HELD, NEW, ready, write_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurebase_provider.rotation.store import ArmedStore

MARK = StoreMark("507f1f77bcf86cd799439011", fingerprint_of(NEW), "https://airflow.example.com/ops")
PAIR = SecretPair(SigningSecret(NEW))


@pytest.fixture
def secrets() -> Iterator[SecretsManagerJsonCase]:
    built = SecretsManagerJsonCase()
    yield built
    built.close()


@pytest.fixture
def parameters() -> Iterator[SsmJsonCase]:
    built = SsmJsonCase()
    yield built
    built.close()


@pytest.fixture(params=[SecretsManagerJsonCase, SsmJsonCase])
def case(request: pytest.FixtureRequest) -> Iterator[AwsCase]:
    built: AwsCase = request.param()
    yield built
    built.close()


def refusing(armed: Any, operation: str) -> None:
    """Let AWS answer an operation as it answers what is too long; moto takes every length."""
    client = armed.client._client
    answer = {"Error": {"Code": "ValidationException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    client.meta.events.register(
        f"before-call.{client.meta.service_model.service_name}.{operation}",
        lambda **_: (SimpleNamespace(status_code=400), answer),
    )


def put_parameter(case: SsmJsonCase, text: str | None = None, **settings: Any) -> None:
    case.client.put_parameter(Name=case.name, Value=text or case.text(HELD), Type="SecureString", **settings)


def of_length(case: AwsCase, size: int) -> str:
    return case.text(HELD).replace("1", json.dumps("x" * (size - len(case.text(HELD)) - 1)), 1)


def refused(armed: ArmedStore, match: str) -> str:
    with pytest.raises(StoreRefused, match=match) as caught:
        armed.prove_writable()
    assert HELD not in str(caught.value)
    return str(caught.value)


def test_a_replica_names_the_primary_region(secrets: SecretsManagerJsonCase) -> None:
    """A replica is no matter of KMS keys: the message says which region to write."""
    secrets.client.create_secret(
        Name=secrets.name, SecretString=secrets.text(HELD), AddReplicaRegions=[{"Region": "eu-west-1"}]
    )
    before = secrets.evidence()
    replica = ready(secrets.config(region="eu-west-1"))
    for call in (replica.read, replica.prove_writable):
        with pytest.raises(StoreRefused, match=r"replica of the one in us-east-1.*Write region: us-east-1") as caught:
            call()
        assert "KMS" not in str(caught.value)
    assert secrets.evidence() == before
    assert not ready(secrets.config()).prove_writable().warning


def test_a_region_that_aws_could_not_copy_to_is_named(secrets: SecretsManagerJsonCase) -> None:
    """Readers there go on with what they have, though the write succeeds."""
    elsewhere = boto3.client(
        "secretsmanager",
        region_name="eu-west-1",
        endpoint_url=moto_server()[1],
        aws_access_key_id="root",
        aws_secret_access_key="root",
    )
    elsewhere.create_secret(Name=secrets.name, SecretString="theirs")
    secrets.client.create_secret(
        Name=secrets.name, SecretString=secrets.text(HELD), AddReplicaRegions=[{"Region": "eu-west-1"}]
    )
    proof = ready(secrets.config()).prove_writable()
    assert proof.proven
    assert "could not copy the secret to eu-west-1" in proof.warning
    elsewhere.close()


def test_a_secret_of_another_service_is_refused(secrets: SecretsManagerJsonCase) -> None:
    """A service such as RDS replaces the value of the secrets that it manages."""
    owner = {"Key": "aws:secretsmanager:owningService", "Value": "rds"}
    secrets.client.create_secret(Name=secrets.name, SecretString=secrets.text(HELD), Tags=[owner])
    refused(ready(secrets.config()), "managed by the AWS service rds")


def test_a_secret_with_too_many_labels_is_refused(secrets: SecretsManagerJsonCase) -> None:
    """The label of a new version would be one too many; one fewer leaves room."""
    secrets.put(HELD)
    stages = [f"theirs-{number}" for number in range(18)]  # and AWSCURRENT, AWSPREVIOUS, featurebase
    version = secrets.client.put_secret_value(
        SecretId=secrets.name, SecretString=secrets.text(HELD), VersionStages=["AWSCURRENT", *stages]
    )["VersionId"]
    assert "Remove labels" in refused(ready(secrets.config()), "20 staging labels, and AWS allows 20")
    secrets.client.update_secret_version_stage(
        SecretId=secrets.name, VersionStage=stages[0], RemoveFromVersionId=version
    )
    assert ready(secrets.config()).prove_writable().proven


def test_a_write_that_is_refused_names_the_limit(case: AwsCase) -> None:
    """Where no preflight stopped it, as in an emergency, the message is no advice about KMS keys."""
    case.put_text(of_length(case, case.limit))
    armed = ready(case.config())
    held = armed.read()
    refusing(armed, {"secretsmanager": "PutSecretValue", "ssm": "PutParameter"}[case.service])
    with pytest.raises(StoreRefused, match="takes") as caught:
        write_to(armed, SecretPair(armed.trial), held=held, mark=MARK)
    assert "KMS" not in str(caught.value)
    assert armed.trial.reveal() not in str(caught.value)


def test_a_refusal_of_another_kind_says_what_aws_said(case: AwsCase) -> None:
    """A text that is within the limits was refused for another reason."""
    case.put(HELD)
    armed = ready(case.config())
    held = armed.read()
    refusing(armed, {"secretsmanager": "PutSecretValue", "ssm": "PutParameter"}[case.service])
    with pytest.raises(StoreRefused, match=r"could not be written \(ValidationException\)"):
        write_to(armed, PAIR, held=held, mark=MARK)


def test_an_advanced_parameter_holds_twice_as_much(parameters: SsmJsonCase) -> None:
    """The tier decides, and the message says how to change it."""
    put_parameter(parameters, of_length(parameters, 4_090), Tier="Standard")
    assert "--tier Advanced" in refused(ready(parameters.config()), "standard tier takes 4,096")
    put_parameter(parameters, of_length(parameters, 4_090), Tier="Advanced", Overwrite=True)
    assert ready(parameters.config()).prove_writable().proven
    put_parameter(parameters, of_length(parameters, 8_190), Tier="Advanced", Overwrite=True)
    assert "Secrets Manager" in refused(ready(parameters.config()), "advanced tier takes 8,192")


def test_a_pattern_that_a_secret_cannot_match_is_refused(parameters: SsmJsonCase) -> None:
    """As one for the old secret only."""
    put_parameter(parameters, AllowedPattern=r'^\{"a": 1, "current": "whsec_[a-z0-9_]{1,40}"\}$')
    assert "Widen the pattern" in refused(ready(parameters.config()), "AllowedPattern does not match")


@pytest.mark.parametrize("pattern", [r"whsec_", r"[\p{Alnum}\p{Punct} ]+", r"[a-zA-Z&&[^x]]|\{.*"])
def test_a_pattern_that_cannot_be_compared_is_not_proven(parameters: SsmJsonCase, pattern: str) -> None:
    """AWS does not document which kind of expression it is, or whether it must match all of the value."""
    put_parameter(parameters, AllowedPattern=pattern)
    proof = ready(parameters.config()).prove_writable()
    assert (proof.proven, "AllowedPattern" in proof.detail) == (False, True)


def test_a_full_history_with_a_labelled_end_is_refused(parameters: SsmJsonCase) -> None:
    """AWS drops the oldest of 100 versions for a new one, unless it has a label: moto does the same."""
    for number in range(100):
        put_parameter(parameters, parameters.text(f"{HELD}{number}"), Overwrite=True)
    assert ready(parameters.config()).prove_writable().proven
    parameters.client.label_parameter_version(Name=parameters.name, ParameterVersion=1, Labels=["live"])
    armed = ready(parameters.config())
    assert "label-parameter-version" in refused(armed, "100 versions")
    with pytest.raises(StoreRefused, match="100 versions"):
        write_to(armed, PAIR, held=armed.read(), mark=MARK)


def test_policies_outlive_a_write(parameters: SsmJsonCase) -> None:
    """They are AWS's to keep: sending none preserves them."""
    parameters.put_for_a_while(HELD)
    before = parameters.client.get_parameter_history(Name=parameters.name)["Parameters"][-1]["Policies"]
    armed = ready(parameters.config())
    write_to(armed, PAIR, held=armed.read(), mark=MARK)
    newest = parameters.client.get_parameter_history(Name=parameters.name)["Parameters"][-1]
    assert (newest["Policies"], newest["Tier"]) == (before, "Advanced")
