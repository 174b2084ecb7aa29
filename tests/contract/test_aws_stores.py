"""What the AWS stores do beside the common conformance, against the real moto server."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from featurebase_provider.featurebase.signing_secret import SigningSecret, fingerprint_of
from featurebase_provider.rotation.errors import (
    StoreConflict,
    StoreForeignValue,
    StoreRefused,
    StoreUnreachable,
    StoreUnusable,
)
from featurebase_provider.rotation.one_store import WriteRule
from featurebase_provider.rotation.store import SecretPair, StoreMark
from tests.contract.aws_cases import (
    AwsCase,
    SecretsManagerJsonCase,
    SecretsManagerRawCase,
    SsmJsonCase,
    SsmRawCase,
    policy,
)
from tests.contract.s3_cases import moto_server
from tests.contract.store_case import HELD, HELD_PREVIOUS, NEW, THEIRS, ready, write_to
from tests.servers.local_server import free_port
from tests.servers.relay import Relay, relay_to
from tests.world.converge import converge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from featurebase_provider.rotation.store import ArmedStore

WEBHOOK = "507f1f77bcf86cd799439011"
MARK = StoreMark(WEBHOOK, fingerprint_of(NEW), "https://airflow.example.com/ops")
CASES = {case.__name__: case for case in (SecretsManagerRawCase, SecretsManagerJsonCase, SsmRawCase, SsmJsonCase)}
DOCS = Path(__file__).parents[2] / "docs" / "stores"


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Iterator[AwsCase]:
    built: AwsCase = CASES[request.param]()
    yield built
    built.close()


@pytest.fixture
def secrets() -> Iterator[SecretsManagerJsonCase]:
    built = SecretsManagerJsonCase()
    yield built
    built.close()


@pytest.fixture
def secret() -> Iterator[SecretsManagerRawCase]:
    built = SecretsManagerRawCase()
    yield built
    built.close()


@pytest.fixture
def parameters() -> Iterator[SsmJsonCase]:
    built = SsmJsonCase()
    yield built
    built.close()


def pair(current: str, previous: str | None = None) -> SecretPair:
    return SecretPair(SigningSecret(current), SigningSecret(previous) if previous else None)


def rule(**changes: Any) -> WriteRule:
    return WriteRule(WEBHOOK, "https://airflow.example.com/ops", **changes)


@contextmanager
def relayed(case: AwsCase, **fields: Any) -> Iterator[tuple[ArmedStore, Relay]]:
    """The case's store, armed through a relay."""
    upstream = urlsplit(moto_server()[1])
    with relay_to(str(upstream.hostname), int(upstream.port or 0)) as relay:
        conn_id = case.connection("root", "root", f"http://127.0.0.1:{relay.port}")
        armed = ready(case.config(conn_id=conn_id, **fields))
        yield armed, relay
        armed.close()


def just_before(armed: Any, operation: str, act: Callable[[], object]) -> None:
    """Let somebody else act once, right before the store's client sends this operation."""
    client = armed.client._client
    once: list[object] = [act]

    def handler(**_: Any) -> None:
        if once:
            once.pop()
            act()

    client.meta.events.register(f"before-call.{client.meta.service_model.service_name}.{operation}", handler)


def test_connections_closed_between_arm_and_write(case: AwsCase) -> None:
    """A client whose connections were closed meanwhile opens new ones and writes."""
    case.put(HELD)
    with relayed(case) as (armed, relay):
        held = armed.read()
        relay.cut()
        write_to(armed, pair(NEW), held=held, mark=MARK)
        relay.cut()
        assert armed.read().current == SigningSecret(NEW)


def test_a_silent_server_is_given_up_on(case: AwsCase) -> None:
    """A server that accepts and never answers costs about the store's timeout, and what was there stays."""
    case.put(HELD)
    with relayed(case, timeout=0.5) as (armed, relay):
        held = armed.read()
        relay.fall_silent()
        started = time.monotonic()
        with pytest.raises(StoreUnreachable, match="Timeout"):
            write_to(armed, pair(NEW), held=held, mark=MARK)
        assert time.monotonic() - started < 10
    seen = case.seen()
    assert seen is not None
    assert seen.current == HELD


def test_a_dead_server_cannot_be_read_after_arming(case: AwsCase) -> None:
    """Arming does not speak with the service; the first call says that it is down."""
    with case.server_down() as config:
        armed = ready(config)
        with pytest.raises(StoreUnreachable):
            armed.prove_writable()


