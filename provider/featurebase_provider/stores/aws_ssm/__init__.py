"""The store type ``aws_ssm``: a SecureString in AWS Systems Manager Parameter Store."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.base import ConnectingStore, secret_or_none
from featurebase_provider.stores.shared.aws import AwsStore
from featurebase_provider.stores.shared.aws_mark import mark_in, own_tags, tags_of
from featurebase_provider.stores.shared.formats import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from featurebase_provider.stores.shared.aws_calls import AwsCalls
    from featurebase_provider.stores.shared.formats import TextFormat

_KEPT_SETTINGS = ("KeyId", "Description", "AllowedPattern", "Tier", "DataType")
_DEFAULT_KEY = "alias/aws/ssm"
_OVERTAKEN_TRIES = 3
_ADVICE = "Check the region and the parameter's KMS key, and grant the policy of docs/stores/aws_ssm.md"


class AwsSsmStore(AwsStore):
    """The signing secret as a SecureString parameter of AWS Systems Manager, or under a key of its JSON value.

    A parameter cannot be written conditionally: its version is compared just before. If somebody else writes in
    that very instant, AWS's answer shows it, and other keys that they wrote are put back at once.

    :param name: the parameter's name, with its path: ``/apps/feedback/webhook-secret``.
    :param create: whether a missing parameter is created.
    :param kms_key_id: KMS key that encrypts what is written; by default the parameter's own key, for a new one
        that of the account (``alias/aws/ssm``).
    """

    type: Literal["aws_ssm"] = "aws_ssm"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if ":" in name:
            raise ValueError("give the parameter's name, not an ARN, and no version or label after a colon")
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
        return f"aws-ssm://{self.place}/{self.name.removeprefix('/')}"

    def arm(self) -> ArmedParameter:
        """Fetch the connection; connecting authenticates and builds the client.

        :raises StoreError: as :meth:`client_for` says.
        """
        return ArmedParameter(self, self.client_for("ssm", advice=_ADVICE), self.text_format())


@dataclass(frozen=True, slots=True)
class _Held:
    """The parameter as it was read; ``parameter`` None if there is none."""

    parameter: Mapping[str, Any] | None = field(default=None, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[dict[str, str]] = ()

    @property
    def text(self) -> str | None:
        return self.parameter["Value"] if self.parameter else None


class ArmedParameter(ConnectingStore["AwsCalls"]):
    """One parameter behind a client of its own."""

    def __init__(self, config: AwsSsmStore, build: Callable[[], AwsCalls], text_format: TextFormat) -> None:
        super().__init__(config.full_name, build)
        self._config, self._format = config, text_format
        self._tagged = {"ResourceType": "Parameter", "ResourceId": config.name}

    def read(self) -> StoredValue:
        """Read the value, the tags, and the settings that a write has to repeat."""
        parameter = self._parameter(self._config.name, decrypted=True)
        if parameter is None:
            return StoredValue(None, version=_Held(), may_be_made=self._config.create)
        if parameter["Type"] != "SecureString":
            raise StoreRefused(
                self.name,
                f"the parameter is a {parameter['Type']}, which is not encrypted; nothing was changed",
                "Delete it and create it as a SecureString, or name another one",
            )
        found = self._format.read(parameter["Value"])
        tags = self.client.ask("list_tags_for_resource", "read", **self._tagged).get("TagList") or []
        held = _Held(parameter, self._settings(parameter["Version"]), tags)
        return StoredValue(secret_or_none(found.current), secret_or_none(found.previous), mark_in(held.tags), held)

    def prove_writable(self) -> Writability:
        """Ask to create the parameter that exists, with its own value: AWS checks the permission and declines."""
        before: _Held = self.read().version
        self._edited(before, Contents("whsec_trial", "whsec_trial_before"))
        if before.parameter is None or before.text is None:
            return Writability(False, "the parameter does not exist yet; whether it may be created shows only then")
        if self._put(before.text, Overwrite=False, **before.settings) is not None:
            raise StoreConflict(
                self.name,
                "somebody deleted the parameter during the trial, which put it back with the value that it had",
                "Delete it again if that was meant",
            )
        self.client.attempt("add_tags_to_resource", **self._tagged, Tags=own_tags(before.tags))
        key = self._config.kms_key_id or before.settings.get("KeyId", _DEFAULT_KEY)
        if not key.endswith(_DEFAULT_KEY):
            return Writability(
                False, "putting and tagging are allowed; whether its KMS key may encrypt shows only then"
            )
        return Writability(True, "putting and tagging are allowed, tried without a change")

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> None:
        """Put a new version, if the one that was read still is the newest."""
        before: _Held = held.version
        wanted = Contents(pair.current.reveal(), pair.previous.reveal() if pair.previous else None)
        text = self._edited(before, wanted)
        if text == before.text:
            return
        if before.parameter is None:
            if self._put(text, Overwrite=False, Tags=tags_of(mark)) is None:
                raise self._conflict()
            return
        now = self._parameter(self._config.name, decrypted=False)
        # Not the version alone: a parameter that was deleted and made anew counts from 1 again.
        if now is None or any(now[fact] != before.parameter[fact] for fact in ("Version", "LastModifiedDate")):
            raise self._conflict()
        put = self._put(text, Overwrite=True, **before.settings)
        self._bring_back(before, wanted, text=text, put=put)
        self.client.follow_up("add_tags_to_resource", "written, but not its tags", **self._tagged, Tags=tags_of(mark))

    def _parameter(self, name: str, *, decrypted: bool) -> dict[str, Any] | None:
        answer = self.client.ask_unless(
            {"ParameterNotFound", "ParameterVersionNotFound"},
            "get_parameter",
            "read",
            Name=name,
            WithDecryption=decrypted,
        )
        return answer["Parameter"] if answer else None

    def _settings(self, version: int) -> dict[str, str]:
        """Key, description, pattern, tier and data type, which a new version might lose if they are not repeated.

        ``DescribeParameters`` would tell them too, but cannot be allowed for one parameter only.
        """
        entries: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            page = self.client.ask("get_parameter_history", "read", Name=self._config.name, MaxResults=50, **more)
            entries += page["Parameters"]
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
        newest_first = sorted(entries, key=lambda entry: int(entry["Version"]), reverse=True)
        found = next((entry for entry in newest_first if entry["Version"] <= version), {})
        return {name: found[name] for name in _KEPT_SETTINGS if found.get(name)}

    def _edited(self, before: _Held, wanted: Contents) -> str:
        if before.parameter is None and not self._config.create:
            raise StoreRefused(
                self.name,
                "the parameter does not exist; nothing was changed",
                "Create it, or write create: true in the store's configuration",
            )
        return self._format.edit(before.text, wanted)

    def _put(self, text: str, **request: Any) -> int | None:
        """Put a version and give its number; None if the parameter exists and may not be overwritten."""
        if self._config.kms_key_id:
            request["KeyId"] = self._config.kms_key_id
        answer = self.client.ask_unless(
            {"ParameterAlreadyExists"},
            "put_parameter",
            "written",
            Name=self._config.name,
            Value=text,
            Type="SecureString",
            **request,
        )
        return int(answer["Version"]) if answer else None

    def _bring_back(self, before: _Held, wanted: Contents, *, text: str, put: int | None) -> None:
        """Where somebody wrote between our look and our put, write their text again, with our keys in it."""
        expected = (before.parameter or {})["Version"] + 1
        for _ in range(_OVERTAKEN_TRIES):
            if put is None or put <= expected:
                return
            theirs = self._parameter(f"{self._config.name}:{put - 1}", decrypted=True)
            try:
                merged = self._format.edit(theirs["Value"], wanted) if theirs else text
            except StoreRefused:  # what they wrote has no place for our keys
                return
            if merged == text:
                return
            text, expected = merged, put + 1
            put = self._put(text, Overwrite=True, **before.settings)

    def _conflict(self) -> StoreConflict:
        return StoreConflict(self.name, "the parameter changed since it was read; it was left as it is")
