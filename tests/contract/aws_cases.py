"""AWS Secrets Manager and Parameter Store through Airflow's Amazon provider, against the real moto server."""

from __future__ import annotations

import io
import json
from abc import abstractmethod
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import requests
from dotenv import dotenv_values

from featurebase_provider.stores.aws_secrets_manager import AwsSecretsManagerStore
from featurebase_provider.stores.aws_ssm import AwsSsmStore
from tests.contract.s3_cases import client_of, moto_server
from tests.contract.store_case import Seen, StoreCase, not_applicable
from tests.servers.dead_servers import silent_server
from tests.servers.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from featurebase_provider.stores.shared.aws import AwsStore

JSON_FIELDS = {"key": "current", "previous_key": "previous"}
ANYWHERE = "*"
"""The only resource that moto's access checks know."""


def policy(*actions: str) -> dict[str, Any]:
    """An IAM policy that allows these actions."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": ANYWHERE}],
    }


class AwsCase(StoreCase):
    """What both services have in common; JSON cases have another key beside ours."""

    calls_to_readable = 1
    has_mark = True
    asks_airflow = True
    service: str
    limit: int
    """Bytes that the service takes, as its documentation says."""
    as_json = False
    may_read: tuple[str, ...]

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.client = client_of(self.service)
        self.keeps_previous = self.as_json
        self.previous_as_current = {"key": "previous", "previous_key": None} if self.as_json else None
        self.misspelt = {"key": "Current"} if self.as_json else None
        self.bare = not self.as_json
        self.name = f"/apps/{uuid4().hex}/webhook"
        self.conn_id = self.connection("root", "root")

    @abstractmethod
    def store(self, **fields: Any) -> AwsStore:
        """Build the configuration."""

    def connection(self, access_key: str, secret_key: str, endpoint: str | None = None, **extra: Any) -> str:
        """Define an Airflow connection and give its id."""
        conn_id = f"aws_{uuid4().hex}"
        extra = {"endpoint_url": endpoint or moto_server()[1], "region_name": "us-east-1", **extra}
        connection = {"conn_type": "aws", "login": access_key, "password": secret_key, "extra": extra}
        self.patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def close(self) -> None:
        self.client.close()
        self.patch.undo()

    def config(self, **changes: Any) -> AwsStore:
        fields = JSON_FIELDS if self.as_json else {}
        return self.store(**{"name": self.name, "conn_id": self.conn_id, **fields, **changes})

    @abstractmethod
    def put_text(self, text: str) -> None:
        """As somebody else, put the whole value."""

    def put_nearly_full(self, current: str, room: int) -> None:
        if not self.as_json:
            super().put_nearly_full(current, room)
        empty = json.dumps({"a": "", "current": current})
        self.put_text(json.dumps({"a": "x" * (self.limit - room - len(empty)), "current": current}))

    def text(self, current: Any, previous: str | None = None) -> str:
        """The whole value, with a neighbour where it can have one."""
        if not self.as_json:
            return str(current)
        return json.dumps({"a": 1, "current": current} | ({"previous": previous} if previous else {}))

    def seen_in(self, text: str, others: Any) -> Seen:
        """What a reader makes of the whole value."""
        if not self.as_json:
            return Seen(text, None, others)
        document = json.loads(text)
        neighbours = {key: document[key] for key in document.keys() - {"current", "previous"}}
        return Seen(document.get("current"), document.get("previous"), (neighbours, others))

    @contextmanager
    def allowed(self, document: dict[str, Any]) -> Iterator[AwsStore]:
        """A time in which the server checks access, and the connection's user may do what the policy says."""
        iam, user = client_of("iam"), f"user-{uuid4().hex}"
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="rotation", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=user)["AccessKey"]
        conn_id = self.connection(key["AccessKeyId"], key["SecretAccessKey"])
        url = f"{moto_server()[1]}/moto-api/reset-auth"
        requests.post(url, data="0", timeout=60).raise_for_status()
        try:
            yield self.config(conn_id=conn_id)
        finally:
            requests.post(url, data="inf", timeout=60).raise_for_status()

    def writing_denied(self) -> AbstractContextManager[AwsStore]:
        return self.allowed(policy(*self.may_read))

    @contextmanager
    def server_down(self) -> Iterator[AwsStore]:
        yield self.config(conn_id=self.connection("root", "root", f"http://127.0.0.1:{free_port()}"))

    @contextmanager
    def dead(self) -> Iterator[tuple[AwsStore, Callable[[], None]]]:
        """Nobody answers the call for a role."""
        with silent_server() as server:
            role = {
                "role_arn": "arn:aws:iam::123456789012:role/rotation",
                "service_config": {"sts": {"endpoint_url": f"http://127.0.0.1:{server.port}"}},
            }
            yield self.config(conn_id=self.connection("root", "root", **role), timeout=300), server.wait


