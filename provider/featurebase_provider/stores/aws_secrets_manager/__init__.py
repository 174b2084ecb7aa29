"""The store type ``aws_secrets_manager``: a secret in AWS Secrets Manager, or one key of its JSON value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator, model_validator

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore, secret_or_none
from featurebase_provider.stores.shared.aws import AwsStore
from featurebase_provider.stores.shared.aws_mark import mark_in, own_tags, tags_of
from featurebase_provider.stores.shared.formats import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from featurebase_provider.stores.shared.aws_calls import AwsCalls
    from featurebase_provider.stores.shared.formats import TextFormat

_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+")
_STAGE = "featurebase"
"""Staging label of the version that this provider wrote last; readers go by ``AWSCURRENT``."""
_NO_STAGE = "featurebase-trial"
"""A label that no version ever has."""
_DEFAULT_KEY = "alias/aws/secretsmanager"
_ADVICE = "Check the region and the secret's KMS key, and grant the policy of docs/stores/aws_secrets_manager.md"


class AwsSecretsManagerStore(AwsStore):
    """The signing secret as a secret of AWS Secrets Manager, or under a key of its JSON value.

    Each write makes a new version and then moves ``AWSCURRENT`` to it in one step, provided the version that was
    read still has that label. AWS keeps the version before as ``AWSPREVIOUS``.

    :param region: AWS region; by default the connection's, or that of the ARN in ``name``.
    :param name: the secret's name or full ARN.
    :param create: whether a missing secret is created.
    :param kms_key_id: KMS key of a secret that is created; an existing one keeps its own.
    """

    type: Literal["aws_secrets_manager"] = "aws_secrets_manager"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name.startswith("arn:"):
            if not _ARN.fullmatch(name):
                raise ValueError("write a secret's full ARN: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-123abc")
        elif not re.fullmatch(r"[A-Za-z0-9/_+=.@-]{1,512}", name):
            raise ValueError("a secret's name has 1 to 512 of the characters A-Z a-z 0-9 / _ + = . @ -")
        return name

    @model_validator(mode="after")
    def _check_arn(self) -> AwsSecretsManagerStore:
        arn = _ARN.fullmatch(self.name)
        if arn and self.region and self.region != arn.group(1):
            raise ValueError(f"the ARN is of the region {arn.group(1)}; leave out region, or correct one of them")
        if arn and self.create:
            raise ValueError("a secret cannot be created by its ARN; give its name, or leave out create")
        if self.kms_key_id and not self.create:
            raise ValueError("kms_key_id is for a secret that is created; write create: true, or leave it out")
        return self

    @property
    def used_region(self) -> str | None:
        """The ARN's region, or the configured one."""
        arn = _ARN.fullmatch(self.name)
        return arn.group(1) if arn else self.region

    @property
    def whole(self) -> str:
        """The secret, with connection and region before."""
        return f"aws-secretsmanager://{self.place}/{self.name}"

    def arm(self) -> ArmedSecret:
        """Fetch the connection; connecting authenticates and builds the client.

        :raises StoreError: as :meth:`client_for` says.
        """
        return ArmedSecret(self, self.client_for("secretsmanager", advice=_ADVICE), self.text_format())


@dataclass(frozen=True, slots=True)
class _Held:
    """The secret as it was read; ``described`` None if there is none, ``version`` None if it has no value yet."""

    described: Mapping[str, Any] | None = None
    version: str | None = None
    text: str | None = field(default=None, repr=False)

    @property
    def tags(self) -> list[dict[str, str]]:
        return (self.described or {}).get("Tags") or []


