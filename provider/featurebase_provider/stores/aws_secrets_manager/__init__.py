"""The store type ``aws_secrets_manager``: a secret in AWS Secrets Manager, or one key of its value."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator, model_validator

from featurebase_provider.stores.shared.aws import AwsStore

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import ArmedStore

_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+")


class AwsSecretsManagerStore(AwsStore):
    """The signing secret as a secret of AWS Secrets Manager, or under a key of its value.

    Each write makes a new version and then moves ``AWSCURRENT`` to it in one step, provided the version that was
    read still has that label. AWS keeps the version before as ``AWSPREVIOUS``.

    :param region: AWS region; by default the connection's, or that of the ARN in ``name``.
    :param name: the secret's name or full ARN.
    :param create: whether a missing secret is created, and a missing key of an existing one added.
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
    def _check_arn(self) -> "AwsSecretsManagerStore":
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
        return f"aws-secretsmanager://{self.user_part}/{self.name}"

    def arm(self) -> "ArmedStore":
        """Fetch the connection; connecting authenticates and builds the client.

        :raises StoreError: as :meth:`client_for` says.
        """
        from featurebase_provider.stores.aws_secrets_manager.armed import ADVICE, ArmedSecret

        return self.followed(
            ArmedSecret(
                self.full_name,
                self.client_for("secretsmanager", advice=ADVICE),
                self.secret_text(),
                secret=self.name,
                kms_key_id=self.kms_key_id,
            )
        )