class SecretsManagerRawCase(AwsCase):
    calls_to_readable = 2
    service = "secretsmanager"
    limit = 65_536
    may_read = ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")

    def store(self, **fields: Any) -> AwsSecretsManagerStore:
        return AwsSecretsManagerStore(**fields)

    def _exists(self) -> bool:
        try:
            self.client.describe_secret(SecretId=self.name)
        except self.client.exceptions.ResourceNotFoundException:
            return False
        return True

    def put_text(self, text: str) -> None:
        """As somebody else, put the whole value."""
        if self._exists():
            put = self.client.put_secret_value(SecretId=self.name, SecretString=text)["VersionId"]
            # AWS takes the label from the version before; moto no longer does once somebody has moved it.
            stages = self.client.describe_secret(SecretId=self.name)["VersionIdsToStages"]
            there = {} if "AWSCURRENT" in stages[put] else {"MoveToVersionId": put}
            for version in [other for other in stages if other != put and "AWSCURRENT" in stages[other]]:
                self.client.update_secret_version_stage(
                    SecretId=self.name, VersionStage="AWSCURRENT", RemoveFromVersionId=version, **there
                )
            return
        self.client.create_secret(
            Name=self.name, SecretString=text, Description="owned", Tags=[{"Key": "cost", "Value": "low"}]
        )

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_text(self.text(current, previous))

    def remove(self) -> None:
        self.client.delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)

    def seen(self) -> Seen | None:
        if not self._exists():
            return None
        # moto forgets that AWSCURRENT is what a reader gets who names no stage, once the label has been moved.
        value = self.client.get_secret_value(SecretId=self.name, VersionStage="AWSCURRENT")
        described = self.client.describe_secret(SecretId=self.name)
        tags = [tag for tag in described.get("Tags", []) if not tag["Key"].startswith("featurebase-")]
        return self.seen_in(value["SecretString"], (described.get("Description"), tags))

    def evidence(self) -> Any:
        if not self._exists():
            return self.client.list_secrets(Filters=[{"Key": "name", "Values": [self.name]}])["SecretList"]
        described = self.client.describe_secret(SecretId=self.name)
        described.pop("ResponseMetadata")
        return described

    def put_wrong_type(self) -> None:
        if self.as_json:
            self.put_text(self.text(7))
        else:
            self.client.create_secret(Name=self.name, SecretBinary=b"\x00\x01")

    def missing_place(self) -> AwsSecretsManagerStore:
        """A secret's name is taken while AWS waits to delete it."""
        self.put("going")
        self.client.delete_secret(SecretId=self.name, RecoveryWindowInDays=7)
        config = self.config(create=True)
        assert isinstance(config, AwsSecretsManagerStore)
        return config


class SecretsManagerJsonCase(SecretsManagerRawCase):
    as_json = True


class SecretsManagerDotenvCase(SecretsManagerRawCase):
    """A whole env file in one secret, as deployments write it to disk."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps_previous, self.bare = True, False
        self.previous_as_current = {"key": "SIGNING_OLD", "previous_key": None}
        self.misspelt = {"key": "SIGNING_KEY"}

    def config(self, **changes: Any) -> AwsStore:
        return super().config(**{"format": "dotenv", "key": "SIGNING", "previous_key": "SIGNING_OLD", **changes})

    def text(self, current: Any, previous: str | None = None) -> str:
        old = f"SIGNING_OLD={previous}\n" if previous else ""
        return f"# of the app\nHOST=a\nexport SIGNING='{current}'\n{old}DEBUG=1\n"

    def seen_in(self, text: str, others: Any) -> Seen:
        values = dotenv_values(stream=io.StringIO(text))
        current, previous = (values.pop(key, None) for key in ("SIGNING", "SIGNING_OLD"))
        return Seen(current, previous, (values, others))


class SsmRawCase(AwsCase):
    is_conditional = False
    service = "ssm"
    limit = 4_096
    may_read = ("ssm:GetParameter", "ssm:GetParameterHistory", "ssm:ListTagsForResource")

    def store(self, **fields: Any) -> AwsSsmStore:
        return AwsSsmStore(**fields)

    def put_for_a_while(self, current: str) -> str:
        """A policy as AWS shows one: its text is JSON within JSON, which moto shows as it was given."""
        attributes = {"Timestamp": "2100-01-01T21:34:33.000Z"}
        expiration = json.dumps({"Type": "Expiration", "Version": "1.0", "Attributes": attributes})
        self.client.put_parameter(
            Name=self.name,
            Value=self.text(current),
            Type="SecureString",
            Tier="Advanced",
            Policies=json.dumps([expiration]),
        )
        return "2100-01-01"

    def _get(self) -> Any:
        try:
            return self.client.get_parameter(Name=self.name, WithDecryption=True)["Parameter"]
        except self.client.exceptions.ParameterNotFound:
            return None

    def _tags(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.client.list_tags_for_resource(
            ResourceType="Parameter", ResourceId=self.name
        )["TagList"]
        return found

    def put_text(self, text: str) -> None:
        """As somebody else, put the whole value."""
        if self._get():
            self.client.put_parameter(Name=self.name, Value=text, Type="SecureString", Overwrite=True)
            return
        self.client.put_parameter(
            Name=self.name,
            Value=text,
            Type="SecureString",
            Description="owned",
            Tier="Standard",
            Tags=[{"Key": "cost", "Value": "low"}],
        )

    def put(self, current: str, previous: str | None = None) -> None:
        self.put_text(self.text(current, previous))

    def remove(self) -> None:
        self.client.delete_parameter(Name=self.name)

    def seen(self) -> Seen | None:
        found = self._get()
        if found is None:
            return None
        newest = self.client.get_parameter_history(Name=self.name)["Parameters"][-1]
        facts = {name: newest.get(name) for name in ("Type", "KeyId", "Description", "Tier", "DataType")}
        tags = [tag for tag in self._tags() if not tag["Key"].startswith("featurebase-")]
        return self.seen_in(found["Value"], (facts, tags))

    def evidence(self) -> Any:
        if self._get() is None:
            return None
        return self.client.get_parameter_history(Name=self.name)["Parameters"], self._tags()

    def put_wrong_type(self) -> None:
        if self.as_json:
            self.put_text(self.text(7))
        else:
            self.client.put_parameter(Name=self.name, Value="plain", Type="String")

    def missing_place(self) -> AwsSsmStore:
        not_applicable("a parameter's path needs no folder")


class SsmJsonCase(SsmRawCase):
    as_json = True