def test_a_mark_counts_for_the_value_it_was_written_with(case: AwsCase) -> None:
    """Tags outlive a foreign value, which is foreign all the same."""
    case.put(HELD)
    armed = ready(case.config())
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert armed.read().mark == MARK
    if isinstance(case, SecretsManagerRawCase):
        version = case.client.put_secret_value(
            SecretId=case.name, SecretString=case.text(THEIRS), VersionStages=["theirs"]
        )["VersionId"]
        case.client.update_secret_version_stage(
            SecretId=case.name,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=armed.read().version.version,
            MoveToVersionId=version,
        )
    else:
        case.put(THEIRS)
    with pytest.raises(StoreForeignValue):
        converge(armed, SigningSecret(NEW), rule())


def test_an_unknown_connection_is_an_error(case: AwsCase) -> None:
    """A misspelt connection does not quietly use whatever credentials the worker has."""
    with pytest.raises(StoreUnusable, match="no connection 'no_such_connection'"):
        ready(case.config(conn_id="no_such_connection"))


def test_the_documented_policy_is_enough(case: AwsCase) -> None:
    """The policy that the docs say to grant allows the proof and the write; moto knows no resource but ``*``."""
    case.put(HELD)
    text = (DOCS / f"{case.config().type}.md").read_text()
    document = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    actions = [action for statement in document["Statement"] for action in statement["Action"]]
    with case.allowed(policy(*actions)) as config:
        armed = ready(config)
        assert armed.prove_writable().proven
        assert converge(armed, SigningSecret(NEW), rule(adopt=True))
        assert armed.read().mark == MARK


def test_the_documented_policy_is_enough_to_create(case: AwsCase) -> None:
    """Creating needs what the docs say beside, and no more."""
    text = (DOCS / f"{case.config().type}.md").read_text()
    document = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    beside = {"secretsmanager:CreateSecret"} if case.service == "secretsmanager" else set()
    with case.allowed(policy(*actions, *beside)) as allowed:
        armed = ready(case.config(conn_id=allowed.conn_id, create=True))
        assert converge(armed, SigningSecret(NEW), rule())
        assert armed.read().mark == MARK


@pytest.mark.parametrize("case", ["SecretsManagerRawCase", "SsmRawCase"], indirect=True)
def test_each_permission_of_the_policy_is_missed(case: AwsCase) -> None:
    """Without any one of them, the proof refuses and nothing was changed."""
    case.put(HELD)
    text = (DOCS / f"{case.config().type}.md").read_text()
    document = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    actions = {action for statement in document["Statement"] for action in statement["Action"]}
    before = case.evidence()
    for left_out in sorted(actions):
        with (
            case.allowed(policy(*actions - {left_out})) as config,
            pytest.raises(StoreRefused, match="403"),
        ):  # moto says AccessDenied in IAM's XML, AWS in JSON
            ready(config).prove_writable()
    assert case.evidence() == before


def test_a_missing_tag_permission_does_not_undo_a_write(case: AwsCase, caplog: pytest.LogCaptureFixture) -> None:
    """Once the value is in place, tags that can't be written are a warning."""
    case.put(HELD)
    write = {
        "secretsmanager": ("secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"),
        "ssm": ("ssm:PutParameter",),
    }[case.service]
    with case.allowed(policy(*case.may_read, *write)) as config:
        armed = ready(config)
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
        assert armed.read().current == SigningSecret(NEW)
    assert "its tags" in caplog.text
    assert NEW not in caplog.text


def test_a_writer_in_the_last_instant_wins_over_us(secret: SecretsManagerRawCase) -> None:
    """AWS itself refuses to move the label from a version that is no longer current; ours is withdrawn."""
    secret.put(HELD)
    armed = ready(secret.config())
    held = armed.read()
    just_before(armed, "UpdateSecretVersionStage", lambda: secret.put(THEIRS))
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    seen = secret.seen()
    assert seen is not None
    assert seen.current == THEIRS
    stages = secret.client.describe_secret(SecretId=secret.name)["VersionIdsToStages"].values()
    assert sorted(stages) == [[], ["AWSCURRENT"], ["AWSPREVIOUS"]]


def test_a_label_that_cannot_be_moved_is_no_conflict(secret: SecretsManagerRawCase) -> None:
    """If AWS declines although nobody wrote, trying again would not help, and the error says what readers see."""
    secret.put(HELD)
    armed: Any = ready(secret.config())

    armed.client._client.meta.events.register(
        "before-parameter-build.secretsmanager.UpdateSecretVersionStage",
        lambda params, **_: params.update({"RemoveFromVersionId": "0" * 36}),
    )
    with pytest.raises(StoreRefused, match="readers see the old one"):
        write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    seen = secret.seen()
    assert seen is not None
    assert seen.current == HELD


