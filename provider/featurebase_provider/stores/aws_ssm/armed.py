"""A parameter of AWS Systems Manager behind an authenticated client."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from featurebase_provider.rotation.errors import StoreConflict, StoreRefused
from featurebase_provider.rotation.store import SecretPair, StoredValue, StoreMark, Writability
from featurebase_provider.stores.aws_ssm.settings import ParameterSettings
from featurebase_provider.stores.base import ConnectingStore
from featurebase_provider.stores.shared.aws_calls import tag_list
from featurebase_provider.stores.shared.marks import AWS_TAGS
from featurebase_provider.stores.shared.refusals import changed_since, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from featurebase_provider.stores.shared.aws_calls import AwsCalls
    from featurebase_provider.stores.shared.text import SecretText

_DEFAULT_KEY = "alias/aws/ssm"

_OVERTAKEN_TRIES = 3

ADVICE = "Check the region and the parameter's KMS key, and grant the policy of docs/stores/aws_ssm.md"


@dataclass(frozen=True, slots=True)
class _Parameter:
    """The parameter as it was read; ``parameter`` None if there is none."""

    parameter: Mapping[str, Any] | None = field(default=None, repr=False)
    settings: ParameterSettings = field(default_factory=ParameterSettings)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str | None:
        return self.parameter["Value"] if self.parameter else None


class ArmedParameter(ConnectingStore["AwsCalls"]):
    """One parameter behind a client of its own.

    :param name: the store's name, for messages.
    :param parameter: the parameter's name.
    :param text: how its value holds the secret, and whether it may be made.
    :param kms_key_id: encrypts what is written; None for the parameter's own key.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], AwsCalls],
        text: SecretText,
        *,
        parameter: str,
        kms_key_id: str | None,
    ) -> None:
        super().__init__(name, build)
        self._parameter_name, self._kms_key_id = parameter, kms_key_id
        self._text = text
        self._tagged = {"ResourceType": "Parameter", "ResourceId": parameter}

    def read(self) -> StoredValue:
        """Read the value, the tags, and the settings that a write has to repeat."""
        parameter = self._parameter(self._parameter_name, decrypted=True)
        if parameter is None:
            return self._text.stored(None, exists=False, version=_Parameter())
        if parameter["Type"] != "SecureString":
            raise StoreRefused(
                self.name,
                f"the parameter is a {parameter['Type']}, which is not encrypted; nothing was changed",
                "Delete it and create it as a SecureString, or name another one",
            )
        tags = self.client.ask("list_tags_for_resource", "read", **self._tagged).get("TagList") or []
        held = _Parameter(parameter, self._settings(parameter["Version"]), {tag["Key"]: tag["Value"] for tag in tags})
        return self._text.stored(held.text, exists=True, mark=AWS_TAGS.mark_in(held.tags), version=held)

    def prove_writable(self) -> Writability:
        """Ask to create the parameter that exists, with its own value: AWS checks the permission and declines."""
        held = self.read()
        before: _Parameter = held.version
        pairs = self.trials(held, keeps_previous=self._text.keeps_previous)
        texts = self._text.tried(before.text, pairs, exists=before.parameter is not None)
        for text in texts:
            before.settings.check(self.name, text)
        if before.parameter is None or before.text is None:
            return Writability(False, "the parameter does not exist yet; whether it may be created shows only then")
        if self._put(before.text, Overwrite=False, **before.settings.repeated) is not None:
            raise StoreConflict(
                self.name,
                "somebody deleted the parameter during the trial, which put it back with the value that it had",
                "Delete it again if that was meant",
            )
        self.client.attempt("add_tags_to_resource", **self._tagged, Tags=tag_list(AWS_TAGS.own(before.tags)))
        ends = before.settings.ends
        warning = (
            f"AWS deletes the parameter at {ends} (its policy Expiration), which a write doesn't change" if ends else ""
        )
        key = self._kms_key_id or before.settings.repeated.get("KeyId", _DEFAULT_KEY)
        own_key = "" if key.endswith(_DEFAULT_KEY) else "whether its KMS key may encrypt shows only then"
        if doubts := [doubt for doubt in (own_key, before.settings.doubt(texts)) if doubt]:
            return Writability(False, f"putting and tagging are allowed; {'; '.join(doubts)}", warning)
        return Writability(True, "putting and tagging are allowed, tried without a change", warning)

    def look_again(self, held: StoredValue) -> None:
        """See that the version that was read still is the newest; one that is not there is created on that condition.

        Not the version alone: a parameter that was deleted and made anew counts from 1 again.
        """
        before: _Parameter = held.version
        if before.parameter is None:
            return
        now = self._parameter(self._parameter_name, decrypted=False)
        if now is None or any(now[fact] != before.parameter[fact] for fact in ("Version", "LastModifiedDate")):
            raise changed_since(self.name, "the parameter")

    def write(self, pair: SecretPair, *, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Put a new version; the one of somebody who wrote since the look is brought back. The tags follow."""
        before: _Parameter = held.version
        text = self._text.edited(before.text, pair, exists=before.parameter is not None)
        if text == before.text:
            return None
        check = partial(before.settings.check, self.name)
        if before.parameter is None:
            with explained(check, text):
                made = self._put(text, Overwrite=False, Tags=tag_list(AWS_TAGS.texts_of(mark)))
            if made is None:
                raise changed_since(self.name, "the parameter")
            return None
        with explained(check, text):
            put = self._put(text, Overwrite=True, **before.settings.repeated)
        self._bring_back(before, pair, text=text, put=put)
        return self.marking(held, mark)

    def marking(self, held: StoredValue, mark: StoreMark) -> Callable[[], None] | None:
        """Tag the parameter."""
        before: _Parameter = held.version
        if before.parameter is None:
            return None
        return partial(
            self.client.follow_up,
            "add_tags_to_resource",
            "written, but not its tags",
            **self._tagged,
            Tags=tag_list(AWS_TAGS.texts_of(mark)),
        )

    def _parameter(self, name: str, *, decrypted: bool) -> dict[str, Any] | None:
        answer = self.client.ask_unless(
            {"ParameterNotFound", "ParameterVersionNotFound"},
            "get_parameter",
            "read",
            Name=name,
            WithDecryption=decrypted,
        )
        return answer["Parameter"] if answer else None

    def _settings(self, version: int) -> ParameterSettings:
        """What AWS says of the parameter beside its value.

        ``DescribeParameters`` would tell them too, but cannot be allowed for one parameter only.
        """
        entries: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            page = self.client.ask("get_parameter_history", "read", Name=self._parameter_name, MaxResults=50, **more)
            entries += page["Parameters"]
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
        return ParameterSettings.of(entries, version)

    def _put(self, text: str, **request: Any) -> int | None:
        """Put a version and give its number; None if the parameter exists and may not be overwritten."""
        if self._kms_key_id:
            request["KeyId"] = self._kms_key_id
        answer = self.client.ask_unless(
            {"ParameterAlreadyExists"},
            "put_parameter",
            "written",
            Name=self._parameter_name,
            Value=text,
            Type="SecureString",
            **request,
        )
        return int(answer["Version"]) if answer else None

    def _bring_back(self, before: _Parameter, pair: SecretPair, *, text: str, put: int | None) -> None:
        """Where somebody wrote between our look and our put, write their text again, with our keys in it."""
        expected = (before.parameter or {})["Version"] + 1
        for _ in range(_OVERTAKEN_TRIES):
            if put is None or put <= expected:
                return
            theirs = self._parameter(f"{self._parameter_name}:{put - 1}", decrypted=True)
            try:
                merged = self._text.merged(theirs["Value"], pair) if theirs else text
            except StoreRefused:  # what they wrote has no place for our keys
                return
            if merged == text:
                return
            text, expected = merged, put + 1
            put = self._put(text, Overwrite=True, **before.settings.repeated)
