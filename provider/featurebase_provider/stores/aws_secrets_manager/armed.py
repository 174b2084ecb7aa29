"""A secret of AWS Secrets Manager behind an authenticated client."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from featurebase_provider.featurebase.text import clean_text
from featurebase_provider.rotation.errors import StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore
from featurebase_provider.stores.shared.aws_calls import tag_list
from featurebase_provider.stores.shared.marks import AWS_TAGS
from featurebase_provider.stores.shared.refusals import changed_since, check_size, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from featurebase_provider.stores.shared.aws_calls import AwsCalls
    from featurebase_provider.stores.shared.text import SecretText

_STAGE = "featurebase"
"""Staging label of the version that this provider wrote last; readers go by ``AWSCURRENT``."""

_NO_STAGE = "featurebase-trial"
"""A label that no version ever has."""

_DEFAULT_KEY = "alias/aws/secretsmanager"

_MOST_BYTES = 65_536
_MOST_LABELS = 20
"""On all versions of a secret together. This and the size: AWS's user guide, "AWS Secrets Manager quotas"."""

ADVICE = "Check the region and the secret's KMS key, and grant the policy of docs/stores/aws_secrets_manager.md"


@dataclass(frozen=True, slots=True)
class _AwsSecret:
    """The secret as it was read; ``described`` None if there is none, ``version`` None if it has no value yet."""

    described: Mapping[str, Any] | None = None
    version: str | None = None
    text: str | None = field(default=None, repr=False)

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in (self.described or {}).get("Tags") or []}


class ArmedSecret(ConnectingStore["AwsCalls"]):
    """One secret behind a client of its own.

    :param name: the store's name, for messages.
    :param secret: the secret's name or ARN.
    :param text: how its value holds the secret, and whether it may be made.
    :param kms_key_id: encrypts one that is created.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], AwsCalls],
        text: SecretText,
        *,
        secret: str,
        kms_key_id: str | None,
    ) -> None:
        super().__init__(name, build)
        self._secret, self._kms_key_id = secret, kms_key_id
        self._text = text

    def read(self) -> StoredValue:
        """Read the secret's tags and its current version."""
        described = self._describe(self._secret)
        if described is None:
            return self._text.stored(None, exists=False, version=_AwsSecret())
        value = self.client.ask_unless(
            {"ResourceNotFoundException"},
            "get_secret_value",
            "read",
            SecretId=described["ARN"],
            VersionStage="AWSCURRENT",
        )
        if value is not None and "SecretString" not in value:
            raise StoreRefused(self.name, "the secret is binary, not text; nothing was changed")
        held = _AwsSecret(described, value["VersionId"] if value else None, value["SecretString"] if value else None)
        return self._text.stored(held.text, exists=True, mark=AWS_TAGS.mark_in(held.tags), version=held)

    def prove_writable(self) -> Writability:
        """Ask for things that change nothing and need each permission of a write.

        Putting a version that exists, with its own id and value, is documented to do nothing; taking a label from a
        version that does not have it fails; our tags get the values that they have.
        """
        held = self.read()
        before: _AwsSecret = held.version
        pairs = self.trials(held, keeps_previous=self._text.keeps_previous)
        for text in self._text.tried(before.text, pairs, exists=before.described is not None):
            self._check_fits(text)
        if before.described is None:
            return Writability(False, "the secret does not exist yet; whether it may be created shows only then")
        if before.described.get("RotationEnabled"):
            raise StoreRefused(
                self.name,
                "AWS rotates this secret itself, which would replace Featurebase's secret; nothing was changed",
                "Switch its automatic rotation off, or name another secret",
            )
        _check_labels(self.name, before.described)
        warning = _not_replicated(before.described)
        if before.version is None:
            return Writability(
                False, "the secret has no value yet; whether it may be given one shows only then", warning
            )
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
        self.client.attempt("tag_resource", SecretId=secret, Tags=tag_list(AWS_TAGS.own(before.tags)))
        done = "putting a version, moving labels and tagging are allowed"
        if not (before.described.get("KmsKeyId") or _DEFAULT_KEY).endswith(_DEFAULT_KEY):
            return Writability(False, f"{done}; whether its KMS key may encrypt a new version shows only then", warning)
        return Writability(True, f"{done}, tried without a change", warning)

    def look_again(self, held: StoredValue) -> None:
        """Describe it. The label is moved on a condition; this only spares the secret a useless version."""
        before: _AwsSecret = held.version
        if before.described is None:
            return
        now = self._describe(before.described["ARN"])
        if now is None or _current_version(now) != before.version:
            raise changed_since(self.name)

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Put a new version and make it current, if the version that was read still is. The tags follow."""
        before: _AwsSecret = held.version
        text = self._text.edited(before.text, pair, exists=before.described is not None)
        if text == before.text:
            return None
        if before.described is None:
            with explained(self._check_fits, text):
                self._create_secret(text, mark)
            return None
        secret = before.described["ARN"]
        with explained(self._check_fits, text):
            put = self.client.ask(
                "put_secret_value", "written", SecretId=secret, SecretString=text, VersionStages=[_STAGE]
            )
        if before.version is not None:
            self._make_current(secret, before.version, put["VersionId"])
        elif "AWSCURRENT" not in put["VersionStages"]:  # AWS gives it to a secret's first version only
            self._withdraw(secret, put["VersionId"])
            raise changed_since(self.name)
        return self.marking(held, mark)

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Tag the secret."""
        before: _AwsSecret = held.version
        if before.described is None:
            return None
        return partial(
            self.client.follow_up,
            "tag_resource",
            "written, but not its tags",
            SecretId=before.described["ARN"],
            Tags=tag_list(AWS_TAGS.texts_of(mark)),
        )

    def _describe(self, secret: str) -> dict[str, Any] | None:
        described = self.client.ask_unless({"ResourceNotFoundException"}, "describe_secret", "read", SecretId=secret)
        if described is not None and described.get("DeletedDate"):
            raise StoreRefused(
                self.name, "the secret is scheduled for deletion; nothing was changed", "Restore it, or name another"
            )
        if described is not None:
            _check_writable_here(self.name, described)
        return described

    def _check_fits(self, text: str) -> None:
        check_size(
            self.name,
            text,
            most=_MOST_BYTES,
            holder="a secret of AWS Secrets Manager",
            advice="Move other keys to another secret",
        )

    def _create_secret(self, text: str, mark: StoreMark) -> None:
        request: dict[str, Any] = {
            "Name": self._secret,
            "SecretString": text,
            "Tags": tag_list(AWS_TAGS.texts_of(mark)),
        }
        if self._kms_key_id:
            request["KmsKeyId"] = self._kms_key_id
        if self.client.ask_unless({"ResourceExistsException"}, "create_secret", "created", **request) is None:
            raise changed_since(self.name)

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
            raise StoreRefused(self.name, "AWS would not make the new version current; readers see the old one", ADVICE)
        raise changed_since(self.name)

    def _withdraw(self, secret: str, version: str) -> None:
        """Take the label from a version that did not become current: AWS removes those without one."""
        self.client.follow_up(
            "update_secret_version_stage",
            f"version {version} did not become current and stays",
            SecretId=secret,
            VersionStage=_STAGE,
            RemoveFromVersionId=version,
        )