def test_a_lost_answer_is_no_conflict(secret: SecretsManagerRawCase) -> None:
    """If the label was moved already when the client repeats its call, the write is done."""
    secret.put(HELD)
    armed = ready(secret.config())
    held = armed.read()

    def first_try() -> None:
        stages = secret.client.describe_secret(SecretId=secret.name)["VersionIdsToStages"]
        (ours,) = (version for version, labels in stages.items() if "featurebase" in labels)
        secret.client.update_secret_version_stage(
            SecretId=secret.name,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=held.version.version,
            MoveToVersionId=ours,
        )

    just_before(armed, "UpdateSecretVersionStage", first_try)
    write_to(armed, pair(NEW), held=held, mark=MARK)
    assert (armed.read().current, armed.read().mark) == (SigningSecret(NEW), MARK)


def test_a_role_is_assumed_while_arming(case: AwsCase) -> None:
    """A connection with a role reaches the store; one whose token service is down fails before anything else."""
    case.put(HELD)
    role = {"role_arn": "arn:aws:iam::123456789012:role/rotation"}
    service = {"service_config": {"sts": {"endpoint_url": moto_server()[1]}}}
    assert ready(case.config(conn_id=case.connection("root", "root", **role, **service))).read().current is not None
    nobody = {"service_config": {"sts": {"endpoint_url": f"http://127.0.0.1:{free_port()}"}}}
    with pytest.raises(StoreUnreachable, match="armed"):
        ready(case.config(conn_id=case.connection("root", "root", **role, **nobody), timeout=0.5))


def test_a_secret_without_the_right_to_move_labels_stays(secret: SecretsManagerRawCase) -> None:
    """If only the second step is denied, readers see the old value and the write says so."""
    secret.put(HELD)
    with secret.allowed(policy(*secret.may_read, "secretsmanager:PutSecretValue")) as config:
        armed = ready(config)
        with pytest.raises(StoreRefused, match="made current"):
            write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    seen = secret.seen()
    assert seen is not None
    assert seen.current == HELD


def test_aws_keeps_the_version_before(secret: SecretsManagerRawCase) -> None:
    """The version before stays readable as AWSPREVIOUS, until its label is taken away as the docs say."""
    secret.put(HELD)
    armed = ready(secret.config())
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    before = secret.client.get_secret_value(SecretId=secret.name, VersionStage="AWSPREVIOUS")
    assert before["SecretString"] == HELD
    secret.client.update_secret_version_stage(
        SecretId=secret.name, VersionStage="AWSPREVIOUS", RemoveFromVersionId=before["VersionId"]
    )
    with pytest.raises(secret.client.exceptions.ResourceNotFoundException):
        secret.client.get_secret_value(SecretId=secret.name, VersionStage="AWSPREVIOUS")
    assert armed.read().current == SigningSecret(NEW)


def test_a_secret_without_a_value_gets_its_first(secret: SecretsManagerRawCase) -> None:
    """A secret that was created empty needs no ``create: true``."""
    secret.client.create_secret(Name=secret.name)
    armed = ready(secret.config())
    assert armed.read().current is None
    assert not armed.prove_writable().proven
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert armed.read().current == SigningSecret(NEW)


def test_a_rival_gives_an_empty_secret_its_first_value(secret: SecretsManagerRawCase) -> None:
    """If two give an empty secret a value, the first stays."""
    secret.client.create_secret(Name=secret.name)
    armed = ready(secret.config())
    held = armed.read()
    just_before(armed, "PutSecretValue", lambda: secret.put(THEIRS))
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=held, mark=MARK)
    assert armed.read().current == SigningSecret(THEIRS)


def test_a_secret_can_be_named_by_its_arn(secret: SecretsManagerRawCase) -> None:
    """The ARN says the region, whatever the connection says."""
    secret.put(HELD)
    arn = secret.client.describe_secret(SecretId=secret.name)["ARN"]
    conn_id = secret.connection("root", "root", region_name="eu-north-1")
    armed = ready(secret.config(name=arn, conn_id=conn_id))
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert armed.read().current == SigningSecret(NEW)


def test_a_new_secret_gets_the_configured_key(secret: SecretsManagerRawCase) -> None:
    """The KMS key of a created secret is the configured one."""
    armed = ready(secret.config(create=True, kms_key_id="alias/feedback"))
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert secret.client.describe_secret(SecretId=secret.name)["KmsKeyId"] == "alias/feedback"
    proof = armed.prove_writable()
    assert (proof.proven, "KMS key" in proof.detail) == (False, True)