class ArmedSecret(ConnectingStore["AwsCalls"]):
    """One secret behind a client of its own."""

    def __init__(self, config: AwsSecretsManagerStore, build: Callable[[], AwsCalls], text_format: TextFormat) -> None:
        super().__init__(config.full_name, build)
        self._config, self._format = config, text_format

    def read(self) -> StoredValue:
        """Read the secret's tags and its current version."""
        described = self._describe(self._config.name)
        if described is None:
            return StoredValue(None, version=_Held(), may_be_made=self._config.create)
        value = self.client.ask_unless(
            {"ResourceNotFoundException"},
            "get_secret_value",
            "read",
            SecretId=described["ARN"],
            VersionStage="AWSCURRENT",
        )
        if value is not None and "SecretString" not in value:
            raise StoreRefused(self.name, "the secret is binary, not text; nothing was changed")
        held = _Held(described, value["VersionId"] if value else None, value["SecretString"] if value else None)
        found = self._format.read(held.text) if held.text is not None else Contents(None)
        return StoredValue(secret_or_none(found.current), secret_or_none(found.previous), mark_in(held.tags), held)

    def prove_writable(self) -> Writability:
        """Ask for things that change nothing and need each permission of a write.

        Putting a version that exists, with its own id and value, is documented to do nothing; taking a label from a
        version that does not have it fails; our tags get the values that they have.
        """
        before: _Held = self.read().version
        self._edited(before, Contents("whsec_trial", "whsec_trial_before"))
        if before.described is None:
            return Writability(False, "the secret does not exist yet; whether it may be created shows only then")
        if before.described.get("RotationEnabled"):
            raise StoreRefused(
                self.name,
                "AWS rotates this secret itself, which would replace Featurebase's secret; nothing was changed",
                "Switch its automatic rotation off, or name another secret",
            )
        if before.version is None:
            return Writability(False, "the secret has no value yet; whether it may be given one shows only then")
        secret, version = before.described["ARN"], before.version
        self.client.ask(
            "put_secret_value",
            "proven writable",
            SecretId=secret,
            ClientRequestToken=version,
            SecretString=before.text,
            VersionStages=[_STAGE],
        )
        self.client.attempt(
            "update_secret_version_stage", SecretId=secret, VersionStage=_NO_STAGE, RemoveFromVersionId=version
        )
        self.client.attempt("tag_resource", SecretId=secret, Tags=own_tags(before.tags))
        done = "putting a version, moving labels and tagging are allowed"
        if not (before.described.get("KmsKeyId") or _DEFAULT_KEY).endswith(_DEFAULT_KEY):
            return Writability(False, f"{done}; whether its KMS key may encrypt a new version shows only then")
        return Writability(True, f"{done}, tried without a change")

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Put a new version and make it current, if the version that was read still is."""
        before: _Held = held.version
        text = self._edited(before, Contents(pair.current.reveal(), pair.previous.reveal() if pair.previous else None))
        if text == before.text:
            return
        if before.described is None:
            self._create(text, mark)
            return
        secret = before.described["ARN"]
        now = self._describe(secret)
        if now is None or _current_version(now) != before.version:  # spares the secret a useless version
            raise self._conflict()
        put = self.client.ask("put_secret_value", "written", SecretId=secret, SecretString=text, VersionStages=[_STAGE])
        if before.version is not None:
            self._make_current(secret, before.version, put["VersionId"])
        elif "AWSCURRENT" not in put["VersionStages"]:  # AWS gives it to a secret's first version only
            self._withdraw(secret, put["VersionId"])
            raise self._conflict()
        self.client.follow_up("tag_resource", "written, but not its tags", SecretId=secret, Tags=tags_of(mark))

    def _describe(self, secret: str) -> dict[str, Any] | None:
        described = self.client.ask_unless({"ResourceNotFoundException"}, "describe_secret", "read", SecretId=secret)
        if described is not None and described.get("DeletedDate"):
            raise StoreRefused(
                self.name, "the secret is scheduled for deletion; nothing was changed", "Restore it, or name another"
            )
        return described

    def _edited(self, before: _Held, wanted: Contents) -> str:
        if before.described is None and not self._config.create:
            raise StoreRefused(
                self.name,
                "the secret does not exist; nothing was changed",
                "Create it, or write create: true in the store's configuration",
            )
        return self._format.edit(before.text, wanted)

    def _create(self, text: str, mark: StoreMark) -> None:
        request: dict[str, Any] = {"Name": self._config.name, "SecretString": text, "Tags": tags_of(mark)}
        if self._config.kms_key_id:
            request["KmsKeyId"] = self._config.kms_key_id
        if self.client.ask_unless({"ResourceExistsException"}, "create_secret", "created", **request) is None:
            raise self._conflict()

    def _make_current(self, secret: str, old: str, new: str) -> None:
        try:
            moved = self.client.ask_unless(
                {"InvalidParameterException", "InvalidRequestException"},  # the old one is not current any more
                "update_secret_version_stage",
                "made current",
                SecretId=secret,
                VersionStage="AWSCURRENT",
                RemoveFromVersionId=old,
                MoveToVersionId=new,
            )
        except StoreRefused:
            self._withdraw(secret, new)
            raise
        if moved is not None:
            return
        current = _current_version(self._describe(secret) or {})
        if current == new:  # the client's first try arrived, and only its answer was lost
            return
        self._withdraw(secret, new)
        if current == old:
            raise StoreRefused(
                self.name, "AWS would not make the new version current; readers see the old one", _ADVICE
            )
        raise self._conflict()

    def _withdraw(self, secret: str, version: str) -> None:
        """Take the label from a version that did not become current: AWS removes those without one."""
        self.client.follow_up(
            "update_secret_version_stage",
            f"version {version} did not become current and stays",
            SecretId=secret,
            VersionStage=_STAGE,
            RemoveFromVersionId=version,
        )

    def _conflict(self) -> StoreConflict:
        return StoreConflict(self.name, "the secret changed since it was read; it was left as it is")


def _current_version(described: Mapping[str, Any]) -> str | None:
    stages: Mapping[str, list[str]] = described.get("VersionIdsToStages") or {}
    return next((version for version, labels in stages.items() if "AWSCURRENT" in labels), None)