def _check_writable_here(store: str, described: Mapping[str, Any]) -> None:
    """Refuse a secret that takes its value from elsewhere.

    :raises StoreRefused: it is a replica, or another service of AWS manages it.
    """
    region, primary = described["ARN"].split(":")[3], described.get("PrimaryRegion")
    if primary and primary != region:
        raise StoreRefused(
            store,
            f"the secret in {region} is a replica of the one in {primary}, and AWS takes writes there only; nothing "
            "was changed",
            f"Write region: {primary}, or name its ARN there; AWS then copies the new value to {region}",
        )
    if owner := described.get("OwningService"):
        raise StoreRefused(
            store,
            f"the secret is managed by the AWS service {clean_text(str(owner))}, which replaces its value; nothing was "
            "changed",
            "Name a secret of your own",
        )


def _check_labels(store: str, described: Mapping[str, Any]) -> None:
    """Refuse a secret whose versions have so many staging labels that ours can't be added.

    :raises StoreRefused: they have.
    """
    stages: Mapping[str, list[str]] = described.get("VersionIdsToStages") or {}
    labels = {label for of_version in stages.values() for label in of_version}
    if len(labels | {_STAGE, "AWSCURRENT", "AWSPREVIOUS"}) > _MOST_LABELS:
        raise StoreRefused(
            store,
            f"its versions have {len(labels)} staging labels, and AWS allows {_MOST_LABELS}, those that a write adds "
            f"({_STAGE}, AWSPREVIOUS) included; nothing was changed",
            "Remove labels that nobody reads (aws secretsmanager update-secret-version-stage)",
        )


def _not_replicated(described: Mapping[str, Any]) -> str:
    """A warning, if AWS fails to copy the secret to other regions."""
    replicas: list[Mapping[str, Any]] = described.get("ReplicationStatus") or []
    failed = [clean_text(str(replica.get("Region"))) for replica in replicas if replica.get("Status") == "Failed"]
    return (
        f"AWS could not copy the secret to {', '.join(failed)}, where readers don't get the new one" if failed else ""
    )


def _current_version(described: Mapping[str, Any]) -> str | None:
    stages: Mapping[str, list[str]] = described.get("VersionIdsToStages") or {}
    return next((version for version, labels in stages.items() if "AWSCURRENT" in labels), None)