def test_other_keys_written_meanwhile_stay(secrets: SecretsManagerJsonCase) -> None:
    """Somebody who adds a key of their own between our read and our write loses nothing."""
    secrets.put(HELD)
    armed = ready(secrets.config())
    held = armed.read()
    secrets.put_text(json.dumps({"theirs": 2, "current": HELD}))
    assert converge(
        armed, SigningSecret(NEW), rule(known=frozenset({fingerprint_of(HELD)}), keeps_previous=True), held=held
    )
    seen = secrets.seen()
    assert seen is not None
    assert (seen.current, seen.previous, seen.others[0]) == (NEW, HELD, {"theirs": 2})


def test_other_keys_written_in_the_last_instant_come_back(parameters: SsmJsonCase) -> None:
    """A parameter that was overwritten between look and put is written again with the other writer's keys."""
    parameters.put(HELD, HELD_PREVIOUS)
    armed = ready(parameters.config())
    held = armed.read()
    just_before(armed, "PutParameter", lambda: parameters.put_text(json.dumps({"theirs": 2, "current": HELD})))
    write_to(armed, pair(NEW, HELD), held=held, mark=MARK)
    seen = parameters.seen()
    assert seen is not None
    assert (seen.current, seen.previous, seen.others[0]) == (NEW, HELD, {"theirs": 2})


def test_what_somebody_wrote_in_the_last_instant_need_not_be_json(parameters: SsmJsonCase) -> None:
    """If what was overwritten has no place for our keys, ours stays; theirs is in the parameter's history."""
    parameters.put(HELD)
    armed = ready(parameters.config())
    held = armed.read()
    just_before(armed, "PutParameter", lambda: parameters.put_text("no JSON"))
    write_to(armed, pair(NEW), held=held, mark=MARK)
    assert armed.read().current == SigningSecret(NEW)


def test_a_parameter_keeps_its_settings(parameters: SsmJsonCase) -> None:
    """Key, description, pattern and tier are sent with every new version."""
    settings = {
        "KeyId": "alias/feedback",
        "Description": "of the feedback app",
        "AllowedPattern": r"^\{.*\}$",
        "Tier": "Advanced",
    }
    text = parameters.text(HELD)
    parameters.client.put_parameter(Name=parameters.name, Value=text, Type="SecureString", **settings)
    armed = ready(parameters.config())
    sent: list[dict[str, Any]] = []
    armed.client._client.meta.events.register(  # type: ignore[attr-defined]
        "before-parameter-build.ssm.PutParameter", lambda params, **_: sent.append(dict(params))
    )
    proof = armed.prove_writable()
    assert (proof.proven, "KMS key" in proof.detail) == (False, True)
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    assert len(sent) == 2
    assert all({name: request[name] for name in settings} == settings for request in sent)


def test_the_configured_key_encrypts_the_parameter(parameters: SsmJsonCase) -> None:
    """``kms_key_id`` wins over the key that the parameter had."""
    parameters.put(HELD)
    armed = ready(parameters.config(kms_key_id="alias/feedback"))
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    newest = parameters.client.get_parameter_history(Name=parameters.name)["Parameters"][-1]
    assert newest["KeyId"] == "alias/feedback"


def test_a_long_history_is_read_to_its_end(parameters: SsmJsonCase) -> None:
    """Settings come from the newest version, also when it is on the history's second page."""
    for number in range(60):
        parameters.client.put_parameter(
            Name=parameters.name,
            Value=parameters.text(f"{HELD}{number}"),
            Type="SecureString",
            Overwrite=True,
            Description=f"number {number}",
        )
    armed = ready(parameters.config())
    write_to(armed, pair(NEW), held=armed.read(), mark=MARK)
    seen = parameters.seen()
    assert seen is not None
    found = parameters.client.describe_parameters(
        ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [parameters.name]}]
    )["Parameters"]
    assert found[0]["Description"] == "number 59"


def test_a_parameter_made_anew_is_another(parameters: SsmJsonCase) -> None:
    """A parameter that was deleted and made anew has version 1 again, and is not mistaken for the old one."""
    parameters.put(HELD)
    armed = ready(parameters.config())
    held = armed.read()
    parameters.remove()
    parameters.put(THEIRS)
    with pytest.raises(StoreConflict):
        write_to(armed, pair(NEW), held=held, mark=MARK)


def test_a_parameter_deleted_during_the_proof_comes_back_as_it_was(parameters: SsmJsonCase) -> None:
    """The one effect that the trial can have is said, and readers see the value that was there."""
    parameters.put(HELD)
    before = parameters.seen()
    armed = ready(parameters.config())
    just_before(armed, "PutParameter", parameters.remove)
    with pytest.raises(StoreConflict, match="deleted the parameter during the trial"):
        armed.prove_writable()
    after = parameters.seen()
    assert before is not None
    assert after is not None
    assert after.current == before.current
