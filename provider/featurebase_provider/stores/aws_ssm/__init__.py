"""The store type ``aws_ssm``: a SecureString in AWS Systems Manager Parameter Store."""

# No "from __future__ import annotations": pydantic would compile each field's text whenever a Dag file is parsed.
import re
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from featurebase_provider.stores.shared.aws import AwsStore

if TYPE_CHECKING:
    from featurebase_provider.rotation.store import ArmedStore


class AwsSsmStore(AwsStore):
    """The signing secret as a SecureString parameter of AWS Systems Manager, or under a key of its value.

    A parameter cannot be written conditionally: its version is compared just before. If somebody else writes in
    that very instant, AWS's answer shows it, and other keys that they wrote are put back at once.

    :param name: the parameter's name, with its path: ``/apps/feedback/webhook-secret``.
    :param create: whether a missing parameter is created, and a missing key of an existing one added.
    :param kms_key_id: KMS key that encrypts what is written; by default the parameter's own key, for a new one
        that of the account (``alias/aws/ssm``).
    """

    type: Literal["aws_ssm"] = "aws_ssm"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if ":" in name:
            raise ValueError(
                "give the parameter's name, not an ARN (one that another account shares can be written by that account "
                "only), and no version or label after a colon"
            )
        if not re.fullmatch(r"(/?[A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+){2,15})", name):
            raise ValueError(
                "a parameter's name has A-Z a-z 0-9 _ . - and, as a path, begins with / and has 15 parts at most"
            )
        if re.match(r"/?(aws|ssm)", name, re.IGNORECASE):
            raise ValueError("AWS reserves names that begin with aws or ssm")
        return name

    @property
    def whole(self) -> str:
        """The parameter, with connection and region before."""
        return f"aws-ssm://{self.user_part}/{self.name.removeprefix('/')}"

    def arm(self) -> "ArmedStore":
        """Fetch the connection; connecting authenticates and builds the client.

        :raises StoreError: as :meth:`client_for` says.
        """
        from featurebase_provider.stores.aws_ssm.armed import ADVICE, ArmedParameter

        return self.followed(
            ArmedParameter(
                self.full_name,
                self.client_for("ssm", advice=ADVICE),
                self.secret_text(missing="the parameter does not exist"),
                parameter=self.name,
                kms_key_id=self.kms_key_id,
            )
        )
